"""Bookings that wait until a position has been re-matched, in the order in which they came.

Owns: the queue family of the `positions` table, `q` then offset (8 bytes) and place in the record (4): the positions
that a booking may change, and the booking.
Guarantees: what concerns the same position, trade or correction is done in the order in which it came, and nothing else
waits for it; the queue outlives the process.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from schemas import events, topics
from schemas.frames import encode_event, wire
from schemas.identity import position_key
from tables.partition import TablePartition
from tables.store import Store

QUEUE = b"q"

Place = tuple[str, str]
"""Book and instrument."""

_POSITION, _TRADE, _CORRECTION = b"p", b"t", b"e"
_TradeBooked = wire(events.TradeBooked)


class _Stored(msgspec.Struct, array_like=True, gc=False):
    positions: list[Place]
    booking: bytes
    last_end: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A booking of the queue: where it came from, the positions that it may change, what it says, and the end of the last day
    of its book that had come before it (0: none)."""

    key: bytes
    positions: list[Place]
    event: Any
    last_end: int = 0

    @property
    def offset(self) -> int:
        """The offset of its record in the partition of bookings."""
        return int.from_bytes(self.key[1:9], "big")

    @property
    def index(self) -> int:
        """Its place in the record."""
        return int.from_bytes(self.key[9:], "big")


def waiting_by_position(table: TablePartition | Store) -> dict[Place, int]:
    """How many bookings wait in a table partition, by each position that they may change."""
    found: dict[Place, int] = {}
    for _, stored in table.scan(QUEUE, b"r"):
        for place in _decode(stored).positions:
            found[place] = found.get(place, 0) + 1
    return found


def _names(event: Any) -> list[bytes]:
    """What of a booking must be done in order, beside its positions."""
    if type(event) is _TradeBooked:
        return [_TRADE + position_key(event.book, event.trade_id)]
    return [
        _TRADE + position_key(event.book, event.original_trade_id),
        _CORRECTION + position_key(event.book, event.trade_id),
    ]


class BookingQueue:
    """The queue of one partition. False where nothing waits.

    Each booking stands in several *lines*, one for each position, trade and correction that it concerns; it is *ready*
    when it is the first in all of them, and was not set aside (`hold`).
    """

    def __init__(self, table: TablePartition) -> None:
        self._table = table
        self._changed = False
        self._load()

    def _load(self) -> None:
        self._lines: dict[bytes, deque[bytes]] = {}
        self._waiting: dict[bytes, list[bytes]] = {}
        self._ready: list[bytes] = []
        for key, stored in self._table.scan(QUEUE, b"r"):
            found = _decode(stored)
            self._stand(key, self._lines_of(found.positions, _event(found.booking)))

    def _lines_of(self, positions: Iterable[Place], event: Any) -> list[bytes]:
        return [*(_POSITION + position_key(*place) for place in positions), *_names(event)]

    def _stand(self, key: bytes, lines: list[bytes]) -> None:
        self._waiting[key] = lines
        for line in lines:
            self._lines.setdefault(line, deque()).append(key)
        self._look(key)

    def _look(self, key: bytes) -> None:
        if all(self._lines[line][0] == key for line in self._waiting[key]):
            heapq.heappush(self._ready, key)

    def __len__(self) -> int:
        return len(self._waiting)

    def concerns(self, event: Any, positions: Sequence[Place]) -> bool:
        """Whether something waits that an event must not come before; `positions` are those that it may change."""
        return any(line in self._lines for line in self._lines_of(positions, event))

    def add(self, offset: int, index: int, event: Any, positions: Sequence[Place], last_end: int = 0) -> None:
        """Let an event wait that came at a place of the bookings, after the day that ended at `last_end`."""
        # A correction may come to a position by way of those of its trade that wait before it.
        places = dict.fromkeys(positions)
        for line in _names(event):
            for key in self._lines.get(line, ()):
                places.update(dict.fromkeys(self.find(key).positions))
        key = QUEUE + offset.to_bytes(8, "big") + index.to_bytes(4, "big")
        self._table.put(key, _encode(_Stored(list(places), encode_event(event), last_end)))
        self._changed = True
        self._stand(key, self._lines_of(places, event))

    def next(self) -> Waiting | None:
        """The first booking that is ready; None where none is. It stays in the queue."""
        return self.find(self._ready[0]) if self._ready else None

    def find(self, key: bytes) -> Waiting:
        """A booking that stands in the queue."""
        stored = self._table.get(key)
        assert stored is not None, "what stands in a line is in the table"
        found = _decode(stored)
        return Waiting(key, found.positions, _event(found.booking), found.last_end)

    def hold(self, key: bytes) -> None:
        """Set a ready booking aside: it keeps its places, and is not ready until it is `release`d."""
        if self._ready[0] == key:
            heapq.heappop(self._ready)
        else:
            self._ready.remove(key)
            heapq.heapify(self._ready)

    def release(self, keys: Iterable[bytes]) -> None:
        """What was set aside is ready again."""
        for key in keys:
            heapq.heappush(self._ready, key)

    def remove(self, waiting: Waiting) -> None:
        """A booking that is ready, or was set aside, is done: those that waited behind it move up."""
        key = waiting.key
        self._table.delete(key)
        self._changed = True
        if key in self._ready:
            self.hold(key)
        behind: dict[bytes, None] = {}
        for line in self._waiting.pop(key):
            keys = self._lines[line]
            keys.popleft()
            if keys:
                behind[keys[0]] = None
            else:
                del self._lines[line]
        for after in behind:
            self._look(after)

    def committed(self) -> None:
        """The step is committed."""
        self._changed = False

    def rollback(self, held: Iterable[bytes]) -> None:
        """Take the queue again from the table, which the runtime has set back; what is `held` stays set aside."""
        if self._changed:
            self._load()
            for key in held:
                self._ready.remove(key)
            heapq.heapify(self._ready)
            self._changed = bool(self._table.changes)


def _event(booking: bytes) -> Any:
    return topics.BOOKINGS.codec.decode(b"[" + booking + b"]")[0]
