"""The positions stage: what is applied, what is refused, and the one update for each."""

from decimal import Decimal
from pathlib import Path

import pytest

from agents import positions, trade_capture
from schemas import topics
from schemas.frames import encode_event
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tests.support import Books, DayClosed, Fee, LifecycleEventApplied, booked


def correction(trade_id: str, original: str, trade=None, book: str = "B1", **fields):
    kind = LifecycleKind.CANCEL if trade is None else LifecycleKind.AMEND
    return LifecycleEventApplied(
        event_id=fields.pop("event_id", f"event {trade_id}"), kind=kind, trade_id=trade_id, original_trade_id=original,
        book=book, executed_at=0, trade=trade, source="test", **fields,
    )  # fmt: skip


def letters(books: Books) -> list:
    return books.dead_letters(topics.BOOKING_DEAD_LETTERS)


def updates(books: Books) -> list:
    return books.events(topics.POSITIONS)


def outcomes(books: Books) -> tuple[int, int, int, int]:
    counts = books.counts(positions.NAME)
    assert counts.read == counts.applied + counts.duplicates + counts.refused and counts.waiting == 0
    return counts.read, counts.applied, counts.duplicates, counts.refused


def apply(books: Books, *events) -> None:
    books.bookings(*events)
    books.run()


def test_each_applied_event_has_one_update_with_its_deltas(books: Books):
    apply(books, booked("t1", 10, 100, at=1), booked("t2", -4, 110, at=2), booked("t3", -10, 90, at=3))
    first, second, third = updates(books)
    assert [update.revision for update in (first, second, third)] == [1, 2, 3]
    assert (first.quantity, first.average_price, first.cost_basis, first.lots_open) == (10, 100, 1000, 1)
    assert (second.quantity, second.realised_pnl, second.realised_pnl_delta, second.quantity_delta) == (
        6,
        40,
        40,
        -4,
    )
    assert (third.quantity, third.average_price, third.realised_pnl, third.realised_pnl_delta) == (
        -4,
        90,
        -20,
        -60,
    )
    assert third.cost_basis == -360 and third.cost_basis_delta == -960
    assert third.causation_id == booked("t3", -10, 90, at=3).event_id
    assert outcomes(books) == (3, 3, 0, 0)


def test_a_known_trade_is_a_duplicate_for_ever_and_other_content_is_refused(books: Books):
    trade = booked("t1", 10, 100)
    apply(books, trade, trade)
    books.reopen()
    other = booked("t1", 11, 100)
    apply(books, trade, booked("t1", "10.0", "100.00", event_id="x"), other)
    assert outcomes(books) == (5, 1, 3, 1)
    (letter,) = letters(books)
    assert letter.original == encode_event(other)
    assert (letter.field, letter.trade_id, letter.stage) == ("trade_id", "t1", "positions")
    assert books.position().quantity == 10


@pytest.mark.parametrize(
    "fields",
    [{"price": 101}, {"quantity": 9}, {"at": 1}, {"instrument": "Y"}, {"fees": (Fee(amount=Decimal(1)),)}],
)
def test_other_content_is_any_other_content(books: Books, fields: dict):
    apply(books, booked("t1"), booked("t1", **fields))
    assert outcomes(books) == (2, 1, 0, 1)


def test_a_trade_id_is_known_after_its_cancel(books: Books):
    apply(books, booked("t1"), correction("c1", "t1"), booked("t1"))
    assert outcomes(books) == (3, 2, 1, 0)
    assert books.position().quantity == 0


def test_a_late_trade_is_matched_in_its_place(books: Books):
    apply(books, booked("t1", 10, 100, at=10), booked("t3", -10, 120, at=30))
    assert books.position().realised_pnl == 200
    apply(books, booked("t0", 5, 90, at=5))
    update = updates(books)[-1]
    assert (update.quantity, update.realised_pnl, update.realised_pnl_delta) == (5, 250, 50)
    assert [(item.trade_id, item.realised_pnl_delta) for item in update.rematched] == [("t3", 50)]
    assert update.rematched_count == 1 and update.trade_id == "t0"


