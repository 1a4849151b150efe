"""What stands in the slots of one kind of segment: positions, marks, or whatever else is shown the same way.

Owns: the places of a slot's members, how a slot is packed, and the hash of its key.
Assumes: little-endian x86-64, as the C headers say.
Guarantees: slots are a multiple of 64 bytes and start on one; 8-byte members are 8-byte aligned.

A slot: `sequence` (a seqlock) and `key_hash`; each decimal as a float64, then figures that are float64 only; owner epoch,
counts, times; places of texts (those of the key first), partition; from the next cache line on the exact decimals. The
rest of its last cache line is zero, for later fields.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

CACHE_LINE = 64
EXACT_CODE = "QqiI"
EXACT_SIZE = struct.calcsize("=" + EXACT_CODE)
FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure; `code` is that of `struct`."""

    name: str
    code: str
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        return struct.calcsize("=" + self.code)


def members(codes: Iterable[tuple[str, str]]) -> dict[str, Member]:
    """Members one after the other; a name that starts with `-` only fills."""
    found, offset = {}, 0
    for name, code in codes:
        size = struct.calcsize("=" + code)
        if not name.startswith("-"):
            found[name] = Member(name, code, offset)
        offset += size
    return found


@dataclass(frozen=True)
class SlotLayout:
    """The slots of one kind of segment. `texts` begin with the `keys` texts that name a slot, whose first says which
    partition it belongs to; `counts` are unsigned, `times` signed."""

    what: str
    directory_magic: int
    segment_magic: int
    catalogue_version: int
    keys: int
    decimals: tuple[str, ...]
    counts: tuple[str, ...]
    times: tuple[str, ...]
    texts: tuple[str, ...]
    floats: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> list[tuple[str, str]]:
        """The members up to the last exact decimal, in order."""
        codes = [("sequence", "Q"), ("key_hash", "Q")]
        codes += [(name, "d") for name in (*self.decimals, *self.floats)]
        codes += [("owner_epoch", "Q")]
        codes += [(name, "Q") for name in self.counts]
        codes += [(name, "q") for name in self.times]
        codes += [(name, "I") for name in self.texts]
        codes += [("partition", "I")]
        head = sum(struct.calcsize("=" + code) for _, code in codes)
        if -head % CACHE_LINE:
            codes += [("-", f"{-head % CACHE_LINE}x")]
        return codes + [(f"{name}_exact", f"{EXACT_SIZE}s") for name in self.decimals]

    @cached_property
    def members(self) -> dict[str, Member]:
        """The members by name."""
        return members(self.codes)

    @cached_property
    def reserved(self) -> int:
        """Bytes at the end of a slot, zero now; later fields come there without moving the others."""
        return -sum(struct.calcsize("=" + code) for _, code in self.codes) % CACHE_LINE

    @cached_property
    def size(self) -> int:
        """Bytes of a slot."""
        return sum(struct.calcsize("=" + code) for _, code in self.codes) + self.reserved

    @cached_property
    def body(self) -> struct.Struct:
        """A slot without its sequence; low words are taken as signed (the same bits), which is faster to fill."""
        return struct.Struct(
            "="
            + "".join(code for name, code in self.codes[1:] if "_exact" not in name)
            + EXACT_CODE.replace("Q", "q") * len(self.decimals)
            + f"{self.reserved}x"
        )

    def pack(
        self,
        hashed: int,
        numbers: tuple[Sequence[float], Sequence[int]],
        owner_epoch: int,
        counts: Sequence[int],
        times: Sequence[int],
        texts: Sequence[int],
        partition: int,
        floats: Sequence[float] = (),
    ) -> bytes:
        """A slot without its sequence; `numbers` are what `exact.encode_exacts` makes of the decimals, `texts` places."""
        approximate, exacts = numbers
        return self.body.pack(
            hashed, *approximate, *floats, owner_epoch, *counts, *times, *texts, partition, *exacts
        )


def key_hash(*key: str) -> int:
    """FNV-1a, 64 bits, of the UTF-8 of the key's texts with a zero byte between them."""
    return fnv(FNV_OFFSET, "\0".join(key).encode())


def fnv(value: int, text: bytes) -> int:
    """FNV-1a, 64 bits, gone on with from a value."""
    for byte in text:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value
