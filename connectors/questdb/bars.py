"""The sink of QuestDB's `bo_ohlc`: bars of prices, by the time at which each begins.

Owns: the table and its rows.
Guarantees: one row for each instrument, interval and beginning (`DEDUP UPSERT KEYS(ts, instrument, interval)`); a bar that
was corrected by a late tick replaces the earlier one, and of one batch only its last state is sent.
"""

from collections.abc import Sequence

from connectors.questdb.table_sink import Row, TableSink
from connectors.sink import Batch, Item
from schemas import topics

NAME = "questdb-bars"
TABLE = "bo_ohlc"

CREATE = f"""create table if not exists {TABLE} (
    ts timestamp, instrument symbol, interval symbol, open decimal(76, 36), high decimal(76, 36), low decimal(76, 36),
    close decimal(76, 36), volume decimal(76, 36), trades long, revision long, source symbol, event_id varchar
) timestamp(ts) partition by month wal dedup upsert keys(ts, instrument, interval)"""


class BarsSink(TableSink):
    """Writes bars to QuestDB."""

    name = NAME
    topics: Sequence[str] = (topics.BARS.name,)
    table = TABLE
    create = CREATE

    async def write(self, batch: Batch) -> None:
        """Write the last state of each bar of a batch. Raises Unavailable, Refused."""
        last = {(bar.event.instrument, bar.event.interval, bar.event.opened_at): bar for bar in batch.items}
        await super().write(Batch(list(last.values()), batch.next_offsets))

    def row_of(self, item: Item) -> Row:
        """The row of a bar."""
        bar = item.event
        symbols: dict[str, str | None] = {
            "instrument": bar.instrument,
            "interval": str(bar.interval),
            "source": bar.source,
        }
        prices = {name: getattr(bar, name) for name in ("open", "high", "low", "close", "volume")}
        columns = {**prices, "trades": bar.trades, "revision": bar.revision, "event_id": bar.event_id}
        return symbols, columns, bar.opened_at
