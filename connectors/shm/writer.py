"""The one writer of a worker's positions in shared memory.

Owns: what of a position stands in its slot. All else is `connectors.shm.slot_writer`'s.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from connectors.shm import layout
from connectors.shm.mapping import path_of, unlink
from connectors.shm.packing import key_hash, pack_slot
from connectors.shm.slot_writer import SLOTS_MAX, Key, Place, SlotWriter

__all__ = ["SLOTS_MAX", "PositionWriter", "remove"]

_Values = tuple[int, str, Sequence[Decimal | None], Sequence[int], Sequence[int]]
"""Partition, currency, decimals, counts and times."""


class PositionWriter(SlotWriter[_Values]):
    """Writes positions into slots, by book and instrument."""

    kind = layout.POSITIONS

    def texts_of(self, values: _Values) -> Sequence[str]:
        """The currency."""
        return (values[1],)

    def hash_of(self, key: Key) -> int:
        """The hash of book and instrument."""
        return key_hash(*key)

    def body(self, place: Place, values: _Values) -> bytes:
        """A position packed."""
        partition, currency, decimals, counts, times = values
        _, hashed, book, instrument = place
        return pack_slot(
            hashed,
            decimals,
            self._epochs[partition],
            counts,
            times,
            book,
            instrument,
            self._segment.texts[currency],
            partition,
        )

    def write(
        self,
        key: tuple[str, str],
        partition: int,
        currency: str,
        decimals: Sequence[Decimal | None],
        counts: Sequence[int],
        times: Sequence[int],
    ) -> None:
        """Write a position; `decimals`, `counts` and `times` in the order of the field catalogue."""
        place, values = self._places.get(key), (partition, currency, decimals, counts, times)
        if place is None or currency not in self._segment.texts:
            self._write_new(key, values)
        else:
            self._segment.write(place[0], self.body(place, values))


def remove(name: str) -> None:
    """Remove the directory and every segment under a name, for tests and for cleaning up; mapped memory stays."""
    unlink(name)
    for file in Path(path_of(name)).parent.glob(f"{name[1:]}.*"):
        file.unlink(missing_ok=True)
