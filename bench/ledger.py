"""The money behind the trades: transfers, balances and the open currency position, beside one Postgres transaction a trade.

Workload H with a fee of 0.25 a trade, shares in dollars, four entities: about three transfers a trade. Rates are trades a second of
processor time on one core, all threads together, as in `throughput`; the reference inserts the same transfers, one transaction a
trade, over one connection to a Postgres of this machine (fsync off), and is told by the clock.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from agents import cash, currency_position, ledger, position_routing, positions, trade_capture
from bench.latency import quantile
from bench.row import Row
from bench.throughput import quiet, time_of
from bench.workload import WORKLOADS, frames_of, make_bookings, make_fills, one_core
from connectors.embedded.log import EmbeddedLog
from connectors.servers.postgres import LocalPostgres
from schemas import events, topics
from schemas.frames import encode_frames, wire
from schemas.topics import BOOKINGS, FILLS
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner, append_together
from topology.settings import Settings
from topology.stages import build_all, build_runners, create_topics
from topology.step_output import Appended

PARTITIONS = 1
RATE = 5_000
SECONDS = 4
_WARM_SECONDS = 1
_REFERENCE_TRADES = 2_000
_FEE = (wire(events.Fee)(amount=Decimal("0.25")),)
_MONEY = (ledger.NAME, cash.NAME, currency_position.NAME)
_REFERENCE = "one Postgres transaction a trade"


def _terms(number: int) -> dict[str, Any]:
    return {
        "fees": _FEE,
        "entity": f"entity {number % 4}",
        "account": "ACCOUNT",
        "instrument_class": "equity",
    }


def money_bookings(count: int) -> list[Any]:
    """Booked trades with a fee, in dollars, of four entities."""
    found = make_bookings(make_fills(WORKLOADS["H"], count))
    return [
        msgspec.structs.replace(booked, settlement_currency="USD", **_terms(hash_of(booked.book)))
        for booked in found
    ]


def hash_of(book: str) -> int:
    """A number of a book that is the same in every process."""
    return sum(book.encode())


@contextmanager
def _log() -> Iterator[tuple[EmbeddedLog, list[PartitionRunner]]]:
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        stages = build_all(Settings(data=Path(folder)))
        with EmbeddedLog.owner(Path(folder), sync="os") as log:
            create_topics(log, stages, PARTITIONS)
            yield log, build_runners(stages, log, PARTITIONS)


def _of(runners: Sequence[PartitionRunner], names: Sequence[str]) -> list[PartitionRunner]:
    return [runner for runner in runners if runner.stage.name in names]


def _rate(count: int, names: Sequence[str], bookings: Sequence[Any]) -> tuple[float, float, list[Any]]:
    """Trades a second of processor time through stages, the same by the clock, and the transfers that they made."""
    with one_core(), _log() as (log, runners):
        for _, frame in frames_of(BOOKINGS, bookings):
            transaction = log.transaction()
            transaction.append(BOOKINGS.name, 0, None, frame)
            transaction.commit()
        run_until_idle(_of(runners, [positions.NAME, position_routing.NAME]), log)
        wall, processor = time_of(lambda: run_until_idle(_of(runners, names), log))
        transfers: list[Any] = []
        offset = 0
        while len(transfers) < 4 * _REFERENCE_TRADES and (
            found := log.read(topics.LEDGER_ENTRIES.name, 0, offset, 100, 1 << 22)
        ):
            for record in found:
                transfers += topics.LEDGER_ENTRIES.codec.decode(record.value or b"[]")
            offset = found[-1].offset + 1
    return count / processor, count / wall, transfers


def _postgres(transfers: Sequence[Any]) -> float:
    """Trades a second that one connection inserts, each trade's transfers in a transaction of its own."""
    by_trade: dict[str, list[tuple[Any, ...]]] = {}
    for entry in transfers:
        row = (
            entry.trade_id, entry.leg, entry.entity, entry.account, entry.book, entry.debit_account,
            entry.credit_account, entry.amount, entry.currency, entry.trade_date, entry.settlement_date,
        )  # fmt: skip
        by_trade.setdefault(entry.trade_id, []).append(row)
    trades = list(by_trade.values())[:_REFERENCE_TRADES]

    async def run(url: str) -> float:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(
                "create table entry (trade_id text, leg text, entity text, account text, book text, debit text, "
                "credit text, amount numeric, currency text, trade_date text, settlement_date text, "
                "primary key (trade_id, leg))"
            )
            insert = await connection.prepare(
                "insert into entry values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) on conflict do nothing"
            )
            started = time.perf_counter()
            for rows in trades:
                async with connection.transaction():
                    await insert.executemany(rows)
            return time.perf_counter() - started
        finally:
            await connection.close()

    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        Path(folder).chmod(0o755)
        with LocalPostgres(Path(folder) / "postgres") as server:
            return len(trades) / asyncio.run(run(server.url()))


def _append(log: EmbeddedLog, stages: Sequence[Sequence[PartitionRunner]], frames: Sequence[bytes]) -> None:
    """Append fills and step the books in the same commit, as the worker does with what comes by its socket."""
    transaction = log.transaction()
    appended = [Appended(transaction.append(FILLS.name, 0, None, frame), frame) for frame in frames]
    pending = append_together(transaction, {(FILLS.name, 0): appended}, stages)
    pending.finish(pending.commit())


def _visible() -> tuple[float, float]:
    """From a fill that is due until its balance is committed, at `RATE` a second: median and 99th of a hundred, in ms."""
    count = RATE * (SECONDS + _WARM_SECONDS)
    fills = [
        msgspec.structs.replace(fill, currency="USD", **_terms(hash_of(fill.book)))
        for fill in make_fills(WORKLOADS["H"], count)
    ]
    frames = [encode_frames([fill])[0] for fill in fills]
    late: list[float] = []
    with _log() as (log, runners), quiet():
        books = [_of(runners, [trade_capture.NAME]), _of(runners, [positions.NAME])]
        later = _of(runners, [position_routing.NAME, ledger.NAME, cash.NAME])
        begin = time.perf_counter()
        sent = 0
        while sent < count:
            due = min(int((time.perf_counter() - begin) * RATE) + 1, count)
            if due == sent:
                continue
            _append(log, books, frames[sent:due])
            run_until_idle(later, log)
            now = time.perf_counter() - begin
            if sent >= RATE * _WARM_SECONDS:
                late += [(now - place / RATE) * 1e3 for place in range(sent, due)]
            sent = due
    return quantile(late, 0.5), quantile(late, 0.99)


def run(trades: int) -> list[Row]:
    """Transfers, all three stages, and how long a balance takes."""
    count = min(trades, 100_000)
    bookings = money_bookings(count)
    alone, alone_by_clock, transfers = _rate(count, [ledger.NAME], bookings)
    together, together_by_clock, _ = _rate(count, _MONEY, bookings)
    reference = _postgres(transfers)
    median, slowest = _visible()
    return [
        Row(
            "trades to transfers", alone, "trades/s", reference, _REFERENCE, 1e6 / alone,
            note=f"{alone_by_clock:,.0f} by the clock",
        ),
        Row(
            "trades to transfers, balances and currency position", together, "trades/s", reference, _REFERENCE,
            1e6 / together, note=f"{together_by_clock:,.0f} by the clock",
        ),
        Row(
            f"fill to balance at {RATE}/s, 99th of a hundred", slowest, "ms", higher_is_better=False,
            note=f"median {median:.2f} ms; one commit for the books and one for what hangs on them, in one process",
        ),
    ]  # fmt: skip
