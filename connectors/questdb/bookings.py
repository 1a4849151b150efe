"""The sink of QuestDB: every booking and correction as a row of `bo_positions`, by the time of its execution.

Owns: the table and its rows.
Guarantees: a row that is written again replaces itself (`DEDUP UPSERT KEYS(ts, trade_id, book)`: a correction that moves a
trade is one row in each book); numbers are exact, to 36 decimals.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from connectors.questdb.table_sink import Row, TableSink
from connectors.sink import Item
from schemas import events, topics
from schemas.frames import wire
from schemas.numbers import ZERO

NAME = "questdb"
TABLE = "bo_positions"
CREATE = f"""create table if not exists {TABLE} (
    ts timestamp, trade_id varchar, original_trade_id varchar, kind symbol, book symbol, instrument symbol,
    quantity decimal(76, 36), price decimal(76, 36), multiplier decimal(76, 36), currency symbol, account symbol,
    venue symbol, strategy symbol, executed_ns long, recorded_ns long, place long, event_id varchar
) timestamp(ts) partition by day wal dedup upsert keys(ts, trade_id, book)"""
"""`ts` keeps microseconds; `executed_ns` is exact. `place` orders what became known of a trade: the latest holds."""

RECORD_EVENTS_MAX = 1 << 20
"""More than a record has: places of its events stand between those of two records."""

CURRENT = f"""select book, instrument, sum(quantity) quantity from (
    select *, row_number() over (partition by original_trade_id, book order by place desc) newest from {TABLE}
) where newest = 1 and instrument is not null"""  # noqa: S608
"""Positions from the rows: of each trade in each book what was known last. One that was taken out has no instrument."""

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)


class BookingsSink(TableSink):
    """Writes bookings to QuestDB."""

    name = NAME
    topics: Sequence[str] = (topics.BOOKINGS.name,)
    table = TABLE
    create = CREATE

    def row_of(self, item: Item) -> Row | None:
        """The row of a booking or correction."""
        return row_of(item)


def row_of(item: Item) -> Row | None:
    """The symbols, columns and time of an event's row; None for what is no booking."""
    event = item.event
    # A trade and its correction may stand in one record.
    place = (item.sequence or item.offset) * RECORD_EVENTS_MAX + item.place
    if isinstance(event, _TradeBooked):
        return _row(event, event, "booked", event.trade_id, event.quantity, place)
    if isinstance(event, _LifecycleEventApplied):
        trade: Any = event.trade
        quantity = ZERO if trade is None else trade.quantity
        return _row(event, trade, str(event.kind), event.original_trade_id, quantity, place)
    return None


def _row(event: Any, trade: Any, kind: str, original: str, quantity: Decimal, place: int) -> Row:
    symbols: dict[str, str | None] = {"kind": kind, "book": event.book}
    columns: dict[str, Any] = {
        "trade_id": event.trade_id,
        "original_trade_id": original,
        "quantity": quantity,
        "executed_ns": event.executed_at,
        "recorded_ns": event.recorded_at,
        "place": place,
        "event_id": event.event_id,
    }
    if trade is not None:
        columns |= {"price": trade.price, "multiplier": trade.multiplier}
        symbols |= {
            "instrument": trade.instrument,
            "currency": trade.settlement_currency,
            "account": trade.account,
            "venue": trade.venue,
            "strategy": trade.strategy,
        }
    return symbols, columns, event.executed_at
