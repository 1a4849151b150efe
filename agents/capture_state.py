"""What the capture stage keeps: trade ids for ever, waiting corrections, reference data, idempotency hashes.

Families of keys (first byte):

    t trade id      where an id stands (`TradeRecord`)
    w number        a correction that waits for its trade
    r topic 0 id    a definition of reference data
    i hash          when a client-supplied idempotency hash was recorded; x time hash is the same by time
    k               the clock: ticks seen
    y book          the first business date of a book that is not over
    z book          the last business date of a book that was closed
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agents.loaded_state import LoadedState
from agents.stage import Refusal
from domain.capture.booking import Booker
from domain.capture.definitions import definition_fault
from domain.capture.lifecycle import TradeRecord
from domain.capture.reference import ReferenceData
from schemas import events, money, reference
from schemas.frames import encode_event, wire
from schemas.times import NANOSECONDS_PER_SECOND
from tables.known_keys import KnownKeys
from tables.partition import TablePartition

TRADE, WAITING, REFERENCE, HASH, HASH_BY_TIME, CLOCK = b"t", b"w", b"r", b"i", b"x", b"k"
OPEN_DAY, CLOSED_DAY = b"y", b"z"

IDEMPOTENCY_NANOSECONDS = 24 * 3600 * NANOSECONDS_PER_SECOND
_EXPIRED_HASHES_MAX = 10_000
_KNOWN_AT_START = 20_000
_KNOWN_A_STEP = 4_000

_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(TradeRecord).decode

_REFERENCE_KEYS: Mapping[type, tuple[str, str]] = {
    wire(money.PostingRules): ("PostingRules", "version"),
    wire(reference.Instrument): ("Instrument", "instrument"),
    wire(reference.Book): ("Book", "book"),
    wire(reference.RoutingRule): ("RoutingRule", "rule"),
}
_decode_reference = msgspec.json.Decoder(
    wire(reference.Instrument) | wire(reference.Book) | wire(reference.RoutingRule) | wire(money.PostingRules)
).decode


class Waiting(msgspec.Struct, array_like=True, gc=False):
    """A correction that waits for its trade: since which tick, and where it stood in the input."""

    number: int
    tick: int
    offset: int
    index: int
    fill: Any


class _StoredWaiting(Waiting, array_like=True, gc=False):
    fill: wire(events.FillEvent)  # type: ignore[valid-type]


_decode_waiting = msgspec.json.Decoder(_StoredWaiting).decode


class CaptureState(LoadedState):
    """Capture's memory of one partition."""

    def __init__(self, table: TablePartition, waiting_max: int, waiting_ticks_max: int) -> None:
        super().__init__(table)
        self.waiting_max = waiting_max
        self.waiting_ticks_max = waiting_ticks_max
        self.known_trades = KnownKeys(table.store, TRADE)
        self.known_trades.load(_KNOWN_AT_START)
        self._load()

    def _load(self) -> None:
        self.reference = ReferenceData()
        self.reference.define(_decode_reference(value) for _, value in self.table.scan_prefix(REFERENCE))
        self.booker = Booker(self.reference)
        self.tick = int(self.table.get(CLOCK) or 0)
        self.waiting: dict[str, list[Waiting]] = {}
        self.waiting_count = 0
        self._next_number = 0
        for _, value in self.table.scan_prefix(WAITING):
            waiting = _decode_waiting(value)
            self.waiting.setdefault(waiting.fill.original_trade_id, []).append(waiting)
            self.waiting_count += 1
            self._next_number = waiting.number + 1

    def record(self, trade_id: str) -> TradeRecord | None:
        """What is known of an id."""
        key = TRADE + trade_id.encode()
        if not self.known_trades.seen(key):
            return None
        stored = self.table.get(key)
        return None if stored is None else _decode_record(stored)

    def put_record(self, trade_id: str, record: TradeRecord) -> None:
        """Keep what is known of an id that `record` was asked for."""
        self.table.changes[TRADE + trade_id.encode()] = _encode(record)

    def forget_record(self, trade_id: str) -> None:
        """An id that was refused after all may come again."""
        self.table.delete(TRADE + trade_id.encode())

    def define(self, definition: Any) -> Refusal | None:
        """Take in one piece of reference data, or say why not."""
        self._stale = True
        fault = definition_fault(definition)
        if fault is not None:
            return Refusal(fault.reason, fault.field, fault.expected, fault.found)
        self.reference.define([definition])
        kind, name = _REFERENCE_KEYS[type(definition)]
        key = REFERENCE + kind.encode() + b"\x00" + str(getattr(definition, name)).encode()
        self.table.put(key, encode_event(definition))
        return None

    def add_waiting(self, offset: int, index: int, fill: Any) -> None:
        """Let a correction wait for its trade."""
        self._stale = True
        waiting = Waiting(self._next_number, self.tick, offset, index, fill)
        self._next_number += 1
        self.waiting_count += 1
        self.waiting.setdefault(fill.original_trade_id, []).append(waiting)
        self.table.put(*waiting_change(waiting))

    def take_waiting(self, trade_id: str) -> list[Waiting]:
        """The corrections that waited for a trade, in the order of their arrival."""
        found = self.waiting.pop(trade_id, None)
        if found is None:
            return []
        self._forget_waiting(found)
        return found

    def take_expired(self) -> list[Waiting]:
        """The corrections that waited too many ticks, in the order of their arrival."""
        oldest = self.tick - self.waiting_ticks_max
        expired = sorted(
            (waiting for waits in self.waiting.values() for waiting in waits if waiting.tick <= oldest),
            key=lambda waiting: waiting.number,
        )
        for waiting in expired:
            waits = self.waiting[waiting.fill.original_trade_id]
            waits.remove(waiting)
            if not waits:
                del self.waiting[waiting.fill.original_trade_id]
        self._forget_waiting(expired)
        return expired

    def _forget_waiting(self, found: Iterable[Waiting]) -> None:
        self._stale = True
        for waiting in found:
            self.waiting_count -= 1
            self.table.delete(WAITING + waiting.number.to_bytes(8, "big"))

    def advance_clock(self, now: int) -> None:
        """A tick: time passes for what waits and for idempotency hashes."""
        self._stale = True
        self.tick += 1
        self.table.put(CLOCK, str(self.tick).encode())
        oldest = max(now - IDEMPOTENCY_NANOSECONDS, 0).to_bytes(8, "big")
        for count, (key, _) in enumerate(self.table.scan(HASH_BY_TIME, HASH_BY_TIME + oldest)):
            if count >= _EXPIRED_HASHES_MAX:
                break
            self.table.delete(key)
            self.table.delete(HASH + key[9:])

    def hash_known(self, idempotency_hash: str, recorded_at: int) -> bool:
        """Whether a fill of this hash was accepted within 24 hours before."""
        stored = self.table.get(HASH + idempotency_hash.encode())
        return stored is not None and (
            abs(recorded_at - int.from_bytes(stored, "big")) < IDEMPOTENCY_NANOSECONDS
        )

    def note_hash(self, idempotency_hash: str, recorded_at: int) -> None:
        """A fill of this hash is accepted; one that is refused may come again with it."""
        name = idempotency_hash.encode()
        before = self.table.get(HASH + name)
        if before is not None:
            self.table.delete(HASH_BY_TIME + before + name)
        self.table.changes.update(hash_changes(idempotency_hash, recorded_at))

    def forget_hash(self, idempotency_hash: str, recorded_at: int) -> None:
        """The fill that was accepted with this hash is refused after all."""
        name, when = idempotency_hash.encode(), recorded_at.to_bytes(8, "big")
        if self.table.get(HASH + name) == when:
            self.table.delete(HASH + name)
            self.table.delete(HASH_BY_TIME + when + name)

    def committed(self) -> None:
        """The step is committed; some more of the known ids are taken into memory."""
        super().committed()
        self.known_trades.load(_KNOWN_A_STEP)


def waiting_corrections(table: TablePartition) -> Iterator[Waiting]:
    """The corrections that wait for their trade, in the order of their coming."""
    for _, value in table.scan_prefix(WAITING):
        yield _decode_waiting(value)


def waiting_change(waiting: Waiting) -> tuple[bytes, bytes]:
    """The key and the value of a correction that waits."""
    return WAITING + waiting.number.to_bytes(8, "big"), encode_event(waiting)


def trade_records(table: TablePartition) -> Iterator[tuple[str, TradeRecord, bytes]]:
    """Every id that is known, with its record and the bytes of it."""
    for key, value in table.scan_prefix(TRADE):
        yield key[len(TRADE) :].decode(), _decode_record(value), value


def hash_changes(idempotency_hash: str, recorded_at: int) -> dict[bytes, bytes]:
    """The keys and values of a hash of an accepted fill."""
    name, when = idempotency_hash.encode(), recorded_at.to_bytes(8, "big")
    return {HASH + name: when, HASH_BY_TIME + when + name: b""}
