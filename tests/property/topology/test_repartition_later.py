"""What stages behind the books know is the same after a move, and goes on as if the log had had that number from the start."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import bars, cash, ledger
from agents.bar_state import BAR, scan_marks
from connectors.embedded.log import EmbeddedLog
from schemas import currency_position, money, topics
from schemas.frames import wire
from schemas.topics import Topic
from schemas.units import Action, PaymentStep
from tests.ledger_support import movement
from tests.property.topology.test_repartition import move
from tests.support import MONDAY, SECOND, Book, Books, ClockTick, DayClosed, fill
from tests.valuation_support import instrument, mark, option
from topology.clock import tick_frames
from topology.documents.currency_positions import currency_position_documents
from topology.documents.pnl import pnl_documents
from topology.documents.valuations import valuation_documents
from topology.log_reading import partition_count
from topology.money.documents import balance_documents, balances_of, hash_of, payment_documents, tables_of
from topology.replaying.later import replay_later, table_hash
from topology.replaying.outcome import Span
from topology.settings import Settings
from topology.stages import build_all
from topology.verifying.verify import verify

SETTINGS = Settings(waiting_corrections_max=100, waiting_ticks_max=3)
STAGES = build_all(SETTINGS)
BOOKS = {"B1": "E1", "B2": "E1", "B3": "E2", "B4": ""}
INSTRUMENTS = ("X", "Y", "INV", "C", "D")
DAYS = tuple(f"2026-01-{day:02}" for day in range(5, 10))
Instruction, Locked = wire(money.PaymentInstruction), wire(money.PeriodLocked)
Due = wire(money.PaymentDue)
Policy = wire(currency_position.CurrencyPolicy)

DEFINITIONS = (
    *(
        Book(event_id=f"b{name}", book=name, entity=entity, base_currency="EUR" if name == "B3" else "USD")
        for name, entity in BOOKS.items()
    ),
    instrument("INV", inverse=True, currency="BTC"),
    option("C", "X", "100"),
    option("D", "Y", "90", kind="put"),
    *(instrument(pair, instrument_class="fx", currency="USD") for pair in ("EUR/USD", "BTC/USD")),
)

books, days = st.sampled_from(sorted(BOOKS)), st.integers(0, len(DAYS) - 1)
whole = st.integers(-50, 50).filter(bool)
trades = st.tuples(
    st.just("trade"),
    books,
    st.sampled_from(INSTRUMENTS),
    whole,
    st.integers(90, 110),
    days,
    st.integers(1, 9),
)
corrections = st.tuples(
    st.just("correct"), st.integers(0, 30), st.sampled_from((0, 0, 7, -9)), st.integers(90, 110), days
)
marks = st.tuples(
    st.just("mark"), st.sampled_from(INSTRUMENTS), st.integers(80, 120), days, st.integers(0, 9)
)
rates = st.tuples(st.just("rate"), st.sampled_from(("EUR/USD", "BTC/USD")), st.integers(80, 120), days)
closes = st.tuples(st.just("close"), books, days)
movements = st.tuples(st.just("move"), books, st.booleans(), st.integers(-500, 500).filter(bool), days)
incomes = st.tuples(
    st.just("income"), books, st.sampled_from(INSTRUMENTS), st.integers(1, 50), st.integers(0, 3)
)
others = st.sampled_from(
    (
        ("reverse",),
        ("pay", "E1"),
        ("pay", "E2"),
        ("due",),
        ("step", PaymentStep.APPROVE),
        ("step", PaymentStep.SEND),
        ("lock", "E2", 0),
        ("policy", "E1"),
        ("redefine",),
        ("poison",),
    )
)
ops = st.lists(
    st.one_of(
        trades, trades, trades, corrections, marks, marks, rates, closes, closes, movements, incomes, others
    ),
    min_size=3,
    max_size=18,
)


def at(day: int, second: int = 0) -> int:
    return MONDAY + (day * 86_400 + 36_000 + second) * SECOND


class World:
    """A log with all stages, fed one thing at a time, so that no number of partitions says what comes first."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self.folder = folder
        self.number = 0
        self.trades: list[str] = []
        self.places: dict[str, tuple[str, str]] = {}
        self.movements: list[Any] = []
        self.orders: list[tuple[str, str]] = []
        self.over(Books(folder, partitions=partitions, stages=STAGES))
        self.put(topics.INSTRUMENTS, lambda event: event.instrument, *DEFINITIONS[len(BOOKS) :])
        self.put(topics.BOOKS, lambda event: event.book, *DEFINITIONS[: len(BOOKS)])
        self.tick()

    def over(self, found: Books) -> None:
        self.books = found
        self.log = found.log

    def put(self, topic: Topic, key_of: Callable[[Any], str], *found: Any) -> None:
        self.books.append_events(topic, found, key_of)
        self.books.run()

    def tick(self) -> None:
        """What rates and definitions change is told everywhere with the next tick."""
        self.number += 1
        transaction = self.log.transaction()
        for topic in (topics.VALUATION_INPUT.name, topics.CASH_BALANCES.name):
            for partition in range(self.books.partitions):
                for frame in tick_frames(topic, partition, at(9, self.number)):
                    transaction.append(topic, partition, None, frame)
        transaction.commit()
        self.books.run()

    def do(self, op: tuple[Any, ...]) -> None:
        self.number += 1
        doing: dict[str, Callable[..., None]] = {
            "trade": self._trade,
            "correct": self._correct,
            "mark": self._mark,
            "rate": self._rate,
            "close": self._close,
            "move": self._move,
            "income": self._income,
            "reverse": self._reverse,
            "pay": self._pay,
            "due": self._due,
            "step": self._step,
            "lock": self._lock,
            "policy": self._policy,
            "redefine": self._redefine,
            "poison": self._poison,
        }
        doing[op[0]](f"n{self.number}", *op[1:])

    def _trade(
        self, name: str, book: str, instrument: str, quantity: int, price: int, day: int, second: int
    ) -> None:
        self.trades.append(name)
        self.places[name] = book, instrument
        self.put(
            topics.FILLS,
            topics.fill_key,
            fill(
                name,
                quantity,
                price,
                book=book,
                instrument=instrument,
                currency="BTC" if instrument == "INV" else "USD",
                executed_at=at(day, second),
                account="A",
            ),
        )

    def _correct(self, name: str, number: int, quantity: int, price: int, day: int) -> None:
        original = self.trades[number % len(self.trades)] if self.trades else "none"
        action = Action.AMEND if quantity else Action.CANCEL
        self.put(
            topics.FILLS,
            topics.fill_key,
            fill(
                name, quantity or 1, price, book=None, action=action, original_trade_id=original,
                executed_at=at(day), account="A", currency="USD",
            ),
        )  # fmt: skip

    def _mark(self, name: str, instrument: str, price: int, day: int, second: int) -> None:
        event = mark(instrument, str(price), at(day, second), source_sequence=self.number)
        self.put(topics.MARKS, lambda each: each.instrument, renamed(event, name))

    def _rate(self, name: str, pair: str, price: int, day: int) -> None:
        event = mark(pair, str(Decimal(price) / 100), at(day), source_sequence=self.number)
        self.put(topics.MARKS, lambda each: each.instrument, renamed(event, name))
        self.tick()

    def _close(self, name: str, book: str, day: int) -> None:
        event = DayClosed(
            event_id=f"{book}@{DAYS[day]}", book=book, business_date=DAYS[day], event_time=at(day, 20_000)
        )
        self.put(topics.BOOKINGS, lambda each: each.book, event)

    def _ledger(self, *found: Any) -> None:
        self.put(topics.LEDGER_INPUT, topics.entity_key, *found)

    def _move(self, name: str, book: str, with_book: bool, amount: int, day: int) -> None:
        event = movement(
            name, str(amount), "deposit" if amount > 0 else "withdrawal", entity=BOOKS[book],
            book=book if with_book else "", trade_date=DAYS[day], settlement_date=DAYS[min(day + 2, 4)],
        )  # fmt: skip
        self.movements.append(event)
        self._ledger(event)

    def _income(self, name: str, book: str, instrument: str, amount: int, day: int) -> None:
        self._ledger(
            movement(
                name, str(amount), "dividend", entity=BOOKS[book], book=book, instrument=instrument, trade_date=DAYS[day]
            )
        )  # fmt: skip

    def _reverse(self, name: str) -> None:
        if self.movements:
            last = self.movements[-1]
            self._ledger(
                movement(
                    name, str(-last.amount), last.kind, entity=last.entity, book=last.book,
                    trade_date=last.trade_date, reverses=last.movement_id,
                )
            )  # fmt: skip

    def _pay(self, name: str, entity: str) -> None:
        self.orders.append((name, entity))
        self._ledger(
            movement(
                name, "-10", "fee", entity=entity, trade_date=DAYS[1], settlement_date=DAYS[2], by_payment=True,
                user="u1", counterparty="bank",
            )
        )  # fmt: skip

    def _due(self, name: str) -> None:
        """What the last trade owes is to be paid, by an order of its own."""
        if self.trades:
            trade = self.trades[-1]
            book, instrument = self.places[trade]
            self.orders.append((name, BOOKS[book]))
            self._ledger(
                Due(
                    event_id=name, order_id=name, trade_id=trade, book=book, instrument=instrument, currency="USD",
                    counterparty="bank", user="u1", entity=BOOKS[book], event_time=at(3),
                )
            )  # fmt: skip

    def _step(self, name: str, step: PaymentStep) -> None:
        if self.orders:
            order, entity = self.orders[-1]
            self._ledger(
                Instruction(
                    event_id=name, order_id=order, step=step, user="u2", entity=entity, event_time=at(3)
                )
            )

    def _lock(self, name: str, entity: str, day: int) -> None:
        self._ledger(Locked(event_id=name, through=DAYS[day], user="u", entity=entity, event_time=at(3)))

    def _policy(self, name: str, entity: str) -> None:
        policy = Policy(event_id=name, entity=entity, reporting_currency="USD" if self.number % 2 else "GBP")
        self.put(topics.CURRENCY_POLICIES, lambda each: each.entity, policy)
        self.tick()

    def _redefine(self, name: str) -> None:
        self.put(topics.INSTRUMENTS, lambda each: each.instrument, renamed(option("C", "X", "105"), name))
        self.tick()

    def _poison(self, name: str) -> None:
        transaction = self.log.transaction()
        transaction.append(topics.LEDGER_INPUT.name, 0, None, b'[{"type":"CashMovement"}]')
        transaction.append(topics.MARKS.name, 0, None, b"[17]")
        transaction.commit()
        self.books.run()


