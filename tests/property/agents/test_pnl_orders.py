"""What a day comes to does not hang on how far marks had come when bookings and ends of days did.

Bookings with the ends of days are one stream, the marks of each instrument another. However the streams are merged, and cut
into steps, each closed day has the figures of the run in the order of time, and so has the running one.
"""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.pnl_support import PnLChain
from tests.support import booked
from tests.valuation_support import DAY, NOON, book, closed, mark

DAYS = 3
INSTRUMENTS = ("X", "Y")
HOUR = DAY // 24

times = st.tuples(st.integers(0, DAYS - 1), st.integers(0, 10))
trades = st.lists(
    st.tuples(times, st.sampled_from(INSTRUMENTS), st.integers(-3, 3).filter(bool), st.integers(8, 12)),
    min_size=1,
    max_size=6,
)
marks = st.lists(st.tuples(times, st.sampled_from(INSTRUMENTS), st.integers(8, 12)), max_size=10)


def at(day: int, hour: int) -> int:
    return NOON + day * DAY + hour * HOUR


def date(day: int) -> str:
    return f"2026-01-{5 + day:02}"


def streams_of(trades: list[tuple], marks: list[tuple]) -> dict[str, list[tuple[int, Any]]]:
    """The streams, each in the order of its times; the marks of an instrument begin before everything."""
    bookings = [(at(day, 23), closed(day=date(day))) for day in range(DAYS - 1)]
    for number, ((day, hour), name, quantity, price) in enumerate(sorted(trades)):
        trade = booked(
            trade_id=f"t{number}",
            book="B",
            instrument=name,
            quantity=Decimal(quantity),
            price=Decimal(price),
            executed_at=at(day, hour),
            source_sequence=number,
            business_date=date(day),
            settlement_currency="USD",
            event_id=f"et{number}",
        )
        bookings.append((at(day, hour), trade))
    found = {"bookings": sorted(bookings, key=lambda item: item[0])}
    for name in INSTRUMENTS:
        own = [(NOON - HOUR, mark(name, "10", at=NOON - HOUR))]
        for number, ((day, hour), _, price) in enumerate(sorted(each for each in marks if each[1] == name)):
            when = at(day, hour) + number + 1
            own.append((when, mark(name, str(price), at=when)))
        # After everything, so that the running day is told when all is closed.
        found[name] = [*own, (at(DAYS - 1, 11), mark(name, "11", at=at(DAYS - 1, 11)))]
    return found


def days_of(chain: PnLChain) -> dict[tuple[str, str], tuple]:
    """The last that was told of each day, the running one under an empty date. Of an idle day nothing need be told."""
    found = {}
    for event in chain.told:
        key = (event.instrument, event.business_date if event.closed else "")
        found[key] = (event.quantity, event.realised, event.unrealised, event.total, event.total_to_date)
    return {key: figures for key, figures in found.items() if any(figures[:4])}


def run(steps: list[list[Any]]) -> dict[tuple[str, str], tuple]:
    chain = PnLChain()
    chain.define(book(currency="USD"))
    for events in steps:
        waiting: list[Any] = []
        for event in events:
            if type(event).__name__ == "Mark":
                waiting.append(event)
                continue
            if waiting:
                chain.value(*waiting)
                waiting = []
            chain.book(event)
        if waiting:
            chain.value(*waiting)
    return days_of(chain)


@given(trades, marks, st.data())
def test_days_are_the_same_however_streams_are_merged(trades: list[tuple], marks: list[tuple], data: Any):
    streams = streams_of(trades, marks)
    in_order = sorted((item for stream in streams.values() for item in stream), key=lambda item: item[0])
    expected = run([[event] for _, event in in_order])
    left = {name: [event for _, event in stream] for name, stream in streams.items()}
    # What was quoted before everything is known before everything.
    steps: list[list[Any]] = [[left[name].pop(0) for name in INSTRUMENTS]]
    while any(left.values()):
        name = data.draw(st.sampled_from([name for name, stream in left.items() if stream]))
        count = data.draw(st.integers(1, len(left[name])))
        steps.append(left[name][:count])
        del left[name][:count]
    assert run(steps) == expected
