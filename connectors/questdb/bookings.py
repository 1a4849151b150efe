"""The sink of QuestDB: every booking and correction as a row of `bo_positions`, by the time of its execution.

Owns: the table and its rows.
Assumes: ILP over HTTP, which confirms; one table a request, which QuestDB takes whole or not at all.
Guarantees: a row that is written again replaces itself (`DEDUP UPSERT KEYS(ts, trade_id, book)`: a correction that moves a
trade is one row in each book); numbers are exact, to 36 decimals; the runtime keeps the offsets, after QuestDB has
confirmed. The library does not try again: its buffer would be lost (the batch is in the log).
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from questdb import QuestDBError, Sender, TimestampNanos

from connectors.questdb.server import QuestdbSettings, query, resume_suspended
from connectors.sink import Batch, Item, Refused, TopicPartition, Unavailable
from schemas import events, topics
from schemas.frames import wire
from schemas.numbers import ZERO

NAME = "questdb"
TABLE = "bo_positions"
LOOK_SECONDS = 5.0
"""Between two looks whether the table is suspended, while rows are written."""

CREATE = f"""create table if not exists {TABLE} (
    ts timestamp, trade_id varchar, original_trade_id varchar, kind symbol, book symbol, instrument symbol,
    quantity decimal(76, 36), price decimal(76, 36), multiplier decimal(76, 36), currency symbol, account symbol,
    venue symbol, strategy symbol, executed_ns long, recorded_ns long, place long, event_id varchar
) timestamp(ts) partition by day wal dedup upsert keys(ts, trade_id, book)"""
"""`ts` keeps microseconds; `executed_ns` is exact. `place` orders what became known of a trade: the latest holds."""

CURRENT = f"""select book, instrument, sum(quantity) quantity from (
    select *, row_number() over (partition by original_trade_id, book order by place desc) newest from {TABLE}
) where newest = 1"""  # noqa: S608
"""Positions from the rows: of each trade in each book what was known last."""

_TradeBooked = wire(events.TradeBooked)
_LifecycleEventApplied = wire(events.LifecycleEventApplied)
_CONTENT = "ServerFlushError"


class BookingsSink:
    """Writes bookings to QuestDB."""

    name = NAME
    topics: Sequence[str] = (topics.BOOKINGS.name,)
    keeps_offsets = False

    def __init__(self, settings: QuestdbSettings) -> None:
        self._settings = settings
        self._sender: Sender | None = None
        self._looked_at = 0.0
        self.complaints: Counter[str] = Counter()

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect, make the table, and let it go on where it was suspended. Raises Unavailable."""
        await asyncio.to_thread(self._open)
        return {}

    def _open(self) -> None:
        query(self._settings, CREATE)
        self._look()
        try:
            self._sender = Sender.from_conf(self._settings.client)
            self._sender.establish()  # type: ignore[no-untyped-call]
        except QuestDBError as error:
            raise Unavailable(f"QuestDB: expected a connection, found: {error}") from error

    def _look(self) -> None:
        if resume_suspended(self._settings, TABLE):
            self.complaints["suspended"] += 1
        self._looked_at = time.monotonic()

    async def write(self, batch: Batch) -> None:
        """Write a batch; returns when QuestDB has confirmed it. Raises Unavailable, Refused."""
        await asyncio.to_thread(self._write, batch.items)

    def _write(self, items: Sequence[Item]) -> None:
        assert self._sender is not None, "it was opened"
        buffer = self._sender.new_buffer()
        try:
            for item in items:
                row = row_of(item)
                if row is not None:
                    symbols, columns, at = row
                    buffer.row(TABLE, symbols=symbols, columns=columns, at=TimestampNanos(at))
            if len(buffer):
                self._sender.flush(buffer, clear=False)
        except QuestDBError as error:
            if error.code.name == _CONTENT:
                raise Refused(f"QuestDB: expected the rows to be taken, found: {error}") from error
            raise Unavailable(f"QuestDB: expected the rows to be confirmed, found: {error}") from error
        except (ValueError, OverflowError) as error:
            raise Refused(f"QuestDB: expected values that a row can hold, found: {error}") from error
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._look()

    async def close(self) -> None:
        """Disconnect; never raises."""
        sender, self._sender = self._sender, None
        if sender is not None:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(sender.close, flush=False)


def row_of(item: Item) -> tuple[dict[str, str | None], dict[str, Any], int] | None:
    """The symbols, columns and time of an event's row; None for what is no booking."""
    event = item.event
    place = item.sequence or item.offset
    if isinstance(event, _TradeBooked):
        return _row(event, event, "booked", event.trade_id, event.quantity, place)
    if isinstance(event, _LifecycleEventApplied):
        trade: Any = event.trade
        quantity = ZERO if trade is None else trade.quantity
        return _row(event, trade, str(event.kind), event.original_trade_id, quantity, place)
    return None


def _row(
    event: Any, trade: Any, kind: str, original: str, quantity: Decimal, place: int
) -> tuple[dict[str, str | None], dict[str, Any], int]:
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