def renamed(event: Any, name: str) -> Any:
    return msgspec.structs.replace(event, event_id=name)


def counts(books: Books) -> dict[str, tuple[int, ...]]:
    return {
        stage.name: books.counts(stage.table.name).figures()
        for stage in STAGES
        # Of marks that several partitions have each counts its own.
        if stage.name not in ("valuation", "pnl")
    }


def figures(books: Books) -> dict[str, Any]:
    """What no number of partitions changes."""
    log = books.log
    found = {
        "hash": books.hash(),
        "ledger": hash_of(tables_of(log, ledger.NAME)),
        "balances": list(
            balance_documents(balances_of(tables_of(log, cash.NAME)), DAYS[2], with_ladder=True)
        ),
        "payments": sorted(payment_documents(log), key=lambda each: each["order_id"]),
        "currencies": currency_position_documents(log, "EUR"),
        "valuations": valuation_documents(log, "USD"),
        "pnl": pnl_documents(log, days=True),
        "marks": {each.instrument: each for table in tables_of(log, bars.NAME) for each in scan_marks(table)},
        "bars": {pair for table in tables_of(log, bars.NAME) for pair in table.scan_prefix(BAR)},
        "counts": counts(books),
    }
    for topic in (topics.LEDGER_ENTRIES, topics.PAYMENT_ORDERS, topics.PNL, topics.CASH_BALANCES):
        found[topic.name] = {}
        for item in books.event_bytes(topic):
            (event,) = topic.codec.decode_each(item)
            if isinstance(event, ClockTick):
                continue
            # A frame of valuations has an id of what is in it: what its partition has.
            told = (
                msgspec.structs.replace(event, event_id="", causation_id="") if topic is topics.PNL else item
            )
            # Cash reads the ledger by account.
            key_of = topics.cash_key if topic is topics.CASH_BALANCES else topic.key_of
            found[topic.name].setdefault(key_of(event), []).append(told)
    return found


