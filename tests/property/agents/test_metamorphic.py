"""What must not change the books: how fills were cut, which book is which, cancels undone, and the order of arrival.

No model says what the books should be: the same fills go through capture and positions twice, told in two ways
that mean the same, and must end in the same books.
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import positions, trade_capture
from agents.open_position import scan_positions
from domain.book_hash import position_digest
from domain.lots.position import Position
from schemas.numbers import exact_arithmetic
from schemas.topics import BOOKINGS
from schemas.units import Action, FeePolicy, LotMethod, Side
from tests.stage_support import StageInMemory
from tests.support import MONDAY, SECOND, Book, Fee, FillEvent, Instrument, soak_minutes

Place = tuple[str, str]

METHODS = st.tuples(st.sampled_from(LotMethod), st.sampled_from(FeePolicy))
CONTENTS = st.tuples(
    st.sampled_from(["B1", "B2"]),
    st.sampled_from(["X", "I"]),
    st.sampled_from([-5, -2, -1, 1, 2, 5, "-0.75", "0.3"]).map(Decimal),
    st.sampled_from([1, 2, 7, "99.5", "64000.125"]).map(Decimal),
    st.sampled_from([0, 0, 1, "0.07", "-0.3"]).map(Decimal),
)
FILLS = st.lists(CONTENTS, min_size=1, max_size=10)


def fills_of(contents: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Fills in the order of matching, two to a second."""
    return [
        FillEvent(
            event_id=f"e{number}",
            trade_id=f"t{number}",
            source="metamorphic",
            book=book,
            instrument=instrument,
            side=Side.BUY if quantity > 0 else Side.SELL,
            quantity=abs(quantity),
            price=price,
            fees=(Fee(amount=fee),) if fee else (),
            executed_at=MONDAY + number // 2 * SECOND,
            source_sequence=10 * number,
        )
        for number, (book, instrument, quantity, price, fee) in enumerate(contents)
    ]


def booked(fills: Sequence[Any], terms: dict[str, tuple[LotMethod, FeePolicy]]) -> dict[Place, Position]:
    """The books that fills make: through capture one by one, and through positions."""
    capture, kept = StageInMemory(trade_capture.stage()), StageInMemory(positions.stage())
    for book, (method, policy) in terms.items():
        capture.define(Book(event_id=book, book=book, lot_methods={"*": method}, fee_policy=policy))
    capture.define(Instrument(event_id="i", instrument="I", multiplier=Decimal(100), inverse=True))
    step = capture.step(*fills)
    assert not step.refusals
    bookings = [
        event
        for (topic, _), output in step.outputs.items()
        if topic == BOOKINGS.name
        for event in BOOKINGS.codec.decode(b"[" + b",".join(output.encoded) + b"]")
    ]
    assert not kept.step(*bookings).refusals
    assert kept.counts() == (len(bookings), len(bookings), 0, 0, 0)
    with exact_arithmetic():
        return {
            (opened.book, opened.instrument): opened.position for opened in scan_positions(kept.committed)
        }


def digests(found: dict[Place, Position]) -> dict[Place, int]:
    """Everything of every position, lots and their ids included."""
    with exact_arithmetic():
        return {place: position_digest("", place[1], position) for place, position in found.items()}


def near(one: dict[Place, Position], other: dict[Place, Position]) -> bool:
    """Whether figures are the same up to what is rounded on the way; quantities and fees are never rounded."""
    tolerance = Decimal("1e-22")
    with exact_arithmetic():
        return one.keys() == other.keys() and all(
            (found.quantity, found.fees) == (other[place].quantity, other[place].fees)
            and (found.average_price is None) == (other[place].average_price is None)
            and all(
                abs((getattr(found, name) or 0) - (getattr(other[place], name) or 0)) <= tolerance
                for name in ("cost_basis", "realised_pnl", "net_realised_pnl", "average_price")
            )
            for place, found in one.items()
        )


Case = tuple[list[Any], dict[str, tuple[LotMethod, FeePolicy]]]
CASES = st.tuples(FILLS.map(fills_of), st.fixed_dictionaries({"B1": METHODS, "B2": METHODS}))


