"""Where everything stands in shared memory: one table of members, from which all offsets come.

Owns: the layout of the directory segment, of data segments and of slots, and their version.
Assumes: little-endian x86-64, as the C header says.
Guarantees: slots are a multiple of 64 bytes and start on one; 8-byte members are 8-byte aligned. The places of
a position's figures follow from `schemas.fields`; `clients/c/pks_positions.h` and `clients/python` state the same
numbers, and tests hold all three equal.

    directory  /pks-positions-v1                          data segment  /pks-positions-v1.<worker>.<generation>
      0  header (256)                                       0  header (512)
    256  64 workers of 128 bytes                          512  slots of 320 bytes
   8448  1,024 partition words: owner epoch and worker      .  index: 8-byte entries, open addressing
                                                            .  strings: 2-byte length and UTF-8

In a slot the first cache line has all that a fast reader wants: the sequence, the key's hash, and each decimal as
a float64. The second has counts, times and texts, the others the exact decimals. To write it the sequence is made
odd, the rest is copied, the sequence is made even again (a seqlock).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from schemas.fields import Kind, fields_of

LAYOUT_VERSION = 1
DIRECTORY_MAGIC = int.from_bytes(b"PKSPDIR1", "little")
SEGMENT_MAGIC = int.from_bytes(b"PKSPSEG1", "little")

BUILDING, ACTIVE, CLOSED, SUPERSEDED = 1, 2, 3, 4
"""States of a data segment."""

ALARM_FULL = 1
"""Alarm bit: the segment is full and cannot grow, so some positions are not shown."""

EXACT_INEXACT, EXACT_NULL = 1, 2
"""Flags of an exact decimal: rounded to fit, no value."""

WORKERS_MAX = 64
PARTITIONS_MAX = 1024
WORKER_NAME_BYTES = 64
CACHE_LINE = 64
WORKER_BITS = 16
WORKER_MASK = (1 << WORKER_BITS) - 1


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


def _members(codes: Iterable[tuple[str, str]]) -> dict[str, Member]:
    """Members one after the other; a name that starts with `-` only fills."""
    members, offset = {}, 0
    for name, code in codes:
        size = struct.calcsize("=" + code)
        if not name.startswith("-"):
            members[name] = Member(name, code, offset)
        offset += size
    return members


DIRECTORY = _members(
    [
        ("magic", "Q"),
        ("layout_version", "Q"),
        ("catalogue_version", "Q"),
        ("header_size", "Q"),
        ("worker_size", "Q"),
        ("worker_count", "Q"),
        ("partition_count", "Q"),
        ("-", "8x"),
        ("version", "Q"),  # a seqlock over the whole directory
        ("last_epoch", "Q"),
    ]
)
DIRECTORY_HEADER_SIZE = 256

WORKER = _members(
    [
        ("name", f"{WORKER_NAME_BYTES}s"),
        ("generation", "Q"),
        ("building", "Q"),  # a generation that is being filled and will follow
        ("owner_epoch", "Q"),
        ("writer_pid", "Q"),
    ]
)
WORKER_SIZE = 128
PARTITIONS_OFFSET = DIRECTORY_HEADER_SIZE + WORKERS_MAX * WORKER_SIZE
DIRECTORY_SIZE = PARTITIONS_OFFSET + PARTITIONS_MAX * 8

SEGMENT = _members(
    [
        ("magic", "Q"),
        ("layout_version", "Q"),
        ("catalogue_version", "Q"),
        ("header_size", "Q"),
        ("slot_size", "Q"),
        ("slot_count", "Q"),
        ("index_offset", "Q"),
        ("index_count", "Q"),
        ("strings_offset", "Q"),
        ("strings_size", "Q"),
        ("segment_size", "Q"),
        ("generation", "Q"),
        ("owner_epoch", "Q"),
        ("writer_pid", "Q"),
        ("started_at", "Q"),
        ("-", "8x"),
        ("worker", f"{WORKER_NAME_BYTES}s"),
        ("state", "Q"),
        ("heartbeat", "Q"),  # CLOCK_MONOTONIC nanoseconds
        ("committed_sequence", "Q"),
        ("durable_sequence", "Q"),
        ("slots_used", "Q"),
        ("strings_used", "Q"),
        ("alarms", "Q"),
        ("waiting", "Q"),  # positions that have no slot because the segment cannot grow
        ("growths", "Q"),
    ]
)
SEGMENT_HEADER_SIZE = 512

DECIMALS = tuple(field.name for field in fields_of(Kind.DECIMAL))
COUNTS = tuple(field.name for field in fields_of(Kind.COUNT))
TIMES = tuple(field.name for field in fields_of(Kind.TIME))
TEXTS = tuple(field.name for field in fields_of(Kind.TEXT))
EXACT_CODE = "QqiI"
EXACT_SIZE = struct.calcsize("=" + EXACT_CODE)


def _slot_codes() -> list[tuple[str, str]]:
    codes = [("sequence", "Q"), ("key_hash", "Q")]
    codes += [(name, "d") for name in DECIMALS]
    codes += [("owner_epoch", "Q")]
    codes += [(name, "Q") for name in COUNTS]
    codes += [(name, "q") for name in TIMES]
    codes += [(name, "I") for name in TEXTS]
    codes += [("partition", "I"), ("-", "8x")]
    codes += [(f"{name}_exact", f"{EXACT_SIZE}s") for name in DECIMALS]
    return codes


SLOT = _members(_slot_codes())
SLOT_RESERVED = 48
"""Bytes at the end of a slot, zero now; later fields come there without moving the others."""

SLOT_SIZE = SLOT[f"{DECIMALS[-1]}_exact"].offset + EXACT_SIZE + SLOT_RESERVED
SLOT_BODY = struct.Struct(
    "="
    + "".join(code for name, code in _slot_codes()[1:] if "_exact" not in name)
    + EXACT_CODE.replace("Q", "q") * len(DECIMALS)
    + f"{SLOT_RESERVED}x"
)
"""A slot without its sequence; low words are taken as signed (the same bits), which is faster to fill."""

EXACT_MASK = (1 << 64) - 1
EXACT_MAX = (1 << 127) - 1


def segment_sizes(slots: int) -> tuple[int, int, int, int, int]:
    """Index entries, index offset, strings offset, strings bytes and all bytes of a segment of `slots`."""
    index_count = 1 << (2 * slots - 1).bit_length()
    index_offset = SEGMENT_HEADER_SIZE + slots * SLOT_SIZE
    strings_offset = index_offset + index_count * 8
    strings_size = slots * 64 + 4096
    return index_count, index_offset, strings_offset, strings_size, strings_offset + strings_size


def segment_name(directory: str, worker: str, generation: int) -> str:
    """The name of a worker's data segment."""
    return f"{directory}.{worker}.{generation}"


_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def key_hash(book: str, instrument: str) -> int:
    """FNV-1a, 64 bits, of the UTF-8 of the book, a zero byte, and the instrument."""
    return _hashed(_book_hash(book), instrument.encode())


@lru_cache(maxsize=10_000)
def _book_hash(book: str) -> int:
    return _hashed(_FNV_OFFSET, f"{book}\0".encode())


def _hashed(value: int, text: bytes) -> int:
    for byte in text:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value