def differing(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def check(log: EmbeddedLog) -> None:
    """Every identity holds; and ledger and cash are what their inputs, as they were copied, make."""
    assert [check.findings for check in verify(log) if not check.ok] == []
    partitions = partition_count(log)
    for stage in STAGES:
        if stage.name in (ledger.NAME, cash.NAME):
            spans = [Span(place, 0, log.end_offset(stage.input.name, place)) for place in range(partitions)]
            _, replayed = replay_later(log, partitions, spans, stage)
            assert replayed == table_hash(log, stage, partitions), stage.name


@settings(max_examples=6, deadline=None)
@given(ops, ops, st.integers(1, 5), st.lists(st.integers(1, 5), min_size=1, max_size=2))
def test_a_moved_log_is_as_one_that_had_the_number_from_the_start(
    first: list, second: list, before: int, path: list[int]
):
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        moved, twin = World(folder / "moved", before), World(folder / "twin", path[-1])
        for op in first:
            moved.do(op)
            twin.do(op)
        expected = figures(moved.books)
        for partitions in path:
            if partitions != moved.books.partitions:
                moved.over(move(moved.folder, moved.books, partitions))
                assert differing(expected, figures(moved.books)) == {}
        check(moved.log)
        # What is only in memory is gone after a move.
        for world in (moved, twin):
            world.books.reopen()
            world.over(world.books)
        for op in second:
            moved.do(op)
            twin.do(op)
        check(moved.log)
        assert differing(figures(moved.books), figures(twin.books)) == {}
        for world in (moved, twin):
            world.books.close()