def test_ties_of_time_go_by_source_sequence_then_trade_id(books: Books):
    apply(
        books,
        booked("b", 1, 3, source_sequence=2),
        booked("z", 1, 2, source_sequence=1),
        booked("a", 1, 1, source_sequence=2),
    )
    assert [lot.trade_id for lot in books.position().lots] == ["z", "a", "b"]


def test_an_amend_keeps_its_place_and_rematches(books: Books):
    apply(books, booked("t1", 10, 100, at=1), booked("t2", 10, 200, at=2), booked("t3", -10, 300, at=3))
    apply(books, correction("a1", "t1", booked("t1", 10, 150, at=1)))
    update = updates(books)[-1]
    assert (update.trade_id, update.realised_pnl, update.realised_pnl_delta) == ("t1", 1500, -500)
    assert [lot.trade_id for lot in books.position().lots] == ["t2"]


def test_an_amend_of_the_instrument_moves_the_trade_and_updates_both(books: Books):
    apply(books, booked("t1", 10, 100), correction("a1", "t1", booked("t1", 10, 100, instrument="Y")))
    _, out, into = updates(books)
    assert (out.instrument, out.quantity, into.instrument, into.quantity) == ("X", 0, "Y", 10)
    assert out.event_id != into.event_id and out.causation_id == into.causation_id
    apply(books, correction("c1", "t1"))
    assert books.position("B1", "Y").quantity == 0


def test_a_move_between_books_takes_out_and_puts_in(books: Books):
    apply(books, booked("t1", 10, 100))
    apply(
        books,
        correction("a1", "t1", None, group_id="g", leg=0, event_id="l0"),
        correction(
            "a1", "t1", booked("t1", 10, 100, book="B2"), book="B2", group_id="g", leg=1, event_id="l1"
        ),
    )
    assert books.position("B1").quantity == 0 and books.position("B2").quantity == 10
    assert outcomes(books) == (3, 3, 0, 0)


def test_the_same_life_cycle_event_is_a_duplicate_and_its_id_with_other_content_is_refused(books: Books):
    change = correction("a1", "t1", booked("t1", 20, 100))
    apply(
        books, booked("t1"), change, change, correction("a1", "t1", booked("t1", 30, 100), event_id="other")
    )
    assert outcomes(books) == (4, 2, 1, 1)
    assert books.position().quantity == 20


def test_a_cancel_of_no_live_trade_is_refused(books: Books):
    apply(books, correction("c1", "t9"), booked("t1"), correction("c2", "t1"), correction("c3", "t1"))
    assert outcomes(books) == (4, 2, 0, 2)
    assert [letter.field for letter in letters(books)] == ["original_trade_id", "original_trade_id"]


def test_terms_are_fixed_while_the_position_is_open(books: Books):
    apply(books, booked("t1", 10, 100, at=1), booked("t2", 5, 100, at=2, multiplier=Decimal(2)))
    apply(books, booked("t3", 5, 100, at=3, lot_method=LotMethod.LIFO))
    apply(books, booked("t4", 5, 100, at=4, settlement_currency="EUR"))
    apply(books, booked("t5", 5, 100, at=5, fee_policy=FeePolicy.EXPENSED))
    apply(books, booked("t6", 5, 100, at=6, inverse=True))
    assert outcomes(books) == (6, 1, 0, 5)
    kept = "as the open position has it"
    assert [(letter.field, letter.expected, letter.found) for letter in letters(books)] == [
        ("multiplier", f"1, {kept}", "2"),
        ("lot_method", f"fifo, {kept}", "lifo"),
        ("currency", f"none, {kept}", "EUR"),
        ("fee_policy", f"excluded, {kept}", "expensed"),
        ("inverse", f"false, {kept}", "true"),
    ]
    apply(books, booked("t7", 5, 100, at=7))
    assert books.position().quantity == 15


