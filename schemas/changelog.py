"""What a changelog record holds: one key of a table, or the packed changes of a step.

A record's key and value are a table key and its value; no value removes the key. The changes of a step in
packed families are one record: its key starts with `PACKED_KEY`, its value is the msgpack list key, value, key,
value, ... (nil removes a key). A packed record is never superseded by another, so compaction keeps it.

No table key starts with a zero byte: that is how both kinds of record, and what a table partition notes about
itself, are told apart.
"""

from collections.abc import Iterator, Sequence

import msgspec

PACKED_KEY = b"\x00step"
"""First bytes of the key of a record that holds packed changes."""

RESTORED_KEY = b"\x00changelog"
"""The key under which a table partition notes the offset of the last changelog record that it holds."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes | None]).decode


def pack_changes(changes: Sequence[bytes | None]) -> bytes:
    """The value of a packed record; `changes` is key, value, key, value, ..."""
    return _pack(changes)


def changes_of(key: bytes, value: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
    """The table keys that a changelog record sets or removes (value None), in order."""
    if not key.startswith(PACKED_KEY):
        yield key, value
        return
    packed = _unpack(value or b"\x90")
    if len(packed) % 2:
        raise ValueError(
            f"expected keys and values in pairs in a changelog record, found {len(packed)} items"
        )
    for changed, new in zip(packed[::2], packed[1::2], strict=True):
        if changed is None:
            raise ValueError("expected a key in a packed changelog record, found nil")
        yield changed, new


def encode_offset(offset: int) -> bytes:
    """The value under `RESTORED_KEY`."""
    return offset.to_bytes(8, "big")


def decode_offset(value: bytes) -> int:
    """The offset that `encode_offset` stored."""
    return int.from_bytes(value, "big")
