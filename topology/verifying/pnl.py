"""Checks over P&L: the identities of every day that is kept and of every event that was told, and the books behind them."""

from decimal import Decimal

from agents import pnl
from agents.open_position import load_shown
from agents.pnl_state import Kept, closed_days, scan_kept
from domain.pnl.figures import Figures, closed_figures, open_figures, residuals
from domain.pnl.observation import Observation
from domain.pnl.restating import ClosedDay
from schemas import topics
from schemas.identity import split_position_key
from schemas.murmur2 import partition_of_key
from schemas.numbers import ZERO
from schemas.pnl import BUCKETS
from topology.log_reading import POSITIONS_TABLE, WholeLog, read_events, table_partition
from topology.verifying.checks import Check, Step


def check_pnl(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """The checks over the P&L of every partition; none where the log was made without that stage."""
    if pnl.stage().changelog not in log.topics():
        return []
    checks = _PnLChecks(log, partitions)
    for partition in range(partitions):
        table = table_partition(log, pnl.NAME, partition)
        for key, kept in scan_kept(table):
            checks.position(key, kept, list(closed_days(table, key)))
            step("P&L", 1)
        checks.told(partition, step)
    return checks.all()


class _PnLChecks:
    def __init__(self, log: WholeLog, partitions: int) -> None:
        self._log = log
        self._partitions = partitions
        self.identities = Check(
            "P&L", "total = realised + unrealised = positional + trading = sum of buckets, each day"
        )
        self.days = Check("P&L days", "a day begins with the figures with which the one before it ended")
        self.books = Check("P&L books", "quantity, realised P&L and fees = the position's of that revision")
        self.events = Check("P&L told", "the same identities, in every event that was told")

    def all(self) -> list[Check]:
        return [self.identities, self.days, self.books, self.events]

    def position(self, key: bytes, kept: Kept, closed: list[ClosedDay]) -> None:
        book, instrument = split_position_key(key)
        where = f"{book}/{instrument}"
        before: Observation | None = None
        for day in closed:
            name = f"{where} {day.business_date}"
            self._hold(name, closed_figures(day), day.opening, day.closing)
            self._follows(name, before, day.opening)
            before = day.closing
        running = kept.day
        self._hold(where, open_figures(running), running.opening, running.now)
        self._follows(where, before, running.opening)
        self._books(book, instrument, kept)

    def _hold(self, where: str, figures: Figures, opening: Observation, now: Observation) -> None:
        for identity, residual in residuals(figures, opening, now).items():
            self.identities.expect(f"{where}: total less {identity}", ZERO, residual)

    def _follows(self, where: str, before: Observation | None, opening: Observation) -> None:
        if before is not None:
            for name in ("quantity", "cost", "realised", "fees", "carry", "funding"):
                self.days.expect(
                    f"{where}: {name} at its start", getattr(before, name), getattr(opening, name)
                )

    def _books(self, book: str, instrument: str, kept: Kept) -> None:
        home = partition_of_key(book.encode(), self._partitions)
        shown = load_shown(table_partition(self._log, POSITIONS_TABLE, home), book, instrument)
        # Of another revision it is on its way: the stages are behind the books.
        if shown is not None and shown.revision == kept.revision:
            now = kept.day.now
            self.books.expect(f"{book}/{instrument}: quantity", shown.quantity, now.quantity)
            self.books.expect(f"{book}/{instrument}: realised P&L", shown.realised_pnl, now.realised)
            self.books.expect(f"{book}/{instrument}: fees", shown.fees, now.fees)

    def told(self, partition: int, step: Step) -> None:
        start = self._log.start_offset(topics.PNL.name, partition)
        for _, event in read_events(self._log, topics.PNL, partition, start):
            step("P&L told", 1)
            if event.total is None:
                continue
            where = f"{event.book}/{event.instrument} {event.event_id}"
            self.events.expect(
                f"{where}: realised + unrealised", event.total, event.realised + event.unrealised
            )
            self.events.expect(
                f"{where}: positional + trading", event.total, event.positional + event.trading
            )
            self.events.expect(f"{where}: sum of buckets", event.total, _sum(event.buckets))
            if event.book_buckets is not None:
                total = _sum(event.book_buckets)
                self.events.expect(f"{where}: sum in the book's currency", event.book_total, total)


def _sum(buckets: object) -> Decimal:
    return sum((getattr(buckets, name) for name in BUCKETS), ZERO)
