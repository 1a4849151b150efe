"""The sink of values: what each position is worth, and the P&L of its days by cause.

Guarantees: each position has its newest valuation, and each of its business days the newest P&L; of one batch only the last
state of each is written, so that a fast market costs no more than the positions that it touches.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from connectors.postgres.copying import Target, copy_line
from connectors.postgres.rows import Rows
from connectors.postgres.session import PostgresSink
from connectors.sink import Batch, Item
from schemas import pnl, topics, valuation
from schemas.frames import wire

_VALUATIONS = Rows(
    "position",
    "valuation",
    (
        *("book", "instrument", "underlying", "event_time", "revision", "quantity", "currency"),
        *("instrument_class", "entity", "desk", "multiplier", "inverse", "cost_basis", "held_fees"),
        *("realised_pnl", "net_realised_pnl", "fees", "mark", "mark_quality", "mark_time", "valued_by"),
        *("market_value", "accrued_interest", "unrealised_pnl", "book_currency", "fx_rate", "fx_quality"),
        *("fx_time", "spot", "volatility", "rate", "time_to_expiry", "delta", "gamma", "vega", "theta"),
        *("rho", "vanna", "volga", "reason", "event_id"),
    ),
    key=("book", "instrument"),
)
_PNL = Rows(
    "position",
    "pnl_attribution",
    (
        *("book", "instrument", "business_date", "underlying", "event_time", "closed", "restatement"),
        *("currency", "book_currency", "quantity", "opening_quantity", "mark", "quality", "realised", "fees"),
        *("unrealised", "total", "positional", "trading", "total_to_date", "fx", "book_total"),
        *("book_total_to_date", "reason", "event_id"),
    ),
    documents=("buckets", "book_buckets"),
    key=("book", "instrument", "business_date"),
)
_PositionsValuated = wire(valuation.PositionsValuated)
_PnLAttributed = wire(pnl.PnLAttributed)


class ValuesSink(PostgresSink):
    """`position.valuation` and `position.pnl_attribution`."""

    name = "postgres-values"
    topics: Sequence[str] = (topics.VALUATIONS.name, topics.PNL.name)
    targets: Sequence[Target] = (_VALUATIONS.target, _PNL.target)

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write the last state of each position, and of each of its days."""
        frames: dict[tuple[str, str], tuple[Item, int]] = {}
        days: dict[object, tuple[Item, Any]] = {}
        for item in batch.items:
            event = item.event
            if type(event) is _PositionsValuated:
                for row, name in enumerate(zip(event.book, event.instrument, strict=True)):
                    frames[name] = (item, row)
            elif type(event) is _PnLAttributed:
                days[_PNL.key(event)] = (item, event)
        lines = [
            copy_line(_VALUATIONS.row(item, single))
            for item, rows in _by_frame(frames)
            for row, single in enumerate(valuation.single_events(item.event))
            if row in rows
        ]
        await _VALUATIONS.target.add(connection, lines)
        await _PNL.target.add(connection, [copy_line(_PNL.row(item, event)) for item, event in days.values()])


def _by_frame(found: dict[tuple[str, str], tuple[Item, int]]) -> list[tuple[Item, set[int]]]:
    """The frames that have the last state of a position, and in which rows."""
    frames: dict[int, tuple[Item, set[int]]] = {}
    for item, row in found.values():
        frames.setdefault(id(item), (item, set()))[1].add(row)
    return list(frames.values())
