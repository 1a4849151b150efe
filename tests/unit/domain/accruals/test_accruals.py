"""Coupons, funding and interest of holdings: what is due, what is missing, and what a run books of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accruals.accrued import Accrued, Hole
from domain.accruals.booking import Booked, Booking, bookings, movement_id, total
from domain.accruals.coupon_accruals import coupon_accruals
from domain.accruals.coupons import CouponBond, CouponPeriod, accrued_interest, coupon_periods
from domain.accruals.financing import Financing, borrow_fees, margin_interest, payment_day
from domain.accruals.funding import funding_payment, funding_payments
from domain.accruals.holdings import Holding, Quantities
from domain.accruals.rates import Fixing, Fixings, gaps
from schemas.numbers import ZERO, exact_arithmetic
from schemas.times import NANOSECONDS_PER_SECOND, parse_time
from schemas.units import MovementKind

D = Decimal
HOUR = 3_600 * NANOSECONDS_PER_SECOND


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    with exact_arithmetic():
        yield


def day(text: str) -> date:
    return date.fromisoformat(text)


def holding(
    settled: dict[str, str] | None = None, executed: dict[int, str] | None = None, *, inverse: bool = False
) -> Holding:
    return Holding(
        "E",
        "A",
        "B",
        "X",
        Quantities.of((day(when).toordinal(), D(change)) for when, change in (settled or {}).items()),
        Quantities.of((when, D(change)) for when, change in (executed or {}).items()),
        inverse=inverse,
    )


def amounts(found: list[Accrued | Hole], kind: MovementKind) -> list[Decimal]:
    return [each.amount for each in found if isinstance(each, Accrued) and each.kind is kind]


BOND = CouponBond(
    "Act/365F", coupon_periods(day("2023-08-28"), day("2025-02-28"), 2, D(1000), [D("0.0775")]), frequency=2
)


@given(st.lists(st.tuples(st.integers(-5, 9), st.integers(-3, 3)), max_size=8))
def test_quantities_are_the_sum_of_changes(changes: list[tuple[int, int]]):
    found = Quantities.of((moment, D(change)) for moment, change in changes)
    for moment in range(-7, 12):
        assert found.on(moment) == sum(change for when, change in changes if when <= moment)


def test_accruals_of_a_period_and_its_coupon_cancel_out():
    found = list(coupon_accruals(holding({"2023-08-01": "3"}), BOND, "RUB", day("2024-02-28")))
    [paid] = amounts(found, MovementKind.COUPON)
    assert paid == sum(
        amounts(found, MovementKind.COUPON_ACCRUAL)[: (day("2024-02-28") - day("2023-08-28")).days]
    )
    assert len({each.key for each in found}) == len(found)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.integers(0, 400).map(lambda n: str(day("2023-08-28") + timedelta(n))), st.integers(-9, 9)
    )
)
def test_what_trades_bought_and_sold_makes_up_for_the_rest(changes: dict[str, int]):
    """Accruals + accrued interest paid - received = coupons, once everything is sold and paid: nothing is left over."""
    end = "2024-12-31"
    changes = {**changes, end: changes.get(end, 0) - sum(changes.values())}
    held = holding({when: str(change) for when, change in changes.items()})
    found = list(coupon_accruals(held, BOND, "RUB", day("2025-06-01")))
    bought = sum(accrued_interest(BOND, day(when)) * change for when, change in changes.items())
    receivable = bought + sum(amounts(found, MovementKind.COUPON_ACCRUAL), ZERO)
    assert receivable == sum(amounts(found, MovementKind.COUPON), ZERO)


def test_the_leap_day_accrues_like_another():
    found = list(coupon_accruals(holding({"2024-02-27": "1000000"}), BOND, "RUB", day("2024-03-02")))
    days = [each.day for each in found if each.kind is MovementKind.COUPON_ACCRUAL]
    assert days == [day("2024-02-27") + timedelta(n) for n in range(5)]


def test_a_coupon_that_is_not_fixed_is_a_hole():
    periods = (
        CouponPeriod(day("2024-01-01"), day("2024-02-01"), day("2024-02-01"), D(1000), amount=D(5)),
        CouponPeriod(day("2024-02-01"), day("2024-03-01"), day("2024-03-01"), D(1000)),
    )
    found = list(
        coupon_accruals(
            holding({"2024-01-01": "1"}), CouponBond("Act/365F", periods), "RUB", day("2024-03-10")
        )
    )
    assert amounts(found, MovementKind.COUPON) == [5]
    assert [(each.reason, each.at) for each in found if isinstance(each, Hole)] == [
        ("X: its rate is not fixed", "2024-02-01 to 2024-03-01")
    ]


def test_funding_is_paid_by_the_longs_where_the_rate_is_positive():
    assert funding_payment(D(2), D(1), False, D(30000), D("0.0001"), 6) == D("-6")
    assert funding_payment(D(-2), D(1), False, D(30000), D("0.0001"), 6) == D("6")
    # 100 contracts of 100 USD, in BTC.
    assert funding_payment(D(100), D(100), True, D(40000), D("0.0001"), 8) == D("-0.000025")


def test_funding_follows_the_position_at_each_fixing():
    start = parse_time("2024-02-28T00:00:00Z")
    rates = Fixings(Fixing(start + n * 8 * HOUR, D("0.001"), D(100)) for n in range(7))
    held = holding(executed={start + HOUR: "1", start + 30 * HOUR: "-1", start + 41 * HOUR: "-2"})
    found = list(funding_payments(held, rates, lambda at: None, start + 48 * HOUR, "USDT", 28_800, 6))
    # At 8, 16 and 24 hours long one, at 32 and 40 flat, at 48 short two.
    assert [each.amount for each in found] == [D("-0.1")] * 3 + [D("0.2")]
    assert found[-1].key == "funding/E/A/B/X/2024-03-01T00:00:00Z" and found[-1].day == day("2024-03-01")


def test_funding_without_a_price_and_without_a_rate_is_said():
    start = parse_time("2024-02-28T00:00:00Z")
    rates = Fixings(Fixing(start + n * HOUR, D("0.001")) for n in range(20) if n not in (7, 8))
    held = holding(executed={start: "1"})
    prices = {start + 3 * HOUR: D(100)}
    found = list(funding_payments(held, rates, prices.get, start + 9 * HOUR, "USDT", 3_600, 6))
    reasons = [(each.reason, each.at) for each in found if isinstance(each, Hole)]
    assert amounts(found, MovementKind.FUNDING) == [D("-0.1")] and len(reasons) == 7
    assert reasons[0] == ("X: no price for its funding", "2024-02-28T01:00:00Z")
    assert reasons[-1] == (
        "X: no funding rate between two that are there",
        "2024-02-28T06:00:00Z to 2024-02-28T09:00:00Z",
    )


def test_a_change_of_the_interval_is_no_gap():
    times = list(accumulate([8] * 10 + [1] * 10))
    assert gaps(times, 1) == []
    assert gaps([*times, times[-1] + 2, times[-1] + 3, times[-1] + 4], 1) == [(times[-1], times[-1] + 2)]
    assert gaps([0, 1], 1) == [] == gaps([], 1)


def test_a_fixing_that_is_corrected_counts_once():
    rates = Fixings([Fixing(1, D(1)), Fixing(2, D(2)), Fixing(1, D(3))])
    assert len(rates) == 2 and rates.in_force(1) == Fixing(1, D(3))
    assert rates.in_force(0) is None and rates.in_force(9) == Fixing(2, D(2))


FINANCING = Financing(
    "USD", "Act/360", 2, debit_spread=D("0.01"), credit_spread=D("0.005"), free_balance=D(10000)
)


def test_what_is_short_costs_by_the_day_and_is_paid_by_the_month():
    held = holding({"2024-01-30": "-100", "2024-03-01": "100"})
    found = list(
        borrow_fees(held, FINANCING, lambda when: D("0.02"), lambda when: D("180"), day("2024-03-31"))
    )
    daily = amounts(found, MovementKind.BORROW_FEE_ACCRUAL)
    # 18,000 x 3 % / 360 for 30 January to 29 February.
    assert daily == [D("-1.5")] * 31
    paid = [(each.day, each.amount) for each in found if each.kind is MovementKind.BORROW_FEE]
    assert paid == [(day("2024-02-01"), D("-3")), (day("2024-03-01"), D("-43.5"))]
    assert {each.cleared_by for each in found} == {"borrow_fee/E/A/B/X/2024-01", "borrow_fee/E/A/B/X/2024-02"}


def test_interest_on_cash_by_its_sign():
    balances = Quantities.of(
        [(day("2024-02-26").toordinal(), D(46000)), (day("2024-02-29").toordinal(), D(-82000))]
    )
    found = list(margin_interest("E", "A", balances, FINANCING, lambda when: D("0.045"), day("2024-03-04")))
    daily = amounts(found, MovementKind.MARGIN_INTEREST_ACCRUAL)
    # Above the free 10,000 at 4 %; then 36,000 owed at 5.5 %, over the weekend too.
    assert daily == [D("4")] * 3 + [D("-5.5")] * 5
    [paid] = [each for each in found if each.kind is MovementKind.MARGIN_INTEREST]
    assert (paid.day, paid.amount, paid.key) == (
        day("2024-03-01"),
        D("6.5"),
        "margin_interest/E/A/USD/2024-02",
    )
    rateless = list(margin_interest("E", "A", balances, FINANCING, lambda when: None, day("2024-02-26")))
    assert rateless == [
        Hole("margin_interest_accrual/E/A/USD/2024-02-26", "A: no interest rate for USD", "2024-02-26")
    ]


def test_payment_days():
    assert payment_day(day("2024-02-29")) == day("2024-03-01")
    assert payment_day(day("2023-12-31")) == day("2024-01-01")
    assert payment_day(day("2024-05-02")) == day("2024-06-03")  # The first is a Saturday.


# -- what is booked --------------------------------------------------------------------------------------------


def item(key: str, amount: int, currency: str = "USD") -> Accrued:
    return Accrued(key, MovementKind.FUNDING, day("2024-02-29"), D(amount), currency)


def apply(booked: dict[str, Booked], found: list[Booking]) -> None:
    for booking in found:
        amount = ZERO if booking.reverses else booking.accrued.amount
        kept = item(booking.accrued.key, int(amount), booking.accrued.currency)
        booked[kept.key] = Booked(booking.revision, kept)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.integers(-3, 3).map(lambda amount: amount)), max_size=6
    ),
    st.data(),
)
def test_whatever_changes_the_sum_booked_is_what_is_due(runs: list[dict[str, int]], data: st.DataObject):
    booked: dict[str, Booked] = {}
    ids: dict[str, Decimal] = {}
    sums: dict[str, Decimal] = {}
    for due in runs:
        items = [item(key, amount) for key, amount in due.items()]
        planned = bookings(items, booked)
        # A run that dies halfway has booked some of it; the next one plans from what stands there.
        done = planned[: data.draw(st.integers(0, len(planned)))]
        for part in (done, None):
            part = bookings(items, booked) if part is None else part
            apply(booked, part)
            for booking in part:
                assert ids.setdefault(booking.movement_id, booking.accrued.amount) == booking.accrued.amount
                sums[booking.accrued.key] = sums.get(booking.accrued.key, ZERO) + booking.accrued.amount
        assert bookings(items, booked) == []
        assert {key: amount for key, amount in sums.items() if amount} == {
            key: amount for key, amount in due.items() if amount
        }


def test_a_correction_reverses_and_books_again():
    booked = {"k": Booked(0, item("k", 5))}
    back, again = bookings([item("k", 7)], booked)
    assert (back.accrued.amount, back.reverses) == (-5, movement_id("k", 0))
    assert (again.accrued.amount, again.movement_id) == (7, movement_id("k", 1))
    assert total([back, again]) == {"USD": 2}
    assert bookings([item("k", 5)], booked) == []
    assert [each.accrued.amount for each in bookings([item("k", 5, "EUR")], booked)] == [-5, 5]


def test_what_is_not_due_any_more_is_taken_back_unless_it_cannot_be_known():
    booked = {"funding/B/X/1": Booked(2, item("funding/B/X/1", 5))}
    [back] = bookings([], booked)
    assert back.reverses == movement_id("funding/B/X/1", 2) and back.accrued.amount == -5
    assert bookings([], booked, [Hole("funding/B/X/", "no rate")]) == []
