"""From quotes to marks, as a table: what each rule says of a quote of each class."""

from decimal import Decimal
from typing import Any

import pytest

from domain.marks.classes import RULES, ClassRules
from domain.marks.judging import FUTURE_SECONDS, MarkRefusal, judge, order_of, restated
from domain.marks.newest import Conflator, LastMarks
from schemas.numbers import exact_arithmetic
from schemas.quotes import Quote
from schemas.units import MarkQuality
from tests.support import MONDAY, SECOND

NOW = MONDAY + 1_000 * SECOND
RULE = ClassRules()


def quote(price: str | None = None, bid: str | None = None, ask: str | None = None, **fields: Any) -> Quote:
    numbers = {
        name: None if text is None else Decimal(text)
        for name, text in (("price", price), ("bid", bid), ("ask", ask))
    }
    return Quote(
        **{
            "instrument": "X",
            "event_time": NOW,
            "observed_at": NOW,
            "source": "test",
            "instrument_class": "equity",
            **numbers,
            **fields,
        }
    )


def judged(*numbers: str | None, **fields: Any) -> Any:
    with exact_arithmetic():
        return judge(quote(*numbers, **fields), RULE, NOW)


def said(mark: Any) -> tuple[str | None, str]:
    return None if mark.price is None else format(mark.price, "f"), mark.quality


CASES = [
    # price, bid, ask, fields, what becomes of it
    (("10", "9", "11"), {}, ("10", "live")),
    ((None, "9", "12"), {}, ("10.5", "live")),
    ((None, "9", "9"), {}, ("9.0", "live")),
    ((None, "0.000000000000000001", "0.000000000000000002"), {}, ("0.0000000000000000015", "live")),
    (("10", None, None), {}, ("10", "live")),
    (("10", "0", "0"), {}, ("10", "live")),
    (("10",), {"fallback": True}, ("10", "indicative")),
    ((None,), {"no_price": True}, (None, "missing")),
    ((None, "9", None), {"no_price": True}, (None, "missing")),
    # crossed: no one could trade at its middle
    ((None, "11", "9"), {}, ("10.0", "indicative")),
    (("10", "11", "9"), {}, ("10", "indicative")),
    # zero and negative, by class
    (("0",), {}, "zero"),
    (("0",), {"instrument_class": ""}, "zero"),
    (("0",), {"instrument_class": "perpetual"}, "zero"),
    (("0",), {"instrument_class": "option"}, ("0", "live")),
    (("0",), {"instrument_class": "FUTURE"}, ("0", "live")),
    ((None, "0", "1"), {}, "one side"),
    ((None, "0", "1"), {"instrument_class": "option"}, ("0.5", "live")),
    ((None, "0", "0"), {}, "one side"),
    ((None, "-1", "1"), {"instrument_class": "spread"}, ("0.0", "live")),
    (("-37.63",), {"instrument_class": "future"}, ("-37.63", "live")),
    (("-37.63",), {"instrument_class": "option"}, "negative"),
    (("-37.63",), {}, "negative"),
    (("10", "-1", "11"), {}, "negative"),
    (("10", "9", "-1"), {}, "negative"),
    # one side, or none
    ((None, "9", None), {}, "one side"),
    ((None, None, "9"), {}, "one side"),
    ((None,), {}, "one side"),
    # no numbers
    (("NaN",), {}, "number"),
    (("10", "Infinity"), {}, "number"),
    (("1E+308",), {}, "number"),
    (("10",), {"accrued_interest": Decimal("1E+308")}, "number"),
    (("10",), {"instrument": "=X"}, "instrument"),
    # time
    (("10",), {"event_time": NOW + FUTURE_SECONDS * SECOND}, ("10", "live")),
    (("10",), {"event_time": NOW + FUTURE_SECONDS * SECOND + 1}, "future"),
    (("10",), {"event_time": NOW + SECOND, "observed_at": NOW - 10 * SECOND}, "future"),
    (("10",), {"event_time": NOW - 900 * SECOND}, ("10", "live")),
    (("10",), {"event_time": NOW - 900 * SECOND - 1}, ("10", "stale")),
    (("10",), {"event_time": NOW - 61 * SECOND, "instrument_class": "perpetual"}, ("10", "stale")),
    # A source that says when it looked is believed; history is not stale because it is read today.
    (("10",), {"event_time": NOW - 9_000 * SECOND, "observed_at": NOW - 9_000 * SECOND}, ("10", "live")),
    (("10",), {"event_time": NOW - 9_000 * SECOND, "observed_at": 0}, ("10", "live")),
    (("10",), {"event_time": NOW + 9 * SECOND, "observed_at": 0}, "future"),
    # What is stale was live or indicative before.
    ((None, "11", "9"), {"event_time": NOW - 901 * SECOND}, ("10.0", "stale")),
]


