"""P&L: from a frame of valuations to what every position in it made, by cause, in processor time on one core.

Beside it the plain way in the same run: each Greek's part of each position by the formulas of `pks pnl-explain`, in exact
decimals from the start of the day, and an event for each; it keeps no days and holds no identity.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from agents import pnl
from agents.pnl_state import PnLState
from agents.stage import Frame, Step
from bench.row import Row
from bench.throughput import quiet
from domain.pnl.taylor import GREEKS, explain
from schemas import pnl as messages
from schemas import topics, valuation
from schemas.frames import encode_event, wire
from schemas.numbers import ZERO, exact_arithmetic
from schemas.times import Nanoseconds, parse_time
from schemas.units import MarkQuality
from tables.partition import TablePartition
from tables.store import MemoryStore

POSITIONS, FRAMES = 500, 40

_START = parse_time("2026-01-05T12:00:00Z")
_Frame, _Told, _Buckets = (
    wire(valuation.PositionsValuated),
    wire(messages.PnLAttributed),
    wire(messages.PnLBuckets),
)
_UNIT = {"delta": 50.0, "gamma": 1.0, "vega": 2.0, "theta": -3.0, "rho": 4.0, "vanna": 0.1, "volga": 0.2}


def _valued(number: int, *, options: bool) -> Any:
    """A frame in which everything has moved."""
    mark = 100 + Decimal(number % 7) / 4
    names = GREEKS if options else ("delta",)
    moved: dict[str, float] = {
        "volatility": 0.2 + number % 5 / 100,
        "rate": 0.01,
        "time_to_expiry": 0.5 - number / 1e6,
    }
    columns: dict[str, Any] = {name: (_UNIT[name],) * POSITIONS for name in names}
    if options:
        columns |= {name: (value,) * POSITIONS for name, value in moved.items()}
    return _Frame(
        event_id=f"f{number}",
        source="valuation",
        underlying="U",
        event_time=Nanoseconds(_START + number),
        book=("B",) * POSITIONS,
        instrument=tuple(f"I{each}" for each in range(POSITIONS)),
        revision=(1,) * POSITIONS,
        quantity=(Decimal(10),) * POSITIONS,
        currency=("USD",) * POSITIONS,
        cost_basis=(Decimal(900),) * POSITIONS,
        realised_pnl=(Decimal("12.5"),) * POSITIONS,
        fees=(Decimal(1),) * POSITIONS,
        mark=(mark,) * POSITIONS,
        mark_quality=(MarkQuality.LIVE,) * POSITIONS,
        market_value=(mark * 10,) * POSITIONS,
        unrealised_pnl=(mark * 10 - 900,) * POSITIONS,
        book_currency=("EUR",) * POSITIONS,
        fx_rate=(Decimal("0.9"),) * POSITIONS,
        spot=(float(mark),) * POSITIONS,
        **columns,
    )


def _attributed(frames: list[Any]) -> float:
    """Processor time of the stage's handler over frames, each a step, the first before the clock runs."""
    store = MemoryStore()
    state = PnLState(TablePartition(store))

    def step(frame: Any) -> None:
        taken = Step(lambda key: 0)
        pnl.handle(state, [Frame(topics.VALUATIONS.name, 0, 0, [frame], range(1))], taken)
        state.before_commit()
        store.write(state.table.changes)
        state.committed()
        state.table.committed()

    def steps() -> None:
        for frame in frames[1:]:
            step(frame)

    step(frames[0])
    return _processor_seconds(steps)


def _plainly(frames: list[Any]) -> None:
    first = frames[0]
    for frame in frames[1:]:
        for row in range(POSITIONS):
            greeks = {
                name: Decimal(repr(getattr(first, name)[row])) for name in GREEKS if getattr(first, name)
            }
            moves = {"spot": frame.mark[row] - first.mark[row]}
            total = frame.unrealised_pnl[row] - first.unrealised_pnl[row]
            found = explain(greeks, moves, {}, total)
            encode_event(
                _Told(
                    event_id=f"{frame.event_id}.{row}",
                    book=frame.book[row],
                    instrument=frame.instrument[row],
                    event_time=frame.event_time,
                    total=found.total,
                    buckets=_Buckets(**found.buckets, unexplained=found.unexplained or ZERO),
                )
            )


def _processor_seconds(act: Callable[[], Any]) -> float:
    before = time.thread_time_ns()
    act()
    return (time.thread_time_ns() - before) / 1e9


def _measured(options: bool) -> Row:
    frames = [_valued(number, options=options) for number in range(FRAMES + 1)]
    with quiet(), exact_arithmetic():
        taken = min(_attributed(frames) for _ in range(3))
        plain = min(_processor_seconds(lambda: _plainly(frames)) for _ in range(3))
    rows = POSITIONS * FRAMES
    return Row(
        f"P&L, {'options' if options else 'linear'} by cause in two currencies",
        rows / taken,
        "positions/s",
        rows / plain,
        "the Taylor formulas in decimals, an event a position, no days and no identities",
        note="processor time",
    )


def run(_fills: int) -> list[Row]:
    """Positions a second, linear ones and options."""
    return [_measured(options=options) for options in (False, True)]
