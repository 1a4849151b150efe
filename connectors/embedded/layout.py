"""Keys and records of the embedded log.

All keys live in one key space, told apart by their first byte, big-endian, so that they sort as they are read:

    m  name                                   the format, and the topics and tables with their numbers
    l  topic(2) partition(2) offset(8)        a record
    t  table(2) partition(2) key              an entry of a table
    o  group 0 topic 0 partition(4)           where a group goes on

A record is: sequence(8) appended_at(8) bytes_before(8) flags(1) key_length(4) headers_length(4), then headers,
key and value. `sequence` counts appends over the whole log, `bytes_before` those of its partition.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

import msgspec

FORMAT = 1
FORMAT_KEY = b"mformat"
TOPIC_PREFIX = b"mtopic/"
TABLE_PREFIX = b"mtable/"

_LOG_PREFIX = struct.Struct(">cHH")
_LOG_KEY = struct.Struct(">cHHQ")
_HEADER = struct.Struct(">QqQBII")
_HAS_KEY = 1
_HAS_VALUE = 2

Headers = tuple[tuple[str, bytes], ...]

_pack_headers = msgspec.msgpack.Encoder().encode
_unpack_headers = msgspec.msgpack.Decoder(Headers).decode
log_key_of = _LOG_KEY.pack
LOG = b"l"
OFFSET = b"o"


class LogRecord(NamedTuple):
    """A record as it stands in a topic partition; `appended_at` in nanoseconds."""

    topic: str
    partition: int
    offset: int
    sequence: int
    appended_at: int
    bytes_before: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def log_prefix(topic_number: int, partition: int) -> bytes:
    """The prefix of all records of a topic partition."""
    return _LOG_PREFIX.pack(LOG, topic_number, partition)


def table_prefix(table_number: int, partition: int) -> bytes:
    """The prefix of all entries of a table partition."""
    return _LOG_PREFIX.pack(b"t", table_number, partition)


@lru_cache(maxsize=10_000)
def offset_key(group: str, topic: str, partition: int) -> bytes:
    """The key of a group's place in a topic partition."""
    return OFFSET + group.encode() + b"\x00" + topic.encode() + b"\x00" + partition.to_bytes(4, "big")


def offset_of(log_key: bytes) -> int:
    """The offset in a record's key."""
    return int.from_bytes(log_key[5:13], "big")


def encode_record(
    sequence: int,
    appended_at: int,
    bytes_before: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
) -> bytes:
    """The stored bytes of a record."""
    flags = (_HAS_KEY if key is not None else 0) | (_HAS_VALUE if value is not None else 0)
    packed = _pack_headers(headers) if headers else b""
    key = key or b""
    return (
        _HEADER.pack(sequence, appended_at, bytes_before, flags, len(key), len(packed))
        + packed
        + key
        + (value or b"")
    )


def decode_record(topic: str, partition: int, offset: int, stored: bytes) -> LogRecord:
    """The record that `encode_record` stored."""
    sequence, appended_at, bytes_before, flags, key_length, headers_length = _HEADER.unpack_from(stored)
    key_start = _HEADER.size + headers_length
    value_start = key_start + key_length
    return LogRecord(
        topic,
        partition,
        offset,
        sequence,
        appended_at,
        bytes_before,
        stored[key_start:value_start] if flags & _HAS_KEY else None,
        stored[value_start:] if flags & _HAS_VALUE else None,
        _unpack_headers(stored[_HEADER.size : key_start]) if headers_length else (),
    )


def sequence_of(stored: bytes) -> int:
    """The sequence of a stored record."""
    return int.from_bytes(stored[:8], "big")


def appended_at_of(stored: bytes) -> int:
    """When a stored record was appended, in nanoseconds."""
    return int.from_bytes(stored[8:16], "big", signed=True)


def bytes_through(stored: bytes) -> int:
    """Bytes of its partition up to and with a stored record."""
    return int.from_bytes(stored[16:24], "big") + len(stored)
