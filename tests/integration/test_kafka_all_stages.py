"""All ten stages through `pks up` on a real broker: what positions are worth, P&L, ledger, cash and currencies as on the
embedded log, with a worker killed on the way; and every command that reads or writes them."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.python.pks_client import GreeksReader, MarkReader
from connectors.kafka.local_broker import LocalBroker
from connectors.shm.writer import remove
from schemas.times import format_time, parse_time
from tests.integration.test_up_on_kafka import COMMAND, Installation, metric
from tests.kafka_support import PATIENCE, running_broker
from tests.marks_http import Service, service
from tests.support import eventually
from topology.catching_up import behind_of
from topology.cli.application import run as run_command
from topology.cluster.copy import ClusterCopy
from topology.settings import Settings
from topology.stages import build_stages

pytestmark = pytest.mark.soak

BOOKS = [f"B{number}" for number in range(8)]
PRICES = {"X": 100, "Y": 20, "Z": 7}
CURRENCIES = {"X": "USD", "Y": "EUR", "Z": "USD"}
HEADER = [
    "trade_id",
    "book",
    "instrument",
    "side",
    "quantity",
    "price",
    "fee",
    "currency",
    "executed_at",
    "instrument_class",
    "account",
    "action",
    "original_trade_id",
]


def row(name: str, rng: random.Random) -> dict[str, Any]:
    """A trade of the fifth to the seventh of January, late by up to a day where others came before it."""
    instrument = rng.choice(sorted(PRICES))
    return {
        "trade_id": name,
        "book": rng.choice(BOOKS),
        "instrument": instrument,
        "side": rng.choice(("BUY", "SELL")),
        "quantity": rng.randrange(1, 90),
        "price": PRICES[instrument] + rng.randrange(-5, 6),
        "fee": rng.randrange(3),
        "currency": CURRENCIES[instrument],
        "executed_at": f"2026-01-0{rng.randrange(5, 8)}T{rng.randrange(9, 17):02}:{rng.randrange(60):02}:00Z",
        "instrument_class": "equity",
        "account": "A",
    }


def rows(number: int, prefix: str) -> list[dict[str, Any]]:
    """Trades, some of which are amended or cancelled."""
    rng = random.Random(prefix)
    found = []
    for count in range(number):
        trade = row(f"{prefix}{count}", rng)
        found.append(trade)
        if count % 10 == 9:
            kept = {name: trade[name] for name in ("book", "instrument", "currency", "executed_at")}
            correction = row(f"{prefix}c{count}", rng) | kept | {"original_trade_id": trade["trade_id"]}
            found.append(correction | {"action": rng.choice(("AMEND", "CANCEL"))})
    return found


TEXTS = {
    "books.csv": "book,entity,base_currency\n"
    + "".join(f"{book},E{number % 2},USD\n" for number, book in enumerate(BOOKS)),
    "marks1.csv": "instrument,price,time\nX,101,2026-01-07T18:00:00Z\nY,19,2026-01-07T18:00:00Z\n"
    "Z,7.5,2026-01-07T18:00:00Z\n",
    "marks2.csv": "instrument,price,time\nX,98.5,2026-01-08T18:00:00Z\nY,21,2026-01-08T18:00:00Z\n",
    "rates.csv": "instrument,price,time,instrument_class,underlying,currency\n"
    "EURUSD,1.1,2026-01-07T18:00:00Z,FX,EUR,USD\n",
    "curve.json": '[{"curve": "USD-SOFR", "type": "flat", "reference_date": "2026-01-05", "rate": "0.04"}]',
    "policy.csv": "entity,reporting_currency\n*,USD\n",
    "moved.csv": "movement_id,kind,currency,amount,trade_date,entity,account,by_payment,user,counterparty,settlement_date\n"
    "m1,deposit,USD,50000,2026-01-05,E0,A,false,,,\nm2,payment,USD,-400,2026-01-05,E0,A,true,anna,bank,2026-01-06\n",
    "terms.yaml": "- {kind: margin, account: A, currency: USD, rate: SOFR, debit_spread: 0.01, credit_spread: 0.005}\n",
    "fixings.csv": "rate,fixed_at,value\n"
    + "".join(f"SOFR,2026-01-0{day}T08:00:00Z,0.04\n" for day in range(5, 9)),
}
BEFORE = (
    ("book-define", "books.csv"),
    ("ocp-define", "policy.csv"),
    ("import", "marks1.csv", "rates.csv", "--format", "csv-marks"),
)
AFTER = (
    ("import", "marks2.csv", "--format", "csv-marks"),
    ("cash-book", "moved.csv"),
    ("payments", "approve", "m2", "--user", "boris"),
    ("payments", "send", "m2", "--user", "boris"),
    ("payments", "settle", "m2", "--user", "boris"),
    ("day-close", "--date", "2026-01-08"),
    ("accruals", "define", "terms.yaml"),
    ("accruals", "rates", "fixings.csv"),
    ("accruals", "run", "--date", "2026-01-08"),
)
LATE = (
    # Trades of days that are closed. Which of them a closed day is restated by, and what is pending by which, hangs on the order
    # in which they come; once all has settled nothing does.
    ("import", "third.csv", "--format", "canonical"),
    ("day-close", "--date", "2026-01-31"),
)


THEN = (("positions", "--lots"), ("book-hash",), ("ledger-hash",), ("cash",))


class Desk(Installation):
    """An installation whose commands run in this process, since a start of Python each is dear."""

    def ask(self, *arguments: str, seconds: float = 120) -> Any:
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
            patch.chdir(self.folder)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            assert run_command([*arguments, "--json"]) == 0
        return json.loads(said.getvalue())

    def write(self) -> None:
        """The files that commands read."""
        for name, text in TEXTS.items():
            (self.folder / name).write_text(text)
        for name, number in (("first", 150), ("second", 250), ("third", 20)):
            with (self.folder / f"{name}.csv").open("w") as file:
                writer = csv.DictWriter(file, HEADER)
                writer.writeheader()
                writer.writerows(rows(number, name))

    def settle(self) -> None:
        """Wait until every stage on the cluster has applied all that there is."""
        settings = Settings(
            data=Path(self.environment["PKS_DATA"]), transport=self.environment["PKS_TRANSPORT"]
        )
        stages = build_stages(settings)
        with closing(ClusterCopy(settings, stages)) as copy:

            def at_the_end() -> bool:
                copy.catch_up()
                # Upstream first: what one that is at its end emits stands before the next one is looked at.
                return not any(behind_of(copy, stage, copy.partitions) for stage in stages)

            eventually(at_the_end, PATIENCE)


class Books:
    """The same commands into the embedded log and into a cluster whose workers run."""

    def __init__(self, embedded: Desk, cluster: Desk) -> None:
        self.embedded, self.cluster = embedded, cluster
        self.moment = ""
        self.then: dict[tuple[str, ...], Any] = {}
        self.days: tuple[Any, Any] = ({}, {})

    def both(self, *command: str) -> None:
        """A command in both, with the same answer. One that brings marks is applied by all stages before and after it."""
        marks = command[-1] == "csv-marks"
        if marks:
            self.settle()
        expected = self.embedded.ask(*command)
        assert same(self.cluster.ask(*command)) == same(expected), command
        if marks:
            self.settle()

    def assert_same(self, *question: str) -> None:
        """A question, with the same answer from both, which is not empty."""
        expected, found = self.embedded.ask(*question), self.cluster.ask(*question)
        assert same(found) == same(expected), question
        assert any(found.values()), question

    def settle(self) -> None:
        """Wait until all stages have applied all that there is."""
        for question in ("pnl", "cash", "ocp-live"):
            self.embedded.ask(question)
        self.cluster.settle()


def closed_days(desk: Desk) -> dict[str, list[list[Any]]]:
    """The P&L of every position: of its closed days and of the running one.

    Not how it splits into realised and unrealised: of days that are closed together that hangs on the order in which their
    trades came (docs/concepts/pnl.md).
    """
    figures = ("fees", "total", "positional", "trading", "book_total")
    return {
        f"{position['book']}/{position['instrument']}": [
            [day["day"]["business_date"], *(day[name] for name in figures)]
            for day in (*position["days"], position)
        ]
        for position in desk.ask("pnl", "--days")["pnl"]
    }


def same(document: Any) -> Any:
    """A document without what is of a log itself: sequences and offsets, and when something was entered."""
    if isinstance(document, dict):
        left_out = (
            "sequence",
            "applied_offsets",
            "records_behind",
            "seconds",
            "updated_at",
            "drafted_at",
            "at",
        )
        return {name: same(value) for name, value in document.items() if name not in left_out}
    if isinstance(document, list):
        return [same(one) for one in document]
    return document


def steps(addresses: dict[str, Any]) -> float:
    """The steps that the workers have made."""
    return sum(metric(worker["web"], "pks_step_seconds_count") for worker in addresses["workers"])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def shm() -> Iterator[str]:
    name = f"/pks-kafka-{os.getpid()}"
    yield name
    remove(name)


SBER = {
    "symbol": "SBER", "exchange": "MOEX", "prev_close_price": 313.49, "last_price": 314.51, "ask": 314.71,
    "last_price_timestamp": 1715603781, "bid": 314.7, "type": "CS",
}  # fmt: skip


@pytest.fixture(scope="module")
def alor() -> Iterator[Service]:
    """A broker's quotes."""
    with service(lambda *_: json.dumps([SBER]).encode()) as running:
        yield running


