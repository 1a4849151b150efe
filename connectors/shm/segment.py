"""A data segment: slots, the index over them, and their texts, as its one writer fills it.

Owns: one generation of one worker's slots.
Assumes: one writing thread; x86-64, where stores become visible in the order in which they were made.
Guarantees: a reader that checks the sequence never takes a torn slot; a slot is whole before the index names
it; slots keep their numbers, in this generation and in those that are grown from it.
"""

import os
import time

from connectors.shm import layout
from connectors.shm.errors import SharedMemoryFull
from connectors.shm.layout import SEGMENT, SEGMENT_HEADER_SIZE
from connectors.shm.mapping import Mapping, unlink
from connectors.shm.slots import SlotLayout

TEXT_BYTES_MAX = (1 << 16) - 1


class Segment:
    """A generation that is being written; `kind` says what stands in its slots."""

    def __init__(
        self,
        directory: str,
        worker: str,
        generation: int,
        slots: int,
        epoch: int,
        kind: SlotLayout = layout.POSITIONS,
    ) -> None:
        index_count, index_offset, strings_offset, strings_size, size = layout.segment_sizes(slots, kind.size)
        self.kind = kind
        self._slot_size = kind.size
        self.name = layout.segment_name(directory, worker, generation)
        self.generation = generation
        self.slot_count = slots
        self.slots_used = 0
        self._epoch = epoch
        self._worker = worker
        self.mapping = Mapping.create(self.name, size)
        self._index = index_offset >> 3
        self._index_mask = index_count - 1
        self._strings_offset, self._strings_size = strings_offset, strings_size
        self.texts: dict[str, int] = {"": 0}
        self._strings_used = 2
        for member, value in (
            ("layout_version", layout.LAYOUT_VERSION),
            ("catalogue_version", kind.catalogue_version),
            ("header_size", SEGMENT_HEADER_SIZE),
            ("slot_size", kind.size),
            ("slot_count", slots),
            ("index_offset", index_offset),
            ("index_count", index_count),
            ("strings_offset", strings_offset),
            ("strings_size", strings_size),
            ("segment_size", size),
            ("generation", generation),
            ("owner_epoch", epoch),
            ("writer_pid", os.getpid()),
            ("started_at", time.time_ns()),
            ("state", layout.BUILDING),
            ("strings_used", self._strings_used),
            ("magic", kind.segment_magic),
        ):
            self.set(member, value)
        self.mapping.set_text(SEGMENT["worker"], worker)

    def set(self, member: str, value: int) -> None:
        """Store a word of the header."""
        self.mapping.set(SEGMENT[member], value)

    def get(self, member: str) -> int:
        """A word of the header."""
        return self.mapping.get(SEGMENT[member])

    def text(self, text: str) -> int:
        """The place of a text among the strings, where it is added if it is new. Raises SharedMemoryFull."""
        place = self.texts.get(text)
        if place is None:
            encoded = text.encode()[:TEXT_BYTES_MAX]
            place, following = self._strings_used, self._strings_used + 2 + len(encoded)
            if following > self._strings_size:
                raise SharedMemoryFull(f"shared memory {self.name}: {self._strings_size} bytes of texts")
            start = self._strings_offset + place
            self.mapping.view[start : start + 2 + len(encoded)] = len(encoded).to_bytes(2, "little") + encoded
            self.texts[text] = place
            self._strings_used = following
            self.set("strings_used", following)
        return place

    def add(self) -> int:
        """The number of a new slot, which nobody finds before `index`. Raises SharedMemoryFull."""
        if self.slots_used == self.slot_count:
            raise SharedMemoryFull(f"shared memory {self.name}: {self.slot_count} slots")
        self.slots_used += 1
        return self.slots_used - 1

    def write(self, number: int, body: bytes) -> None:
        """Write a slot, packed without its sequence."""
        size = self._slot_size
        start = SEGMENT_HEADER_SIZE + number * size
        words, word = self.mapping.words, start >> 3
        sequence = words[word]
        words[word] = sequence + 1
        self.mapping.view[start + 8 : start + size] = body
        words[word] = sequence + 2

    def index(self, number: int, key_hash: int) -> None:
        """Let a slot be found, once it is written."""
        words, place = self.mapping.words, key_hash & self._index_mask
        while words[self._index + place]:
            place = place + 1 & self._index_mask
        words[self._index + place] = (key_hash >> 32) << 32 | number + 1
        self.set("slots_used", self.slots_used)

    def grown(self, directory: str, generation: int) -> "Segment":
        """A generation of twice the slots with the same contents. Raises SharedMemoryFull."""
        larger = Segment(directory, self._worker, generation, 2 * self.slot_count, self._epoch, self.kind)
        end = SEGMENT_HEADER_SIZE + self.slots_used * self._slot_size
        larger.mapping.view[SEGMENT_HEADER_SIZE:end] = self.mapping.view[SEGMENT_HEADER_SIZE:end]
        to, start = larger._strings_offset, self._strings_offset
        larger.mapping.view[to : to + self._strings_used] = self.mapping.view[
            start : start + self._strings_used
        ]
        larger.texts, larger._strings_used = self.texts, self._strings_used
        larger.slots_used = self.slots_used
        words, step = self.mapping.words, self._slot_size >> 3
        first = SEGMENT_HEADER_SIZE + self.kind.members["key_hash"].offset >> 3
        for number in range(self.slots_used):
            larger.index(number, words[first + number * step])
        larger.set("strings_used", self._strings_used)
        for member in ("heartbeat", "committed_sequence", "durable_sequence"):
            larger.set(member, self.get(member))
        larger.set("growths", self.get("growths") + 1)
        return larger

    def retire(self, state: int, *, keep: bool) -> None:
        """Say that nobody writes here any more, and unmap; the name stays only if told to keep it."""
        self.set("state", state)
        if not keep:
            unlink(self.name)
        self.mapping.close()
