"""Times round-trip, whatever the offset."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from schemas.times import format_time, parse_time

FIRST = parse_time("0001-01-01T00:00:00Z")
LAST = parse_time("9999-12-31T23:59:59.999999999Z")


@given(st.integers(FIRST, LAST))
def test_printing_and_parsing_are_inverse(instant: int):
    assert parse_time(format_time(instant)) == instant


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
)
def test_an_offset_is_the_same_instant(naive: datetime, minutes: int):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (elapsed.days * 86_400 + elapsed.seconds) * 10**9 + elapsed.microseconds * 1_000
    assert parse_time(moment.isoformat()) == expected