def test_a_flat_position_takes_other_terms_but_keeps_its_currency_where_it_has_pnl(books: Books):
    usd = {"settlement_currency": "USD"}
    apply(books, booked("t1", 10, 100, at=1, **usd), booked("t2", -10, 110, at=2, **usd))
    apply(books, booked("t3", 5, 100, at=3, settlement_currency="EUR"))
    assert outcomes(books) == (3, 2, 0, 1)
    [letter] = letters(books)
    assert (letter.field, letter.expected, letter.found) == (
        "currency",
        "USD, in which the position has its P&L",
        "EUR",
    )
    apply(
        books,
        booked("t4", 5, 100, at=4, multiplier=Decimal(3), **usd),
        booked("t5", -5, 101, at=5, multiplier=Decimal(3), **usd),
    )
    assert books.position().realised_pnl == 100 + 15


THREE = {"multiplier": Decimal(3)}


def by_segments(*tail) -> list:
    """Flat under one set of terms, then open under another."""
    return [
        booked("t1", 10, 100, at=1),
        booked("t2", -10, 110, at=2),
        booked("t3", 5, 100, at=3, **THREE),
        *tail,
    ]


def test_amending_the_first_trade_of_new_terms_keeps_the_new_terms(books: Books, tmp_path: Path):
    apply(books, *by_segments(correction("a1", "t3", booked("t3", 5, 90, at=3, **THREE))))
    apply(books, booked("t4", -5, 100, at=4, **THREE))
    assert outcomes(books) == (5, 5, 0, 0)
    assert books.position().realised_pnl == 100 + 5 * 10 * 3
    assert books.position().terms.multiplier == 3


def test_cancelling_the_first_trade_of_new_terms_keeps_the_new_terms(books: Books):
    apply(books, *by_segments(booked("t4", 5, 90, at=4, **THREE), correction("c1", "t3")))
    apply(books, booked("t5", -5, 100, at=5, **THREE))
    assert outcomes(books) == (6, 6, 0, 0)
    assert books.position().realised_pnl == 100 + 5 * 10 * 3


def test_a_late_trade_of_the_new_terms_may_be_the_first_of_them(books: Books):
    apply(books, *by_segments(booked("t0", 5, 90, at=2.5, **THREE)))
    apply(books, booked("t5", -10, 100, at=5, **THREE))
    assert outcomes(books) == (5, 5, 0, 0)
    assert books.position().realised_pnl == 100 + 5 * 10 * 3


def test_a_late_trade_into_the_time_of_other_terms_is_refused_and_changes_nothing(books: Books):
    apply(books, *by_segments())
    before = books.hash()
    apply(books, booked("t0", 5, 90, at=1.5, **THREE), booked("u0", 5, 90, at=1.5))
    assert outcomes(books) == (5, 3, 0, 2)
    assert books.hash() == before
    conflict, late = letters(books)
    assert (conflict.field, conflict.expected) == ("multiplier", "1, as the open position has it")
    assert (late.field, late.expected, late.found) == (
        "multiplier",
        "3, as the position has it now (the trade is late)",
        "1",
    )
    apply(books, booked("t4", -5, 110, at=4, **THREE))
    assert books.position().realised_pnl == 100 + 5 * 10 * 3


def test_a_refused_correction_leaves_no_trace(books: Books):
    apply(books, *by_segments())
    table, before = books.table(positions.NAME), books.hash()
    bad = correction("a1", "t1", booked("t1", 10, 100, at=1, instrument="NEW"))  # leaves t2 alone before t3
    apply(books, bad)
    assert outcomes(books) == (4, 3, 0, 1)
    assert books.hash() == before
    assert [pair for pair in books.positions() if pair[1] == "NEW"] == []
    changed = set(books.table(positions.NAME).items() ^ table.items())
    assert {key[0] for (_, key), _ in changed} <= set(b"c\x00sl")
    apply(books, booked("t9", 1, 1, at=9, instrument="NEW", multiplier=Decimal(4)))
    assert books.position("B1", "NEW").terms.multiplier == 4