@pytest.mark.parametrize(("numbers", "fields", "expected"), CASES)
def test_what_becomes_of_a_quote(numbers: Any, fields: Any, expected: Any):
    found = judged(*numbers, **fields)
    if isinstance(expected, str):
        assert isinstance(found, MarkRefusal) and found.kind == expected
        assert found.field and found.expected and found.found
    else:
        assert said(found) == expected


def test_a_refusal_names_field_expected_and_found():
    assert judged("0") == MarkRefusal("zero", "price", "a price other than 0 of class equity", "0")
    assert judged("10", "-0.5")[1:] == ("bid", "a number not below 0 of class equity", "-0.5")
    assert judged("NaN")[1:] == ("price", "a finite number", "NaN")


def test_a_mark_has_its_terms_and_an_id_of_its_content():
    terms = {
        "underlying": "BTC",
        "currency": "USDT",
        "source_sequence": 7,
        "accrued_interest": Decimal("3.10"),
    }
    one, again, other = judged("10", **terms), judged("10.0", **terms), judged("11", **terms)
    assert (one.underlying, one.currency, one.instrument_class) == ("BTC", "USDT", "equity")
    assert one.event_id == again.event_id != other.event_id
    assert order_of(one) == (NOW, 7)


def test_a_bid_of_zero_is_left_out():
    assert judged("10", "0", "11").bid is None


def test_a_mark_of_another_quality_has_another_id():
    mark = judged("10")
    stale = restated(mark, MarkQuality.STALE)
    assert said(stale) == ("10", "stale") and stale.event_id == f"{mark.event_id}.stale"


def test_an_operator_chooses_how_long_a_class_stays_live():
    rules = ClassRules({"Equity": 5, "*": 7, "own": 3})
    assert [rules.of(name).stale_seconds for name in ("equity", "bond", "own", "unheard of")] == [5, 7, 3, 7]
    assert rules.of("future").negative and not rules.of("own").negative
    assert ClassRules().of("bond") == RULES["bond"]


# -- the newest of each instrument --------------------------------------------------------------------------------


def test_of_what_waits_the_newest_of_each_instrument_is_handed_on():
    waiting = Conflator()
    for number, at in enumerate((3, 1, 4, 4, 2)):
        waiting.put(judged(str(number + 1), event_time=NOW + at))
    waiting.put(judged("9", instrument="Y"))
    assert [(mark.instrument, int(mark.price)) for mark in waiting.take()] == [("X", 4), ("Y", 9)]
    assert waiting.conflated == 4
    assert waiting.take() == []


def test_what_says_nothing_new_is_left_out_and_what_is_late_counted():
    last = LastMarks(RULE)
    first, older, newer = (judged("10", event_time=NOW + at) for at in (5, 1, 9))
    assert last.fresh([first, first]) == [first]
    assert last.fresh([older]) == [older] and last.late == 1
    assert last.fresh([newer]) == [newer]
    # Its age, as the source repeats it, is no news.
    assert last.fresh([restated(newer, MarkQuality.STALE)]) == []


def test_a_mark_grows_stale_once():
    last = LastMarks(RULE)
    last.fresh([judged("10"), judged(None, instrument="Y", no_price=True)])
    assert last.grown_stale(NOW + 900 * SECOND) == []
    [stale] = last.grown_stale(NOW + 901 * SECOND)
    assert (stale.instrument, stale.quality, stale.event_time) == ("X", MarkQuality.STALE, NOW)
    assert last.grown_stale(NOW + 902 * SECOND) == []
    [back] = last.fresh([judged("10", event_time=NOW + SECOND)])
    assert back.quality is MarkQuality.LIVE
