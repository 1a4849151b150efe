"""Valuation: from a mark to every value that hangs on it, on one core.

Three figures: marks at a steady pace through the log, routing included, by the clock and beside the appends alone; one
mark that ten thousand options hang on; and a revaluation of everything, both by processor time and beside the plain way in
the same run: an event of its own for each position, its option priced by itself.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from agents import mark_routing, valuation
from agents.stage import Frame, Step
from agents.valuation_rows import Held
from agents.valuation_state import ValuationState
from bench.row import Row
from bench.throughput import quiet
from connectors.embedded.log import EmbeddedLog
from domain.pricing.black import black_scholes_merton
from domain.valuation.money import model_price, worth
from schemas import events, market_data, reference, topics
from schemas import valuation as messages
from schemas.frames import encode_event, encode_frames, wire
from schemas.numbers import ONE, exact_arithmetic
from schemas.pricing_terms import canonical_pricing
from schemas.times import Nanoseconds, parse_time
from schemas.units import MarkQuality
from tables.partition import TablePartition
from tables.store import MemoryStore
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner
from topology.stages import create_topics

UNDERLYINGS, POSITIONS, MARKS_A_SECOND, SECONDS = 200, 10_000, 2_000, 5.0
OPTIONS, OPTION_ROUNDS = 10_000, 15
LINEAR, LINEAR_INSTRUMENTS, OPTION_UNDERLYINGS = 1_000_000, 1_000, 10
PLAIN_POSITIONS = 2_000

_START = parse_time("2026-01-05T12:00:00Z")
_Mark, _Instrument = wire(market_data.Mark), wire(reference.Instrument)
_PositionUpdated, _Single = wire(events.PositionUpdated), wire(messages.PositionValuated)
_LIVE = MarkQuality.LIVE


def _mark(instrument: str, number: int) -> Any:
    return _Mark(
        event_id=f"{instrument}-{number}",
        instrument=instrument,
        event_time=Nanoseconds(_START + number),
        quality=_LIVE,
        price=Decimal(9_000 + number % 2_000).scaleb(-2),
    )


def _held(number: int, instrument: str, book: str, multiplier: Decimal = ONE) -> Held:
    quantity = Decimal(number % 200 - 100)
    return Held(
        book,
        instrument,
        "",
        "",
        "entity",
        "USD",
        1,
        _START,
        quantity,
        multiplier,
        False,
        quantity * 95 * multiplier,
    )


def _option(number: int, underlying: str) -> Any:
    terms = {
        "model": "bsm",
        "option_type": "call" if number % 2 else "put",
        "strike": str(60 + number % 80),
        "expiry": f"2026-{2 + number % 11:02d}-05T12:00:00Z",
        "volatility": "0.25",
        "rate": "0.03",
    }
    return _Instrument(
        event_id="i",
        instrument=f"{underlying}-{number}",
        underlying=underlying,
        pricing=canonical_pricing(json.dumps(terms)),
    )


def _state() -> ValuationState:
    return ValuationState(TablePartition(MemoryStore()), "USD")


def _step(state: ValuationState, marks: list[Any]) -> int:
    """The bytes that a step of the handler makes of marks."""
    step = Step(lambda key: 0)
    frame = Frame(topics.VALUATION_INPUT.name, 0, 0, marks, range(len(marks)))
    valuation.handle(state, [frame], step)
    state.table.committed()
    state.committed()
    return sum(len(event) for output in step.outputs.values() for event in output.encoded)


def _processor_seconds(act: Callable[[], Any]) -> float:
    before = time.thread_time_ns()
    act()
    return (time.thread_time_ns() - before) / 1e9


# -- the plain way --------------------------------------------------------------------------------------------------


def _plainly(held: list[Held], mark: Decimal, strikes: list[float] | None) -> None:
    """An event a position, one after the other."""
    for number, each in enumerate(held):
        price, greeks = mark, None
        if strikes is not None:
            greeks = black_scholes_merton(1, float(mark), strikes[number], 0.03, 0.0, 0.25, 0.5)
            price = model_price(greeks.price)
        found = worth(each.quantity, each.multiplier, each.inverse, each.gross_cost, price)
        assert found is not None, "there is a mark"
        size = float(each.quantity * each.multiplier)
        delta, gamma = (size, None) if greeks is None else (size * greeks.delta, size * greeks.gamma)
        encode_event(
            _Single(
                event_id=f"v{number}",
                book=each.book,
                instrument=each.instrument,
                underlying=each.instrument,
                event_time=Nanoseconds(_START),
                revision=each.revision,
                quantity=each.quantity,
                currency=each.currency,
                cost_basis=each.cost_basis,
                mark=price,
                mark_quality=_LIVE,
                mark_time=Nanoseconds(_START),
                market_value=found.market_value,
                unrealised_pnl=found.unrealised_pnl,
                delta=delta,
                gamma=gamma,
                vega=None if greeks is None else size * greeks.vega,
                theta=None if greeks is None else size * greeks.theta,
                rho=None if greeks is None else size * greeks.rho,
                vanna=None if greeks is None or greeks.vanna is None else size * greeks.vanna,
                volga=None if greeks is None or greeks.volga is None else size * greeks.volga,
            )
        )


def _plain_us(strikes: bool) -> float:
    """Microseconds of processor time a position, the plain way."""
    held = [_held(number, f"X{number}", "B") for number in range(PLAIN_POSITIONS)]
    at = [60.0 + number % 80 for number in range(PLAIN_POSITIONS)] if strikes else None
    taken = min(_processor_seconds(lambda: _plainly(held, Decimal("95.5"), at)) for _ in range(3))
    return taken / PLAIN_POSITIONS * 1e6


# -- marks at a pace ------------------------------------------------------------------------------------------------


def _paced(log: EmbeddedLog, runners: list[PartitionRunner]) -> tuple[list[float], float]:
    """Marks as they come due: seconds from each to the commit of its values, and the processor time of all."""
    taken: list[float] = []
    appended, whole = 0, int(MARKS_A_SECOND * SECONDS)
    used = time.process_time()
    begin = time.perf_counter()
    while appended < whole:
        due = min(int((time.perf_counter() - begin) * MARKS_A_SECOND), whole)
        if due == appended:
            time.sleep(0.0002)
            continue
        transaction = log.transaction()
        marks = [_mark(f"U{number * 7 % UNDERLYINGS}", number) for number in range(appended, due)]
        for frame in encode_frames(marks):
            transaction.append(topics.MARKS.name, 0, None, frame)
        transaction.commit()
        run_until_idle(runners, log)
        now = time.perf_counter() - begin
        taken += [now - number / MARKS_A_SECOND for number in range(appended, due)]
        appended = due
    return taken, time.process_time() - used


def pace() -> Iterator[Row]:
    """From a mark to the values of its positions, while two thousand marks come a second."""
    with tempfile.TemporaryDirectory() as folder:
        log = EmbeddedLog.owner(Path(folder) / "data", sync="os")
        try:
            stages = (mark_routing.stage(), valuation.stage())
            create_topics(log, stages, 1)
            runners = [PartitionRunner(stage, 0, log, 1) for stage in stages]
            transaction = log.transaction()
            updates = [
                _update(_held(n, f"U{n % UNDERLYINGS}", f"B{n // UNDERLYINGS}")) for n in range(POSITIONS)
            ]
            for frame in encode_frames(updates):
                transaction.append(topics.VALUATION_INPUT.name, 0, None, frame)
            transaction.commit()
            run_until_idle(runners, log)
            with quiet():
                bare, _ = _paced(log, [])
                # What the bare appends left for the stages is none of the figure.
                run_until_idle(runners, log)
                taken, used = _paced(log, runners)
        finally:
            log.close()
    (p50, p99), (_, bare_p99) = (
        [1e3 * sorted(each)[int(len(each) * share)] for share in (0.5, 0.99)] for each in (taken, bare)
    )
    plain = _plain_us(False) * POSITIONS / UNDERLYINGS
    note = (
        f"p50 {p50:.1f} ms; {used / len(taken) * 1e6:.0f} us of processor time a mark; {len(taken):,} marks on {POSITIONS:,} positions, "
        f"{UNDERLYINGS} underlyings; {plain:,.0f} us for the {POSITIONS // UNDERLYINGS} positions of a mark, an event each"
    )
    yield Row(
        "valuation, mark to values, p99",
        p99,
        "ms",
        bare_p99,
        "the append of the marks alone",
        higher_is_better=False,
        note=note,
    )


def _update(held: Held) -> Any:
    return _PositionUpdated(
        event_id=f"{held.book}-{held.instrument}",
        book=held.book,
        instrument=held.instrument,
        trade_id="t",
        revision=held.revision,
        executed_at=Nanoseconds(held.executed_at),
        quantity=held.quantity,
        cost_basis=held.cost_basis,
        currency=held.currency,
    )


# -- much at once ---------------------------------------------------------------------------------------------------


def _options_of(state: ValuationState, underlying: str, count: int) -> None:
    for number in range(count):
        definition = _option(number, underlying)
        state.definitions.keep(definition)
        state.blocks.place(_held(number, definition.instrument, f"B{number % 7}", Decimal(100)))


def options() -> Iterator[Row]:
    """One mark that ten thousand options hang on, to the bytes of all values."""
    with exact_arithmetic():
        state = _state()
        _options_of(state, "X", OPTIONS)
        _step(state, [_mark("X", 0)])
        taken = sorted(
            _processor_seconds(lambda number=number: _step(state, [_mark("X", number)]))  # type: ignore[misc]
            for number in range(1, OPTION_ROUNDS + 1)
        )
        plain = _plain_us(True) * OPTIONS / 1e3
    middle = taken[len(taken) // 2] * 1e3
    yield Row(
        f"valuation, one mark on {OPTIONS:,} options",
        middle,
        "ms",
        plain,
        "an event a position",
        middle * 1e3 / OPTIONS,
        higher_is_better=False,
        note=f"price and seven Greeks each, exact values; slowest of {OPTION_ROUNDS}: {taken[-1] * 1e3:.1f} ms",
    )


def everything() -> Iterator[Row]:
    """A revaluation of all that is held: a million linear positions and a hundred thousand options."""
    with exact_arithmetic():
        state = _state()
        for number in range(LINEAR):
            state.blocks.place(
                _held(number, f"L{number % LINEAR_INSTRUMENTS}", f"B{number // LINEAR_INSTRUMENTS}")
            )
        for number in range(OPTION_UNDERLYINGS):
            _options_of(state, f"X{number}", 100_000 // OPTION_UNDERLYINGS)
        state.blocks.touched.clear()
        names = [f"L{n}" for n in range(LINEAR_INSTRUMENTS)] + [f"X{n}" for n in range(OPTION_UNDERLYINGS)]
        taken = []
        for again in range(2):
            marks = [_mark(name, again) for name in names]
            parts = [marks[start : start + 100] for start in range(0, len(marks), 100)]
            taken.append(_processor_seconds(lambda parts=parts: [_step(state, part) for part in parts]))  # type: ignore[misc]
        plain = (_plain_us(False) * LINEAR + _plain_us(True) * 100_000) / 1e6
    yield Row(
        "valuation, 1,000,000 linear and 100,000 options",
        taken[1],
        "s",
        plain,
        "an event a position",
        taken[1] * 1e6 / (LINEAR + 100_000),
        higher_is_better=False,
        note=f"the first time, with the columns that do not change: {taken[0]:.1f} s",
    )


def run(_fills: int) -> list[Row]:
    """All figures."""
    return [*pace(), *options(), *everything()]
