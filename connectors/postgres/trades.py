"""The sink of trades: bookings with their life-cycle history, what capture refused, and definitions as audit.

Guarantees: a trade is one row, whatever comes again (`trade_id`); a booking whose id stands already with another event
is noted among the rejected; corrections are added, nothing is overwritten, so that every earlier state can be asked for.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import asyncpg
import msgspec

from connectors.postgres.copying import Target, Value, copy_line
from connectors.postgres.session import PostgresSink
from connectors.sink import Batch, Item
from schemas import events, reference, topics
from schemas.frames import encode_event, wire

_TradeBooked = wire(events.TradeBooked)
_Lifecycle = wire(events.LifecycleEventApplied)
_TradeRejected = wire(events.TradeRejected)
_DEFINITIONS = {
    wire(reference.Instrument): "instrument",
    wire(reference.Book): "book",
    wire(reference.RoutingRule): "rule",
}

PLACE = ("known_at_ns", "log_partition", "log_offset", "log_index", "log_sequence")
_NUMBERS = (
    *("quantity", "price", "executed_at", "recorded_at", "source_sequence", "multiplier", "inverse"),
    *("accrued_interest", "leg"),
)
_TEXTS = (
    *("book", "instrument", "settlement_currency", "lot_method", "fee_policy", "business_date", "entity"),
    *("account", "strategy", "trader", "counterparty", "venue", "underlying", "instrument_class", "source"),
    *("event_id", "correlation_id"),
)
_OPTIONAL = ("settlement_date", "group_id")
_CONTENT = (
    *(f"{name}_ns" if name in ("executed_at", "recorded_at") else name for name in _NUMBERS),
    *_TEXTS,
    *_OPTIONAL,
    "fees",
)
_numbers_of, _texts_of = attrgetter(*_NUMBERS), attrgetter(*_TEXTS)
_plain_of = attrgetter("trade_id", *_NUMBERS, *_TEXTS)
_TABS = len(_NUMBERS) + len(_TEXTS)
_FORMAT = "\t".join(["%s"] * (_TABS + 1))
_NO_TRADE: list[Value] = [None] * len(_CONTENT)

_TRADES = Target("trade", "trade", ("trade_id", *_CONTENT, *PLACE), "on conflict (trade_id) do nothing")
_CORRECTIONS = Target(
    "trade",
    "correction",
    (
        *("correction_event_id", "kind", "correction_id", "trade_id", "of_book", "correction_group"),
        *("correction_leg", *_CONTENT, *PLACE),
    ),
)
_REJECTED = Target(
    "back_office",
    "rejected",
    (
        *("event_id", "trade_id", "book", "reason", "field", "expected", "found", "event_time_ns", "source"),
        *("correlation_id", *PLACE),
    ),
)
_AUDIT = Target(
    "back_office", "audit", ("event_id", "log_topic", "action", "subject", "content", "source", *PLACE)
)

_REPEATED = """
insert into back_office.rejected (event_id, trade_id, book, reason, field, expected, found, event_time_ns, source,
    correlation_id, known_at_ns, log_partition, log_offset, log_index, log_sequence)
select incoming.event_id, incoming.trade_id, incoming.book, 'the trade id stands with another booking', 'trade_id',
    'a new trade id', incoming.trade_id, incoming.executed_at_ns, incoming.source, incoming.correlation_id,
    incoming.known_at_ns, incoming.log_partition, incoming.log_offset, incoming.log_index, incoming.log_sequence
from incoming_trade as incoming join trade.trade as known using (trade_id)
where known.event_id <> incoming.event_id
on conflict do nothing
"""


def place_of(item: Item) -> tuple[Value, ...]:
    """The columns `PLACE` of an event."""
    return item.appended_at, item.partition, item.offset, item.place, item.sequence


def _terms_of(booked: Any) -> list[Value]:
    optional = [getattr(booked, name) for name in _OPTIONAL]
    return [*_numbers_of(booked), *_texts_of(booked), *optional, _fees_of(booked)]


def _fees_of(booked: Any) -> str:
    return msgspec.json.encode(booked.fees).decode() if booked.fees else "[]"


def trade_columns() -> tuple[str, ...]:
    """The columns of `trade.trade`, in the order of `line_of_trade`."""
    return _TRADES.columns


def line_of_trade(item: Item) -> str:
    """A booked trade as a row of COPY."""
    booked = item.event
    # What nearly every trade is, in one go; where it is something else, a text of it has a character too many.
    line = _FORMAT % _plain_of(booked)
    if (
        booked.fees
        or booked.settlement_date is not None
        or booked.group_id is not None
        or "\\" in line
        or "\n" in line
        or "\r" in line
        or line.count("\t") != _TABS
    ):
        return copy_line([booked.trade_id, *_terms_of(booked), *place_of(item)])
    place = f"{item.appended_at}\t{item.partition}\t{item.offset}\t{item.place}\t{item.sequence}"
    return f"{line}\t\\N\t\\N\t[]\t{place}"


class TradesSink(PostgresSink):
    """`trade.*`, `back_office.rejected` and `back_office.audit`."""

    name = "postgres-trades"
    topics: Sequence[str] = (
        topics.BOOKINGS.name,
        topics.REJECTIONS.name,
        topics.INSTRUMENTS.name,
        topics.BOOKS.name,
        topics.ROUTING_RULES.name,
    )
    targets: Sequence[Target] = (_TRADES, _CORRECTIONS, _REJECTED, _AUDIT)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._repeats = False

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write trades, corrections, rejections and definitions."""
        booked = [item for item in batch.items if type(item.event) is _TradeBooked]
        if booked:
            await self._write_trades(connection, booked)
        if len(booked) == len(batch.items):
            return
        lines: dict[Target, list[str]] = {}
        for item in batch.items:
            row = _row_of(item)
            if row is not None:
                lines.setdefault(row[0], []).append(copy_line(row[1]))
        for target, found in lines.items():
            await target.add(connection, found)

    async def _write_trades(self, connection: asyncpg.Connection, booked: Sequence[Item]) -> None:
        """Straight into the table, as long as all are new there; the way around where some are not."""
        if not self._repeats and await _TRADES.add_new(connection, map(line_of_trade, booked)):
            return
        added = await _TRADES.add(connection, [line_of_trade(item) for item in booked])
        self._repeats = added < len(booked)
        if self._repeats:
            await connection.execute(_REPEATED)


def _row_of(item: Item) -> tuple[Target, list[Value]] | None:
    """The row of anything but a booked trade."""
    event = item.event
    kind = type(event)
    place = place_of(item)
    if kind is _Lifecycle:
        terms = _NO_TRADE if event.trade is None else _terms_of(event.trade)
        first: list[Value] = [event.event_id, str(event.kind), event.trade_id, event.original_trade_id]
        return _CORRECTIONS, [*first, event.book, event.group_id, event.leg, *terms, *place]
    if kind is _TradeRejected:
        first = [event.event_id, event.trade_id, event.book, event.reason, event.field, event.expected]
        return _REJECTED, [*first, event.found, event.event_time, event.source, event.correlation_id, *place]
    if kind in _DEFINITIONS:
        subject = _DEFINITIONS[kind]
        content = encode_event(event).decode()
        named = f"{subject} {getattr(event, subject)}"
        return _AUDIT, [event.event_id, item.topic, "defined", named, content, event.source, *place]
    return None