def test_fees_count_in_the_settlement_currency_only(books: Books):
    fees = (
        Fee(amount=Decimal("1.5")),
        Fee(amount=Decimal("0.5"), currency="USD"),
        Fee(amount=Decimal(9), currency="EUR"),
        Fee(amount=Decimal("-0.25"), kind="rebate", currency="USD"),
    )
    apply(books, booked("t1", settlement_currency="USD", fees=fees, fee_policy=FeePolicy.EXPENSED))
    update = updates(books)[0]
    assert (update.fees, update.fees_delta, update.net_realised_pnl) == (
        Decimal("1.75"),
        Decimal("1.75"),
        Decimal("-1.75"),
    )


@pytest.mark.parametrize("policy", FeePolicy)
def test_fee_policies(books: Books, policy: FeePolicy):
    fee = (Fee(amount=Decimal(1)),)
    apply(
        books,
        booked("t1", 10, 100, at=1, fees=fee, fee_policy=policy),
        booked("t2", -5, 110, at=2, fees=fee, fee_policy=policy),
    )
    position = books.position()
    net = {"excluded": Decimal(50), "expensed": Decimal(48), "capitalised": Decimal("48.5")}[policy]
    basis = {"excluded": Decimal(500), "expensed": Decimal(500), "capitalised": Decimal("500.5")}[policy]
    assert (position.realised_pnl, position.net_realised_pnl, position.fees) == (50, net, 2)
    assert position.cost_basis == basis


def test_a_day_that_closes_is_noted_and_changes_no_position(books: Books):
    apply(books, booked("t1"))
    before = books.hash()
    apply(books, DayClosed(event_id="d", book="B1", business_date="2026-01-05", event_time=0))
    assert books.hash() == before
    assert b"[0]" in books.table(positions.NAME).values()
    assert outcomes(books) == (1, 1, 0, 0)


DETAILS = {
    "business_date": "2026-01-05",
    "settlement_date": "2026-01-07",
    "entity": "E1",
    "account": "A1",
    "underlying": "U",
    "instrument_class": "bond",
    "accrued_interest": Decimal("1.25"),
    "posting_rules": 3,
}
TERMS = {"multiplier": Decimal(100), "settlement_currency": "USD"}
FEES = (Fee(amount=Decimal("0.5"), currency="EUR"), Fee(amount=Decimal(1)))
NOTHING = {
    "trade_price": None,
    "trade_fees": (),
    "settlement_date": None,
    "posting_rules": 0,
    "accrued_interest": Decimal(0),
}


def said(update, names) -> dict:
    return {name: getattr(update, name) for name in names}


def test_an_update_says_what_the_trade_was(books: Books):
    content = DETAILS | TERMS | {"fees": FEES}
    apply(books, booked("t1", 10, 100, at=2, **content), booked("t2", 5, 101, at=1, **content))
    in_order, late = updates(books)
    for update, price in ((in_order, 100), (late, 101)):
        assert said(update, DETAILS) == DETAILS
        assert (update.kind, update.trade_quantity, update.trade_price) == (None, None, price)
        assert (update.multiplier, update.inverse, update.trade_fees) == (100, False, FEES)
    assert (in_order.quantity_delta, late.quantity_delta) == (10, 5)


def test_an_update_says_what_a_correction_made_of_its_trade(books: Books):
    content = DETAILS | TERMS | {"fees": FEES}
    amended = booked("t1", 4, 90, at=1, **content | {"entity": "E2", "posting_rules": 4})
    apply(
        books,
        booked("t1", 10, 100, at=1, **content),
        correction("a1", "t1", amended),
        correction("c1", "t1"),
    )
    _, amend, cancel = updates(books)
    assert said(amend, DETAILS) == DETAILS | {"entity": "E2", "posting_rules": 4}
    assert (amend.kind, amend.trade_quantity, amend.quantity_delta) == (LifecycleKind.AMEND, 4, -6)
    assert (amend.trade_price, amend.trade_fees) == (90, FEES)
    assert (cancel.kind, cancel.trade_quantity, cancel.quantity_delta) == (LifecycleKind.CANCEL, 0, -4)
    assert said(cancel, NOTHING) == NOTHING and (cancel.entity, cancel.multiplier) == ("", 100)
    executed_at = booked("t1", at=1).executed_at
    assert (amend.trade_executed_at, cancel.trade_executed_at) == (None, executed_at)


