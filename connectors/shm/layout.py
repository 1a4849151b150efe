"""Where everything stands in shared memory: one table of members, from which all offsets come.

Owns: the layout of the directory segment, of data segments and of the slots of positions, and their version. Segments of
another kind (marks) differ in their magic numbers and their slots only: `connectors.shm.slots`.
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

from functools import lru_cache

from connectors.shm.slots import CACHE_LINE as CACHE_LINE
from connectors.shm.slots import EXACT_CODE as EXACT_CODE
from connectors.shm.slots import EXACT_SIZE as EXACT_SIZE
from connectors.shm.slots import FNV_OFFSET, SlotLayout, fnv, members
from connectors.shm.slots import Member as Member
from schemas.fields import CATALOGUE_VERSION, Kind, fields_of

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
WORKER_BITS = 16
WORKER_MASK = (1 << WORKER_BITS) - 1


DIRECTORY = members(
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

WORKER = members(
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

SEGMENT = members(
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

POSITIONS = SlotLayout(
    what="positions",
    directory_magic=DIRECTORY_MAGIC,
    segment_magic=SEGMENT_MAGIC,
    catalogue_version=CATALOGUE_VERSION,
    keys=2,
    decimals=tuple(field.name for field in fields_of(Kind.DECIMAL)),
    counts=tuple(field.name for field in fields_of(Kind.COUNT)),
    times=tuple(field.name for field in fields_of(Kind.TIME)),
    texts=tuple(field.name for field in fields_of(Kind.TEXT)),
)
DECIMALS, COUNTS, TIMES, TEXTS = POSITIONS.decimals, POSITIONS.counts, POSITIONS.times, POSITIONS.texts
SLOT, SLOT_SIZE, SLOT_BODY = POSITIONS.members, POSITIONS.size, POSITIONS.body

EXACT_MASK = (1 << 64) - 1
EXACT_MAX = (1 << 127) - 1


def segment_sizes(slots: int, slot_size: int = SLOT_SIZE) -> tuple[int, int, int, int, int]:
    """Index entries, index offset, strings offset, strings bytes and all bytes of a segment of `slots`."""
    index_count = 1 << (2 * slots - 1).bit_length()
    index_offset = SEGMENT_HEADER_SIZE + slots * slot_size
    strings_offset = index_offset + index_count * 8
    strings_size = slots * 64 + 4096
    return index_count, index_offset, strings_offset, strings_size, strings_offset + strings_size


def segment_name(directory: str, worker: str, generation: int) -> str:
    """The name of a worker's data segment."""
    return f"{directory}.{worker}.{generation}"


def key_hash(book: str, instrument: str) -> int:
    """FNV-1a, 64 bits, of the UTF-8 of the book, a zero byte, and the instrument."""
    return fnv(_book_hash(book), instrument.encode())


@lru_cache(maxsize=10_000)
def _book_hash(book: str) -> int:
    return fnv(FNV_OFFSET, f"{book}\0".encode())
