"""Segments mapped read-only: the directory, and the data segments that it names.

Guarantees: a reader cannot change, lock or remove anything.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any

from . import layout
from .errors import LayoutMismatch, NotAvailable

_FOLDER = "/dev/shm"  # noqa: S108 (this is where shm_open has its names)
_STATES = {
    layout.BUILDING: "building",
    layout.ACTIVE: "active",
    layout.CLOSED: "closed",
    layout.SUPERSEDED: "superseded",
}
_TEXT_LENGTH = struct.Struct("=H")


def _map(name: str, size_min: int) -> mmap.mmap:
    try:
        descriptor = os.open(_FOLDER + name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotAvailable(
            f"shared memory {name}: expected it to exist, found none: start `pks up`"
        ) from error
    try:
        if os.fstat(descriptor).st_size < size_min:
            raise NotAvailable(f"shared memory {name}: expected at least {size_min} bytes: it is being made")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _check(name: str, words: memoryview, magic: int) -> None:
    found, version = words[0], words[1]
    if found == 0:
        raise NotAvailable(f"shared memory {name}: expected a whole header, found none yet: it is being made")
    if (found, version) != (magic, layout.LAYOUT_VERSION):
        raise LayoutMismatch(
            f"shared memory {name}: expected layout version {layout.LAYOUT_VERSION}, found {version} (magic "
            f"{found:#x}): install the pks-client that belongs to the running PKS"
        )


def directory_magic(name: str) -> int:
    """What says of a directory what its segments hold. Raises NotAvailable where there is none."""
    mapped = _map(name, layout.DIRECTORY_SIZE)
    try:
        return int.from_bytes(mapped[:8], "little")
    finally:
        mapped.close()


class DirectoryView:
    """The directory; `words[VERSION]` is odd while it changes."""

    def __init__(self, name: str, form: layout.Form = layout.POSITIONS) -> None:
        self.name = name
        self.map = _map(name, layout.DIRECTORY_SIZE)
        self.words = memoryview(self.map).cast("Q")
        self.inode = os.stat(_FOLDER + name).st_ino
        _check(name, self.words, form.directory_magic)

    def replaced(self) -> bool:
        """Whether the name now stands for other memory (somebody removed it, and a writer made it anew)."""
        try:
            return os.stat(_FOLDER + self.name).st_ino != self.inode
        except FileNotFoundError:
            return False

    def worker(self, index: int) -> tuple[str, int]:
        """Name and generation of a worker; generation 0 where it shows none."""
        start = layout.WORKERS_OFFSET + index * layout.WORKER_SIZE
        name, generation, _, _, _ = layout.WORKER.unpack_from(self.map, start)
        return name.rstrip(b"\0").decode(), generation

    def owner(self, text: str) -> tuple[int, int]:
        """Owner epoch and worker index (-1: none) of a key, by its first text (a book, an instrument)."""
        partitions = self.words[layout.DIRECTORY_PARTITION_COUNT_WORD]
        if not partitions:
            return 0, -1
        return self.owner_of_partition(layout.partition_of(text, partitions))

    def owner_of_partition(self, partition: int) -> tuple[int, int]:
        """Owner epoch and worker index (-1: none) of a partition."""
        word = self.words[layout.PARTITIONS_WORD + partition]
        return word >> layout.WORKER_BITS, (word & layout.WORKER_MASK) - 1


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a data segment's header says; `heartbeat_age_seconds` is since the writer's last sign of life."""

    name: str
    worker: str
    generation: int
    state: str
    live: bool
    writer_pid: int
    owner_epoch: int
    heartbeat_age_seconds: float
    started_at: int
    committed_sequence: int
    durable_sequence: int
    slots_used: int
    slot_count: int
    strings_used: int
    strings_size: int
    segment_size: int
    growths: int
    full: bool
    waiting: int
    layout_version: int
    catalogue_version: int


class SegmentView:
    """A data segment."""

    def __init__(
        self, directory: str, worker: str, generation: int, form: layout.Form = layout.POSITIONS
    ) -> None:
        self.form = form
        self.name = f"{directory}.{worker}.{generation}"
        self.worker = worker
        self.map = _map(self.name, layout.SEGMENT_HEADER_SIZE)
        self.words = memoryview(self.map)[: len(self.map) & ~7].cast("Q")
        _check(self.name, self.words, form.segment_magic)
        self._strings = self.get("strings_offset")
        self._index = self.get("index_offset") >> 3
        self._index_mask = self.get("index_count") - 1

    def get(self, member: str) -> int:
        """A word of the header."""
        return self.words[layout.SEGMENT_WORDS[member]]

    def text(self, place: int) -> str:
        """A text by its place."""
        start = self._strings + place
        (length,) = _TEXT_LENGTH.unpack_from(self.map, start)
        return self.map[start + 2 : start + 2 + length].decode()

    def find(self, *key: str) -> int:
        """The number of a key's slot; -1 where it has none."""
        hashed = layout.key_hash(*key)
        words, place = self.words, hashed & self._index_mask
        while entry := words[self._index + place]:
            number = (entry & 0xFFFFFFFF) - 1
            if entry >> 32 == hashed >> 32 and self._is(number, hashed, key):
                return number
            place = place + 1 & self._index_mask
        return -1

    def _is(self, number: int, hashed: int, key: tuple[str, ...]) -> bool:
        # Hash and texts of a slot never change once the index names it.
        form = self.form
        values = form.slot.unpack_from(self.map, layout.SEGMENT_HEADER_SIZE + number * form.size + 8)
        return values[0] == hashed and self.key_of(values) == key

    def key_of(self, values: tuple[Any, ...]) -> tuple[str, ...]:
        """The key of a slot's members."""
        return tuple(self.text(values[place]) for place in self.form.keys)

    def heartbeat_age_seconds(self, now: int) -> float:
        """Seconds from the last heartbeat to `now` (of the monotonic clock, in nanoseconds)."""
        return (now - self.words[layout.HEARTBEAT_WORD]) / 1e9

    def facts(self, now: int, stale_after_seconds: float) -> SegmentFacts:
        """What the header says."""
        state, age = self.get("state"), self.heartbeat_age_seconds(now)
        return SegmentFacts(
            name=self.name,
            worker=self.worker,
            generation=self.get("generation"),
            state=_STATES.get(state, f"unknown ({state})"),
            live=state == layout.ACTIVE and age <= stale_after_seconds,
            writer_pid=self.get("writer_pid"),
            owner_epoch=self.get("owner_epoch"),
            heartbeat_age_seconds=age,
            started_at=self.get("started_at"),
            committed_sequence=self.get("committed_sequence"),
            durable_sequence=self.get("durable_sequence"),
            slots_used=self.get("slots_used"),
            slot_count=self.get("slot_count"),
            strings_used=self.get("strings_used"),
            strings_size=self.get("strings_size"),
            segment_size=self.get("segment_size"),
            growths=self.get("growths"),
            full=bool(self.get("alarms") & layout.ALARM_FULL),
            waiting=self.get("waiting"),
            layout_version=self.get("layout_version"),
            catalogue_version=self.get("catalogue_version"),
        )