@pytest.fixture(scope="module")
def books(
    broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory, shm: str, alor: Service
) -> Iterator[Books]:
    """Everything was sent and applied, and a worker was killed on the way."""
    folder = tmp_path_factory.mktemp("desks")
    embedded = Desk(folder / "embedded", "embedded://")
    cluster = Desk(
        folder / "cluster",
        f"kafka://{broker.address}",
        PKS_STAGES="all",
        PKS_SHARED_MEMORY=shm,
        PKS_ALOR=alor.address,
        PKS_ALOR_SYMBOLS='["MOEX:SBER"]',
    )
    both = Books(embedded, cluster)
    for desk in (embedded, cluster):
        desk.write()
    with cluster.up("--workers", "2") as (_, addresses):
        for command in BEFORE:
            both.both(*command)
        both.both("import", "first.csv", "--format", "canonical")
        before = steps(addresses)
        importing = subprocess.Popen(
            [*COMMAND, "import", "second.csv", "--format", "canonical", "--json"],
            env=cluster.environment,
            cwd=cluster.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        eventually(lambda: steps(addresses) > before, 60)
        os.kill(addresses["workers"][0]["process"], signal.SIGKILL)
        told, _ = importing.communicate(timeout=PATIENCE)
        assert importing.returncode == 0, cluster.said()
        assert same(json.loads(told)) == same(embedded.ask("import", "second.csv", "--format", "canonical"))
        both.settle()
        both.moment = format_time(time.time_ns())
        both.then = {question: cluster.ask(*question) for question in THEN}
        for command in AFTER:
            both.both(*command)
        both.settle()
        both.days = (closed_days(embedded), closed_days(cluster))
        for command in LATE:
            both.both(*command)
        both.settle()
        yield both


@pytest.mark.parametrize(
    "question",
    [
        ("book-hash",),
        ("ledger-hash",),
        ("positions", "--lots"),
        ("cash", "--ladder"),
        ("valuations",),
        ("ocp-live",),
        ("payments", "list"),
        ("explain", "position:B1/X"),
        ("book-hash", "--as-of", "2026-01-06T12:00:00Z"),
        ("ledger-hash", "--as-of", "2026-01-06T12:00:00Z"),
        ("cash", "--as-of", "2026-01-06T12:00:00Z"),
        ("pnl", "--as-of", "2026-01-08T18:00:00Z"),
        ("ocp-live", "--as-of", "2026-01-06T12:00:00Z"),
    ],
    ids=" ".join,
)
def test_what_is_asked_of_the_cluster_has_the_answer_of_the_embedded_log(
    books: Books, question: tuple[str, ...]
) -> None:
    books.assert_same(*question)


@pytest.mark.parametrize("figure", ["pnl:B1/X", "cash:E0/A/USD", "ocp:E0", "unrealised:B2/Y"])
def test_a_figure_is_explained(books: Books, figure: str) -> None:
    expected, found = (desk.ask("explain", figure)["explain"] for desk in (books.embedded, books.cluster))
    assert found["value"] == expected["value"] is not None
    assert found["children"]


def test_the_days_that_are_closed_have_the_figures_of_the_embedded_log(books: Books) -> None:
    expected, found = books.days
    assert sum(map(len, expected.values())) >= 3 * len(expected) > 0
    assert found == expected


def test_what_every_trade_is_paid_is_that_of_the_embedded_log(books: Books) -> None:
    def paid(desk: Desk) -> dict[tuple[str, str], Decimal]:
        """What a trade or movement comes to in each currency, whichever transfers say so."""
        sums: dict[tuple[str, str], Decimal] = {}
        for entry in desk.ask("ledger", "--account", "cash")["ledger"]:
            sign = 1 if entry["debit_account"] == "cash" else -1
            place = (entry["trade_id"], entry["currency"])
            sums[place] = sums.get(place, Decimal(0)) + sign * Decimal(entry["amount"])
        return sums

    expected = paid(books.embedded)
    assert len(expected) > 300
    assert paid(books.cluster) == expected


def test_every_identity_holds(books: Books) -> None:
    checks = {check["name"]: check for check in books.cluster.ask("verify")["checks"]}
    assert [name for name, check in checks.items() if not check["ok"]] == []
    for name in ("replay", "double entry", "transfers", "cash", "ledger"):
        assert checks[name]["checked"] > 0, checks[name]


@pytest.mark.parametrize("question", THEN, ids=" ".join)
def test_what_was_known_at_a_time_is_shown_again(books: Books, question: tuple[str, ...]) -> None:
    found = books.cluster.ask(*question, "--known-at", books.moment)
    found.pop("known_at", None)
    assert same(found) == same(books.then[question])


def test_what_was_known_is_named_by_offsets_but_not_by_a_sequence(books: Books) -> None:
    then = books.then["book-hash",]
    applied = then["applied_offsets"]["backoffice.booking.v1"]
    vector = ",".join(f"backoffice.booking.v1:{partition}={offset}" for partition, offset in applied.items())
    assert books.cluster.ask("book-hash", "--known-at", vector)["book_hash"] == then["book_hash"]
    refused = books.cluster.run("book-hash", "--known-at", "7")
    assert refused.returncode == 2
    assert "a cluster has no sequence over all its topics" in refused.stderr


def test_a_replay_of_the_bookings_gives_the_books(books: Books) -> None:
    replayed = books.cluster.ask("replay")
    assert replayed["book_hash"] == books.embedded.ask("book-hash")["book_hash"]
    assert replayed["events"] == replayed["applied"] + replayed["duplicates"] + replayed["rejected"]


def test_workers_of_a_host_show_all_marks_and_greeks(books: Books, shm: str) -> None:
    values = {
        (each["book"], each["instrument"]): each["market_value"]
        for each in books.cluster.ask("valuations")["valuations"]
    }
    greeks, marks = GreeksReader(f"{shm}.greeks"), MarkReader(f"{shm}.md.marks")

    def shown() -> bool:
        slots = {place: greeks.slot(*place).read() for place in values}
        return all(
            slot is not None and slot.live and slot.raw.market_value == float(values[place] or "nan")
            for place, slot in slots.items()
        )

    eventually(shown, PATIENCE)
    assert all(marks.slot(name).live for name in PRICES)
    assert sum(segment.live for segment in greeks.segments()) == 2
    for name in PRICES:
        whole = greeks.underlying(name).read()
        assert whole is not None and whole.live
        assert whole.positions == sum(instrument == name for _, instrument in values)


def test_a_polled_source_brings_its_marks_into_the_cluster(books: Books) -> None:
    def sber() -> list[Any]:
        return [mark for mark in books.cluster.ask("marks")["marks"] if mark["instrument"] == "SBER"]

    (mark,) = eventually(sber, PATIENCE)
    assert mark["price"] == "314.51"
    assert parse_time(mark["event_time"]) > 0


def test_a_curve_has_a_version_for_each_definition(books: Books) -> None:
    for desk in (books.embedded, books.cluster):
        assert desk.ask("curve-define", "curve.json")["defined"] == 1
        assert desk.ask("curve-define", "curve.json")["unchanged"] == 1
