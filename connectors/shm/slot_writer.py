"""The one writer of a worker's slots in shared memory, whatever stands in them.

Owns: the worker's generations: the first, those that growth makes, and the end.
Assumes: called from one thread, with committed state only.
Guarantees: readers see nothing of a generation before `claim`; a full segment grows by a generation of twice the
slots, and where that is not possible the positions without a slot wait (alarm in the header, hook) and get theirs
as soon as there is room; nothing here raises because a segment is full.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from connectors.shm import layout
from connectors.shm.directory import Directory
from connectors.shm.errors import SharedMemoryError, SharedMemoryFull, SharedMemoryInUse
from connectors.shm.layout import SEGMENT, segment_name
from connectors.shm.mapping import Mapping, unlink
from connectors.shm.segment import Segment
from connectors.shm.slots import SlotLayout, key_hash

SLOTS_MAX = 1 << 22
"""Most slots of a generation (1.4 GB); more positions than that wait for a slot."""

Key = tuple[str, ...]
Place = tuple[int, ...]
"""Slot number, hash of the key, places of the key's texts."""

Values = TypeVar("Values")
_WORKER = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)


class SlotWriter(ABC, Generic[Values]):
    """Writes slots of one kind.

    `partitions` is how many the log has. Raises SharedMemoryInUse where another process writes as this worker,
    SharedMemoryError where the directory is of another layout, SharedMemoryFull where there is no memory.
    """

    kind: SlotLayout

    @abstractmethod
    def texts_of(self, values: Values) -> Sequence[str]:
        """The texts of a slot beside its key."""

    @abstractmethod
    def body(self, place: Place, values: Values) -> bytes:
        """A slot packed without its sequence; its texts are in the segment."""

    def hash_of(self, key: Key) -> int:
        """The hash of a key."""
        return key_hash(*key)

    def epoch_of(self, partition: int) -> int:
        """The owner epoch that slots of a partition are written under."""
        return self._epochs[partition]

    def __init__(
        self,
        name: str,
        *,
        slots: int,
        partitions: int,
        worker: str = "0",
        slots_max: int = SLOTS_MAX,
        on_alarm: Callable[[str], None] | None = None,
    ) -> None:
        if _WORKER.fullmatch(worker) is None:
            raise SharedMemoryError(
                f"shared memory {name}: expected a worker name of 1 to 48 letters, digits, _ and -, found {worker!r}"
            )
        self.name, self.worker, self.partitions = name, worker, partitions
        self._slots_max = max(slots, slots_max)
        self._on_alarm = on_alarm
        self._waiting: dict[Key, Values] = {}
        self._places: dict[Key, Place] = {}
        self._shown = self._closed = False
        self._directory = Directory(name, partitions, self.kind)
        try:
            with self._directory.locked():
                self._begin(slots)
        except BaseException:
            self._directory.close()
            raise

    def _begin(self, slots: int) -> None:
        directory = self._directory
        self._index = directory.worker(self.worker)
        shown, building = directory.generations(self._index)
        self._previous = self._take_over(shown)
        unfinished = self._take_over(building) if building != shown else None
        if unfinished is not None:
            # A worker died before it showed this generation.
            unlink(unfinished.name)
            unfinished.close()
        if self._previous is not None:
            # What was shown before will be shown again: to grow into it costs as much as to write it.
            used = self._previous.get(SEGMENT["slots_used"])
            while slots < used and 2 * slots <= self._slots_max:
                slots *= 2
        self.epoch = directory.next_epoch()
        self._epochs = [self.epoch] * self.partitions
        self._released: dict[int, int] = {}
        generation = max(shown, building) + 1
        try:
            self._segment = Segment(self.name, self.worker, generation, slots, self.epoch, self.kind)
        except BaseException:
            if self._previous is not None:
                self._previous.close()
            raise
        directory.build(self._index, generation)

    def _take_over(self, generation: int) -> Mapping | None:
        mapping = Mapping.open(segment_name(self.name, self.worker, generation)) if generation else None
        if mapping is not None and not mapping.try_lock():
            pid = mapping.get(SEGMENT["writer_pid"])
            mapping.close()
            raise SharedMemoryInUse(
                f"shared memory {self.name}: expected no other writer of worker {self.worker}, found process {pid}: "
                "stop it, or take another name (setting shared_memory)"
            )
        return mapping

    @property
    def segment(self) -> Segment:
        """The generation that is written now."""
        return self._segment

    @property
    def waiting(self) -> int:
        """How many positions have no slot, since the segment cannot grow."""
        return len(self._waiting)

    def put(self, key: Key, values: Values) -> None:
        """Write a slot."""
        place, texts = self._places.get(key), self._segment.texts
        if place is None or any(text not in texts for text in self.texts_of(values)):
            self._write_new(key, values)
        else:
            self._segment.write(place[0], self.body(place, values))

    def _write_new(self, key: Key, values: Values) -> None:
        """Write what has no slot yet, or a text that is not among the segment's."""
        segment = self._segment
        # Where it could not grow before, only the heartbeat tries again, not every new key.
        may_grow = not self._waiting
        while True:
            try:
                named = [segment.text(text) for text in key]
                for text in self.texts_of(values):
                    segment.text(text)
                place = self._places.get(key)
                if place is not None:
                    segment.write(place[0], self.body(place, values))
                    return
                place = (segment.add(), self.hash_of(key), *named)
                break
            except SharedMemoryFull as error:
                if not may_grow or not self._grow(str(error)):
                    self._waiting[key] = values
                    segment.set("waiting", len(self._waiting))
                    return
                segment = self._segment
        segment.write(place[0], self.body(place, values))
        segment.index(place[0], place[1])
        self._places[key] = place

    def _grow(self, reason: str) -> bool:
        """Go on in a generation of twice the slots; False where that is not possible now."""
        segment = self._segment
        try:
            if 2 * segment.slot_count > self._slots_max:
                raise SharedMemoryFull(f"expected at most {self._slots_max} slots (the bound)")
            with self._directory.locked():
                larger = segment.grown(self.name, segment.generation + 1)
                if self._shown:
                    larger.set("state", layout.ACTIVE)
                    with self._directory.changing():
                        self._directory.show(self._index, larger.generation, self.epoch)
                self._directory.build(self._index, larger.generation)
        except SharedMemoryFull as error:
            if not segment.get("alarms") & layout.ALARM_FULL:
                segment.set("alarms", segment.get("alarms") | layout.ALARM_FULL)
                self._alarm(f"{reason} are used and cannot be more: {error}; new positions are not shown")
            return False
        self._segment = larger
        segment.retire(layout.SUPERSEDED, keep=False)
        self._alarm(f"{reason} are used: generation {larger.generation} has {larger.slot_count} slots")
        return True

    def _alarm(self, text: str) -> None:
        if self._on_alarm is not None:
            self._on_alarm(text)

    def claim(self, partitions: Iterable[int] | None = None) -> None:
        """Show what was written, and own partitions (all of them, if none are named) for readers.

        A partition that another worker has claimed with a later epoch stays with that one.
        """
        claimed = range(self.partitions) if partitions is None else partitions
        self.heartbeat()
        with self._directory.locked():
            self._segment.set("state", layout.ACTIVE)
            with self._directory.changing():
                self._directory.show(self._index, self._segment.generation, self.epoch)
                self._directory.own(self._index, ((number, self._epochs[number]) for number in claimed))
            self._shown = True
            if self._previous is not None:
                self._previous.set(SEGMENT["state"], layout.SUPERSEDED)
                unlink(self._previous.name)
                self._previous.close()
                self._previous = None

    def renew(self, partition: int) -> None:
        """Begin to own a partition (again): write its positions after this, then `claim` it."""
        with self._directory.locked():
            self._epochs[partition] = self._directory.next_epoch()
        self._released.pop(partition, None)

    def release(self, partitions: Iterable[int]) -> None:
        """Own partitions no more: their slots keep the last state, and stop being live at once."""
        with self._directory.locked():
            epoch = self._directory.next_epoch()
            with self._directory.changing():
                for partition in partitions:
                    if self._directory.owner(partition) == (self._epochs[partition], self._index):
                        self._directory.own(self._index, [(partition, epoch)])
                        self._released[partition] = epoch

    def resume(self, partition: int) -> bool:
        """Own a released partition again whose slots are still what they were; False where another owned it since."""
        released = self._released.pop(partition, None)
        if released is None:
            return False
        with self._directory.locked(), self._directory.changing():
            return self._directory.own_again(self._index, partition, released, self._epochs[partition])

    def committed(self, sequence: int) -> None:
        """All that is written is the state up to this sequence of the log."""
        self._segment.set("committed_sequence", sequence)
        self._segment.set("heartbeat", time.monotonic_ns())

    def heartbeat(self, durable_sequence: int | None = None) -> None:
        """Say that this writer lives and what is durable; give waiting positions a slot where there is room."""
        segment = self._segment
        if durable_sequence is not None:
            segment.set("durable_sequence", durable_sequence)
        segment.set("heartbeat", time.monotonic_ns())
        if self._waiting and self._grow(f"shared memory {segment.name}: {segment.slot_count} slots"):
            waiting, self._waiting = self._waiting, {}
            for key, values in waiting.items():
                self._write_new(key, values)

    def close(self, *, keep: bool = True) -> None:
        """A clean stop: marked as closed. The last state stays readable, and not live, if told to keep it."""
        if self._closed:
            return
        self._closed = True
        if self._previous is not None:
            self._previous.close()
        self._segment.retire(layout.CLOSED, keep=keep and self._shown)
        self._directory.close()
