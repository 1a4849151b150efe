"""The layout of the segments, as this package reads it; `clients/c/pks_positions.h` says the same in C.

The writer's tests hold these numbers equal to what it writes.
"""

import struct
from typing import NamedTuple

LAYOUT_VERSION = 1
DIRECTORY_MAGIC = int.from_bytes(b"PKSPDIR1", "little")
SEGMENT_MAGIC = int.from_bytes(b"PKSPSEG1", "little")
BUILDING, ACTIVE, CLOSED, SUPERSEDED = 1, 2, 3, 4
ALARM_FULL = 1
EXACT_INEXACT, EXACT_NULL = 1, 2

# Places of 8-byte words in the directory's header.
DIRECTORY_MAGIC_WORD, DIRECTORY_LAYOUT_WORD, DIRECTORY_CATALOGUE_WORD = 0, 1, 2
DIRECTORY_PARTITION_COUNT_WORD, DIRECTORY_VERSION_WORD, DIRECTORY_LAST_EPOCH_WORD = 6, 8, 9
DIRECTORY_SIZE = 16_640
WORKERS_OFFSET, WORKER_SIZE, WORKERS_MAX = 256, 128, 64
WORKER = struct.Struct("=64sQQQQ")
"""Name, generation, generation being built, owner epoch, pid."""
PARTITIONS_WORD = 8_448 >> 3
WORKER_BITS = 16
WORKER_MASK = (1 << WORKER_BITS) - 1

# Places of 8-byte words in a data segment's header.
SEGMENT_HEADER_SIZE = 512
SEGMENT_WORDS = {
    "magic": 0,
    "layout_version": 1,
    "catalogue_version": 2,
    "header_size": 3,
    "slot_size": 4,
    "slot_count": 5,
    "index_offset": 6,
    "index_count": 7,
    "strings_offset": 8,
    "strings_size": 9,
    "segment_size": 10,
    "generation": 11,
    "owner_epoch": 12,
    "writer_pid": 13,
    "started_at": 14,
    "state": 24,
    "heartbeat": 25,
    "committed_sequence": 26,
    "durable_sequence": 27,
    "slots_used": 28,
    "strings_used": 29,
    "alarms": 30,
    "waiting": 31,
    "growths": 32,
}
STATE_WORD, HEARTBEAT_WORD = SEGMENT_WORDS["state"], SEGMENT_WORDS["heartbeat"]


class Form(NamedTuple):
    """What stands in the slots of one kind of segment. `slot` is a slot from the key's hash on; the others are places
    among what it unpacks."""

    what: str
    directory_magic: int
    segment_magic: int
    size: int
    slot: struct.Struct
    keys: tuple[int, ...]
    epoch: int
    partition: int


SLOT_SIZE = 320
SLOT_FLOATS_OFFSET = 16
DECIMALS = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")
SLOT_FLOATS = struct.Struct("=6d")
SLOT = struct.Struct("=Q6dQQQqqIIII8x" + "QqiI" * 6)
"""From the key's hash on: hash, floats, owner epoch, lots_open, revision, executed_at, updated_at, places of book,
instrument and currency, partition; then low, high, exponent and flags of each exact decimal."""

POSITIONS = Form("positions", DIRECTORY_MAGIC, SEGMENT_MAGIC, SLOT_SIZE, SLOT, (12, 13), 7, 15)

MARK_DECIMALS = ("price", "bid", "ask", "accrued_interest")
MARK_FLOATS = struct.Struct("=4d")
MARK_SLOT = struct.Struct("=Q4dQQqqqIIII24x" + "QqiI" * 4)
"""From the key's hash on: hash, floats, owner epoch, quality, event_time, source_sequence, updated_at, places of
instrument, currency and source, partition; then the exact decimals."""

MARKS = Form(
    "marks",
    int.from_bytes(b"PKSMDIR1", "little"),
    int.from_bytes(b"PKSMSEG1", "little"),
    256,
    MARK_SLOT,
    (10,),
    5,
    13,
)

GREEK_FIGURES = (
    "market_value",
    "unrealised_pnl",
    "delta",
    "gamma",
    "vega",
    "theta",
    "rho",
    "vanna",
    "volga",
    "delta_value",
    "spot",
)
GREEK_FLOATS = struct.Struct("=11d")
GREEK_SLOT = struct.Struct("=Q11dQQQQqqIIIII20x")
"""From the key's hash on: hash, figures, owner epoch, positions, unvalued, quality, event_time, updated_at, places of
book, instrument, currency and underlying, partition."""

GREEKS = Form(
    "Greeks",
    int.from_bytes(b"PKSGDIR1", "little"),
    int.from_bytes(b"PKSGSEG1", "little"),
    192,
    GREEK_SLOT,
    (18, 19),
    12,
    22,
)

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_MURMUR_SEED, _MURMUR_MULTIPLIER, _MASK = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def key_hash(*key: str) -> int:
    """FNV-1a, 64 bits, of the UTF-8 of the key's texts with a zero byte between them."""
    value = _FNV_OFFSET
    for byte in "\0".join(key).encode():
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value


def partition_of(text: str, partitions: int) -> int:
    """The partition of a key by its first text: Kafka's murmur2 of its UTF-8, made positive, modulo the number of partitions."""
    data = text.encode()
    value = (_MURMUR_SEED ^ len(data)) & _MASK
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MURMUR_MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MURMUR_MULTIPLIER & _MASK
        value = (value * _MURMUR_MULTIPLIER & _MASK) ^ word
    if data[whole:]:
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MURMUR_MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MURMUR_MULTIPLIER & _MASK
    return ((value ^ value >> 15) & 0x7FFFFFFF) % partitions
