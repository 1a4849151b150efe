"""The directory segment: which workers there are, which generation each shows, and who owns which book.

A book belongs to a partition (murmur2, as in the log), and a partition to the worker that its word names; the
word also has the owner epoch, which every change of owner raises. Slots of another epoch are not live.

Owns: the directory's contents. Many workers may write it: one at a time, under its lock.
Guarantees: readers never block; they see a change as a whole, since `version` is odd while one is made.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from connectors.shm import layout
from connectors.shm.errors import SharedMemoryError
from connectors.shm.layout import DIRECTORY, WORKER
from connectors.shm.mapping import PERMISSIONS, Mapping, path_of
from connectors.shm.slots import SlotLayout

_EPOCH_NANOSECONDS = 100_000
"""Epochs are from the clock, in a unit that fits their 48 bits until the year 2860."""


class Directory:
    """The directory, for writers."""

    def __init__(self, name: str, partitions: int, kind: SlotLayout = layout.POSITIONS) -> None:
        if not 1 <= partitions <= layout.PARTITIONS_MAX:
            raise SharedMemoryError(
                f"shared memory {name}: expected 1 to {layout.PARTITIONS_MAX} partitions, found {partitions}"
            )
        self.name = name
        self._kind = kind
        self._mapping = _open_or_create(name)
        with self.locked():
            self._prepare(partitions)

    def _prepare(self, partitions: int) -> None:
        mapping = self._mapping
        if mapping.get(DIRECTORY["magic"]) == 0:
            for member, value in (
                ("layout_version", layout.LAYOUT_VERSION),
                ("catalogue_version", self._kind.catalogue_version),
                ("header_size", layout.DIRECTORY_HEADER_SIZE),
                ("worker_size", layout.WORKER_SIZE),
                ("worker_count", layout.WORKERS_MAX),
                ("partition_count", partitions),
                ("magic", self._kind.directory_magic),
            ):
                mapping.set(DIRECTORY[member], value)
        found = mapping.get(DIRECTORY["magic"]), mapping.get(DIRECTORY["layout_version"])
        if found != (self._kind.directory_magic, layout.LAYOUT_VERSION):
            raise SharedMemoryError(
                f"shared memory {self.name}: expected {self._kind.what} of layout version {layout.LAYOUT_VERSION}, found {found[1]} "
                f"(magic {found[0]:#x}): stop what uses it and remove {path_of(self.name)}"
            )
        # The partition count of a log is fixed; another one here is another log's, or an older run's.
        if mapping.get(DIRECTORY["partition_count"]) != partitions:
            self._repartition(partitions)
        if mapping.get(DIRECTORY["version"]) & 1:
            # A writer died in the middle of a change: what it did stands, readers may go on.
            self._bump()

    def _repartition(self, partitions: int) -> None:
        for index in range(layout.WORKERS_MAX):
            if self._in_use(index):
                raise SharedMemoryError(
                    f"shared memory {self.name}: expected {self._mapping.get(DIRECTORY['partition_count'])} "
                    f"partitions, as the running worker has them, found {partitions}: stop it, or take another name "
                    "(setting shared_memory)"
                )
        with self.changing():
            self._mapping.set(DIRECTORY["partition_count"], partitions)
            for partition in range(layout.PARTITIONS_MAX):
                self._mapping.words[(layout.PARTITIONS_OFFSET >> 3) + partition] = 0

    def _in_use(self, index: int) -> bool:
        base = self._base(index)
        worker = self._mapping.get_text(WORKER["name"], base)
        for member in ("generation", "building"):
            segment = Mapping.open(
                layout.segment_name(self.name, worker, self._mapping.get(WORKER[member], base))
            )
            if segment is not None:
                free = segment.try_lock()
                segment.close()
                if not free:
                    return True
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out."""
        self._mapping.lock()
        try:
            yield
        finally:
            self._mapping.unlock()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change what readers see, as a whole; inside `locked`."""
        self._bump()
        try:
            yield
        finally:
            self._bump()

    def _bump(self) -> None:
        self._mapping.set(DIRECTORY["version"], self._mapping.get(DIRECTORY["version"]) + 1)

    def next_epoch(self) -> int:
        """A new owner epoch, inside `locked`: above all before it, even if the directory was lost between."""
        epoch = max(self._mapping.get(DIRECTORY["last_epoch"]) + 1, time.time_ns() // _EPOCH_NANOSECONDS)
        self._mapping.set(DIRECTORY["last_epoch"], epoch)
        return epoch

    def _base(self, index: int) -> int:
        return layout.DIRECTORY_HEADER_SIZE + index * layout.WORKER_SIZE

    def worker(self, name: str) -> int:
        """The index of a worker's entry, a new one where it has none; inside `locked`."""
        for index in range(layout.WORKERS_MAX):
            found = self._mapping.get_text(WORKER["name"], self._base(index))
            if found == name:
                return index
            if not found:
                with self.changing():
                    self._mapping.set_text(WORKER["name"], name, self._base(index))
                return index
        raise SharedMemoryError(
            f"shared memory {self.name}: expected at most {layout.WORKERS_MAX} worker names, found one more: "
            f"stop the workers and remove {path_of(self.name)}"
        )

    def generations(self, index: int) -> tuple[int, int]:
        """The generation that a worker shows (0: none yet), and the one that it builds."""
        base = self._base(index)
        return self._mapping.get(WORKER["generation"], base), self._mapping.get(WORKER["building"], base)

    def build(self, index: int, generation: int) -> None:
        """A worker begins a new generation; inside `locked`."""
        self._mapping.set(WORKER["building"], generation, self._base(index))

    def show(self, index: int, generation: int, epoch: int) -> None:
        """Readers shall read this generation of a worker; inside `changing`."""
        base = self._base(index)
        self._mapping.set(WORKER["generation"], generation, base)
        self._mapping.set(WORKER["owner_epoch"], epoch, base)
        self._mapping.set(WORKER["writer_pid"], os.getpid(), base)

    def own(self, index: int, epochs: Iterable[tuple[int, int]]) -> None:
        """Set the owner and epoch of partitions, where no later one has them; inside `changing`."""
        for partition, epoch in epochs:
            place = (layout.PARTITIONS_OFFSET >> 3) + partition
            if self._mapping.words[place] >> layout.WORKER_BITS <= epoch:
                self._mapping.words[place] = epoch << layout.WORKER_BITS | index + 1

    def own_again(self, index: int, partition: int, released: int, epoch: int) -> bool:
        """Take a release back, where nobody has owned the partition since; inside `changing`. Says whether it did."""
        if self.owner(partition) != (released, index):
            return False
        self._mapping.words[(layout.PARTITIONS_OFFSET >> 3) + partition] = (
            epoch << layout.WORKER_BITS | index + 1
        )
        return True

    def owner(self, partition: int) -> tuple[int, int]:
        """The epoch of a partition, and the index of its worker (-1: none)."""
        word = self._mapping.words[(layout.PARTITIONS_OFFSET >> 3) + partition]
        return word >> layout.WORKER_BITS, (word & layout.WORKER_MASK) - 1

    def close(self) -> None:
        """Unmap; the directory stays."""
        self._mapping.close()


def _open_or_create(name: str) -> Mapping:
    descriptor = os.open(path_of(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PERMISSIONS)
    try:
        # Allocating what is there already changes nothing, so two workers that start at once agree.
        os.posix_fallocate(descriptor, 0, layout.DIRECTORY_SIZE)
        return Mapping(name, descriptor)
    except OSError as error:
        os.close(descriptor)
        raise SharedMemoryError(
            f"shared memory {name}: expected {layout.DIRECTORY_SIZE} free bytes, found {error.strerror}"
        ) from error
