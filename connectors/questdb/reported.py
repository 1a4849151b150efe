"""The sink of QuestDB's `pd_positions`: positions as exchanges, clearers and brokers state them.

Owns: the table and its rows.
Guarantees: one row for each venue, account, instrument and time (`DEDUP UPSERT KEYS(ts, venue, account, instrument)`); what
is stated again replaces what was stated of the same time.
"""

from collections.abc import Sequence
from typing import Any

from connectors.questdb.table_sink import Row, TableSink
from connectors.sink import Item
from schemas import topics

NAME = "questdb-reported"
TABLE = "pd_positions"

CREATE = f"""create table if not exists {TABLE} (
    ts timestamp, venue symbol, account symbol, instrument symbol, quantity decimal(76, 36),
    average_price decimal(76, 36), currency symbol, reported_ns long, source symbol, event_id varchar
) timestamp(ts) partition by month wal dedup upsert keys(ts, venue, account, instrument)"""
"""`ts` keeps microseconds; `reported_ns` is exact."""

LATEST = f"select * from {TABLE} latest on ts partition by venue, account, instrument"  # noqa: S608
"""What each venue stated last of each account and instrument."""


class ReportedPositionsSink(TableSink):
    """Writes reported positions to QuestDB."""

    name = NAME
    topics: Sequence[str] = (topics.REPORTED_POSITIONS.name,)
    table = TABLE
    create = CREATE

    def row_of(self, item: Item) -> Row:
        """The row of a reported position."""
        stated = item.event
        symbols: dict[str, str | None] = {
            name: getattr(stated, name) for name in ("venue", "account", "instrument", "currency", "source")
        }
        columns: dict[str, Any] = {
            "quantity": stated.quantity,
            "reported_ns": stated.reported_at,
            "event_id": stated.event_id,
        }
        if stated.average_price is not None:
            columns["average_price"] = stated.average_price
        return symbols, columns, stated.reported_at
