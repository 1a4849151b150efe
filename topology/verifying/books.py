"""Checks over the state of the positions stage: lots, journal, trade index, and the slow recomputation.

Each position is read once, its journal entry by entry, past every rule that made it.
"""

from collections.abc import Iterator
from decimal import Decimal

from agents.journal import NOTHING_BEFORE, scan_journal
from agents.open_position import LOT, SUMMARY, OpenPosition, ShownPosition, load_position
from agents.trade_index import FIRST, TRADE, TradeIndex, decode_index, index_key
from domain.lots.position import Terms, Trade
from domain.lots.reference import position_in_order, residuals
from domain.lots.rematch import JournalEntry
from schemas.identity import split_position_key
from schemas.numbers import ZERO, divide_value, plain, round_money
from tables.partition import TablePartition
from topology.log import Tables
from topology.log_reading import POSITIONS_TABLE, table_partition
from topology.verifying.checks import UNREADABLE, Check, Step

_FIGURES = ("quantity", "value", "realised_pnl", "net_realised_pnl", "fees", "held_fees")


def check_books(log: Tables, partitions: int, step: Step, *, recompute: bool) -> list[Check]:
    """The checks over the positions of every partition."""
    checks = _BookChecks(recompute)
    for partition in range(partitions):
        checks.partition(table_partition(log, POSITIONS_TABLE, partition), partition, step)
    return checks.all()


class _BookChecks:
    def __init__(self, recompute: bool) -> None:
        self.lots = Check("lots", "sum of lots = position, in quantity, value and held fees")
        self.journal = Check("journal", "sum of the journal's effects = position, in every figure")
        self.order = Check("journal order", "the journal is in the order of matching, each trade once")
        self.index = Check("trade index", "journal entries = live trades of the index, place by place")
        self.recomputed = Check("recomputation", "position and lots = recomputed from its trades")
        self._recompute = recompute

    def all(self) -> list[Check]:
        checks = [self.lots, self.journal, self.order, self.index]
        return [*checks, self.recomputed] if self._recompute else checks

    def partition(self, table: TablePartition, partition: int, step: Step) -> None:
        lots = entries = 0
        for key, stored in table.scan_prefix(SUMMARY):
            book, instrument = split_position_key(key[1:])
            where = f"{book}/{instrument}"
            try:
                opened = load_position(table, book, instrument)
                assert opened is not None, "its key was just read"
                lots += len(opened.position.lots)
                self._sum_of_lots(where, opened)
                self._shown(where, opened, ShownPosition(book, instrument, stored))
                walk = _Walk(table, opened, self, where)
                self._position(where, opened, walk)
                entries += walk.count
            except UNREADABLE as error:
                self.journal.broken(where, f"cannot be read: {error}")
            step("positions", 1)
        where = f"partition {partition}"
        self.lots.expect(f"{where}: stored lots", lots, sum(1 for _ in table.scan_prefix(LOT)))
        self.index.expect(f"{where}: live trades of the index", entries, _live_trades(table))

    def _sum_of_lots(self, where: str, opened: OpenPosition) -> None:
        position = opened.position
        quantity = value = fees = ZERO
        for lot in position.lots:
            quantity, value, fees = quantity + lot.quantity, value + lot.value, fees + lot.fee
        self.lots.expect(f"{where}: quantity", position.quantity, quantity)
        self.lots.expect(f"{where}: value", position.value, value)
        self.lots.expect(f"{where}: held fees", position.held_fees, fees)

    def _shown(self, where: str, opened: OpenPosition, shown: ShownPosition) -> None:
        position = opened.position
        self.lots.expect(f"{where}: number of lots", len(position.lots), shown.lots_open)
        self.lots.expect(
            f"{where}: average price", position.average_price or ZERO, shown.average_price or ZERO
        )

    def _position(self, where: str, opened: OpenPosition, walk: "_Walk") -> None:
        position = opened.position
        if self._recompute:
            figures = position_in_order(walk.trades(), walk.first_terms())
            self.recomputed.checked += 1
            for name, residual in residuals(position, figures).items():
                if residual:
                    # An exact fraction need not end as a decimal; what is not 0 must not become 0.
                    left = round_money(
                        divide_value(Decimal(residual.numerator), Decimal(residual.denominator))
                    )
                    fault = f"{name}: kept minus recomputed is {plain(left)}"
                    self.recomputed.broken(where, fault, left or 1)
        else:
            for _ in walk.trades():
                pass
        for name in _FIGURES:
            self.journal.expect(f"{where}: {name}", walk.sums[name], getattr(position, name))
        self.order.checked += 1
        if walk.last != opened.last:
            self.order.broken(where, f"expected {opened.last} as its last trade, found {walk.last}")


class _Walk:
    """One pass over a position's journal, that sums it up and holds each entry against the trade index."""

    def __init__(self, table: TablePartition, opened: OpenPosition, checks: _BookChecks, where: str) -> None:
        self._table = table
        self._opened = opened
        self._checks = checks
        self._where = where
        self.sums: dict[str, Decimal] = dict.fromkeys(_FIGURES, ZERO)
        self.last = NOTHING_BEFORE
        self.count = 0

    def first_terms(self) -> Terms:
        """The terms under which the journal begins."""
        for entry in scan_journal(self._table, self._opened.key):
            if entry.terms_before is not None:
                return entry.terms_before
        return self._opened.position.terms

    def trades(self) -> Iterator[tuple[Trade, Terms | None]]:
        """The trades with the terms that begin with them."""
        sums = self.sums
        for entry in scan_journal(self._table, self._opened.key):
            trade, applied = entry.trade, entry.applied
            self.count += 1
            sums["quantity"] += trade.quantity
            sums["fees"] += trade.fee
            for name in ("value", "realised_pnl", "net_realised_pnl", "held_fees"):
                sums[name] += getattr(applied, name)
            if trade.order <= self.last:
                fault = f"expected a trade after {self.last}, found {trade.order}"
                self._checks.order.broken(self._where, fault)
            self.last = trade.order
            self._hold_against_index(entry)
            yield trade, entry.terms

    def _hold_against_index(self, entry: JournalEntry) -> None:
        trade, check = entry.trade, self._checks.index
        check.checked += 1
        where = f"{self._where}: trade {trade.trade_id}"
        stored = self._table.get(index_key(self._opened.book, trade.trade_id))
        if stored is None:
            check.broken(where, "expected in the index, found nothing")
            return
        index = decode_index(stored, trade.trade_id, lambda instrument, order: entry)
        place = (True, self._opened.instrument, trade.executed_at, trade.source_sequence)
        found = (index.live, index.instrument, index.executed_at, index.source_sequence)
        if found != place:
            check.broken(where, f"expected {place} in the index, found {found}")


def _live_trades(table: TablePartition) -> int:
    return sum(1 for key, stored in table.scan_prefix(TRADE) if stored[0] == FIRST or _is_live(key, stored))


def _is_live(key: bytes, stored: bytes) -> bool:
    def unused(instrument: str, order: object) -> JournalEntry:
        raise AssertionError("the entry of a corrected trade holds its first content")

    index: TradeIndex = decode_index(stored, split_position_key(key[1:])[1], unused)
    return index.live