def split_in_two(case: Case, data: st.DataObject) -> None:
    """A fill in two parts at its price is worth the same as whole."""
    fills, terms = case
    place = data.draw(st.integers(0, len(fills) - 1))
    share = data.draw(st.sampled_from(["0.5", "0.1", "0.999"]).map(Decimal))
    whole = fills[place]
    parts = [
        msgspec.structs.replace(
            whole,
            event_id=f"{whole.event_id}.{number}",
            trade_id=f"{whole.trade_id}.{number}",
            source_sequence=whole.source_sequence + number,
            quantity=whole.quantity * part,
            fees=tuple(Fee(amount=fee.amount * part) for fee in whole.fees),
        )
        for number, part in enumerate((share, 1 - share))
    ]
    assert near(booked(fills, terms), booked([*fills[:place], *parts, *fills[place + 1 :]], terms))


def books_renamed(case: Case, data: st.DataObject) -> None:
    """Books that change their names, and that meet in another order, are the same books."""
    fills, terms = case
    other = {"B1": "B2", "B2": "B1"}
    renamed = [msgspec.structs.replace(fill, book=other[fill.book]) for fill in fills]
    first = data.draw(st.sampled_from(sorted(other)))
    apart = sorted(renamed, key=lambda fill: fill.book != first)
    found = digests(booked(apart, {other[book]: of for book, of in terms.items()}))
    assert digests(booked(fills, terms)) == {(other[book], name): one for (book, name), one in found.items()}


def cancelled_and_booked_again(case: Case, data: st.DataObject) -> None:
    """A trade that is cancelled and booked again under another id, in its place, is as good as the first."""
    fills, terms = case
    place = data.draw(st.integers(0, len(fills) - 1))
    first = fills[place]
    cancel = msgspec.structs.replace(
        first, event_id="cancel", trade_id="cancel", action=Action.CANCEL, original_trade_id=first.trade_id
    )
    again = msgspec.structs.replace(first, event_id="again", trade_id=f"{first.trade_id} again")
    told = [*fills, *data.draw(st.permutations([cancel, again]))]
    assert near(booked(fills, terms), booked(told, terms))


def amended_and_amended_back(case: Case, data: st.DataObject) -> None:
    """A trade that is amended, and amended back, was never amended."""
    fills, terms = case
    place = data.draw(st.integers(0, len(fills) - 1))
    first = fills[place]
    content = fills_of([data.draw(CONTENTS)])[0]
    wrong, right = (
        msgspec.structs.replace(
            source,
            event_id=f"amend {name}",
            trade_id=f"amend {name}",
            action=Action.AMEND,
            original_trade_id=first.trade_id,
            source_sequence=1_000,
        )
        for name, source in (("wrong", content), ("right", first))
    )
    found = digests(booked([*fills, wrong, right], terms))
    # Where it was meanwhile, a position that is flat stays.
    nothing = {key: one for key, one in found.items() if key == (content.book, content.instrument)}
    assert found == nothing | digests(booked(fills, terms))


def late_and_on_time(case: Case, data: st.DataObject) -> None:
    """Trades that come late stand where they would have stood."""
    fills, terms = case
    assert digests(booked(data.draw(st.permutations(fills)), terms)) == digests(booked(fills, terms))


RELATIONS = [
    split_in_two,
    books_renamed,
    cancelled_and_booked_again,
    amended_and_amended_back,
    late_and_on_time,
]
each_relation = pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)


@each_relation
def test_the_books_are_the_same(relation: Callable[[Case, st.DataObject], None]):
    settings(max_examples=500)(given(CASES, st.data())(relation))()


@pytest.mark.soak
@each_relation
def test_the_books_are_the_same_for_long(relation: Callable[[Case, st.DataObject], None]):
    """20,000 examples of each relation, as far as its share of the minutes goes."""
    end, done = time.monotonic() + 60 * soak_minutes() / len(RELATIONS), 0
    while done < 20_000 and (not done or time.monotonic() < end):
        settings(max_examples=500, derandomize=False)(given(CASES, st.data())(relation))()
        done += 500
    assert done
