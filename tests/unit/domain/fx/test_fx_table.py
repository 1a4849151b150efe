"""Which rate holds: direct, inverse, crossed through the pivot, or none; and what it is rounded to."""

from decimal import Decimal

import pytest

from domain.fx import FxTable, MissingRate, Way, convert
from schemas.frames import wire
from schemas.market_data import FxRate
from schemas.units import MarkQuality


def rate(base: str, quote: str, text: str, at: int = 1, quality: MarkQuality = MarkQuality.LIVE):
    return wire(FxRate)(
        event_id="r",
        base_currency=base,
        quote_currency=quote,
        rate=Decimal(text),
        event_time=at,
        quality=quality,
    )


def table(*rates, pivot: str = "USD") -> FxTable:
    found = FxTable(pivot)
    for each in rates:
        found.take(each)
    return found


def test_a_currency_in_itself_needs_no_rate():
    found = table().find("EUR", "EUR")
    assert (found.rate, found.way) == (1, Way.SAME)


def test_a_quoted_rate_is_exact():
    found = table(rate("EUR", "USD", "1.08504999999999999999999999999999")).find("EUR", "USD")
    assert (str(found.rate), found.way) == ("1.08504999999999999999999999999999", Way.DIRECT)
    assert convert(Decimal("3"), found) == Decimal("3.25514999999999999999999999999997")


def test_a_pair_turned_round_is_rounded_once():
    found = table(rate("USD", "JPY", "150")).find("JPY", "USD")
    assert (found.rate, found.way) == (Decimal("0.006666666666666666666667"), Way.INVERSE)


def test_the_newer_of_both_ways_of_a_pair_holds():
    known = table(rate("EUR", "USD", "1.1", at=5), rate("USD", "EUR", "0.5", at=6))
    assert known.find("EUR", "USD").rate == 2
    known.take(rate("EUR", "USD", "1.2", at=6))
    assert known.find("EUR", "USD").rate == Decimal("1.2")


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (("EUR/USD 1.25", "USD/CHF 0.8"), "1"),
        (("USD/EUR 0.8", "USD/CHF 0.8"), "1"),
        (("EUR/USD 1.25", "CHF/USD 3"), "0.416666666666666666666667"),
        (("USD/EUR 3", "CHF/USD 7"), "0.047619047619047619047619"),
    ],
)
def test_others_are_crossed_through_the_pivot(rates: tuple[str, ...], expected: str):
    known = table(
        *(rate(*each.split()[0].split("/"), each.split()[1], at=place) for place, each in enumerate(rates))
    )
    found = known.find("EUR", "CHF")
    assert (found.rate, found.way, found.event_time) == (Decimal(expected), Way.CROSS, 0)
    assert found.legs == tuple(each.split()[0] for each in rates)


def test_the_worst_leg_says_how_far_a_cross_is_to_be_trusted():
    known = table(
        rate("EUR", "USD", "1.1", at=9, quality=MarkQuality.STALE),
        rate("GBP", "USD", "1.3", at=7, quality=MarkQuality.INDICATIVE),
    )
    found = known.find("EUR", "GBP")
    assert (found.quality, found.event_time) == (MarkQuality.STALE, 7)


@pytest.mark.parametrize(
    ("base", "quote", "reason"),
    [
        ("GBP", "CHF", "no rate of GBP/CHF or GBP/USD and USD/CHF"),
        ("EUR", "CHF", "no rate of EUR/CHF or USD/CHF"),
        ("GBP", "EUR", "no rate of GBP/EUR or GBP/USD"),
        ("GBP", "USD", "no rate of GBP/USD"),
        ("USD", "GBP", "no rate of USD/GBP"),
    ],
)
def test_what_is_missing_is_named(base: str, quote: str, reason: str):
    found = table(rate("EUR", "USD", "1.1")).find(base, quote)
    assert isinstance(found, MissingRate)
    assert found.reason == reason


def test_no_way_is_longer_than_two_legs():
    known = table(rate("GBP", "EUR", "1.2"), rate("EUR", "USD", "1.1"))
    assert isinstance(known.find("GBP", "USD"), MissingRate)
    assert known.find("GBP", "EUR").rate == Decimal("1.2")


def test_an_older_rate_is_passed_over_and_a_new_one_changes_what_follows():
    known = table(rate("EUR", "USD", "1.1", at=5), rate("USD", "CHF", "2", at=5))
    assert known.find("EUR", "CHF").rate == Decimal("2.2")
    assert not known.take(rate("EUR", "USD", "9", at=4))
    assert known.find("EUR", "CHF").rate == Decimal("2.2")
    assert known.take(rate("EUR", "USD", "1.2", at=5))
    assert known.find("EUR", "CHF").rate == Decimal("2.4")
    assert known.find("CHF", "EUR").rate == Decimal("0.416666666666666666666667")