def test_a_trade_that_goes_to_another_instrument_is_taken_out_and_told_where_it_is(books: Books):
    moved = booked("t1", 10, 100, at=1, instrument="Y", **DETAILS)
    apply(books, booked("t1", 10, 100, at=1, **DETAILS), correction("a1", "t1", moved))
    _, out, into = updates(books)
    assert (out.instrument, out.kind, out.trade_quantity) == ("X", LifecycleKind.AMEND, 0)
    assert said(out, NOTHING) == NOTHING
    assert (into.instrument, into.kind, into.trade_quantity) == ("Y", LifecycleKind.AMEND, 10)
    assert said(into, DETAILS) == DETAILS


@pytest.mark.parametrize("policy", FeePolicy)
def test_an_update_says_what_its_cost_has_of_fees(books: Books, policy: FeePolicy):
    fees = (Fee(amount=Decimal(3)),)
    apply(
        books,
        booked("t1", 10, 100, at=1, fees=fees, fee_policy=policy),
        booked("t2", -5, 100, at=2, fee_policy=policy),
    )
    held = [Decimal(3), Decimal("1.5")] if policy is FeePolicy.CAPITALISED else [0, 0]
    assert [update.held_fees for update in updates(books)] == held
    assert [update.cost_basis - update.held_fees for update in updates(books)] == [1000, 500]


def test_a_multiplier_of_one_is_left_out_however_it_came(books: Books):
    """Else what stands in the log would tell which terms were in memory."""
    apply(books, booked("t1", at=2), booked("t2", at=3, multiplier=Decimal(1)), booked("t3", at=1))
    books.reopen()
    apply(books, booked("t4", at=4, multiplier=Decimal("1.0")))
    assert not [found for found in books.event_bytes(topics.POSITIONS) if b"multiplier" in found]


def test_the_end_of_a_day_stands_between_the_updates(books: Books):
    closed = DayClosed(event_id="d", book="B1", business_date="2026-01-05", event_time=7, source="calendar")
    apply(books, booked("t1", at=1), closed, booked("t2", at=2))
    assert [type(event).__name__ for event in updates(books)] == [
        "PositionUpdated",
        "DayClosed",
        "PositionUpdated",
    ]
    assert books.event_bytes(topics.POSITIONS)[1] == encode_event(closed)


def test_in_is_out_over_both_stages(books: Books):
    from tests.support import fill

    books.book(fill("t1"), fill("t1"), fill("t2", price="NaN"), fill("t3", multiplier=Decimal(2)))
    capture, book = books.counts(trade_capture.NAME), books.counts(positions.NAME)
    assert (capture.read, capture.applied, capture.duplicates, capture.refused) == (4, 2, 1, 1)
    assert (book.read, book.applied, book.refused) == (2, 1, 1)
    assert len(books.dead_letters()) == 1 and len(letters(books)) == 1


def test_the_cache_of_lots_may_be_small(tmp_path: Path):
    stages = (trade_capture.stage(), positions.stage(cached_lots_max=4))
    many = [booked(f"t{n}", 1, n + 1, at=n, book=f"B{n % 5}", instrument=f"X{n % 3}") for n in range(200)]
    with Books(tmp_path / "small", stages=stages) as small, Books(tmp_path / "large") as large:
        for start in range(0, 200, 20):
            apply(small, *many[start : start + 20])
        apply(large, *many)
        assert small.hash() == large.hash()
        assert small.event_bytes(topics.POSITIONS) == large.event_bytes(topics.POSITIONS)
