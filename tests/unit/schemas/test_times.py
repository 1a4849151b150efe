"""Times: every form that is taken, every form that is not, and the bounds of years."""

import pytest

from schemas.times import format_time, parse_time
from tests.support import MONDAY, SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-05T00:00:00Z", 0),
        ("2026-01-05T00:00:00z", 0),
        ("2026-01-05t00:00Z", 0),
        ("2026-01-05 00:00:00Z", 0),
        ("2026-01-05T01:00:00+01:00", 0),
        ("2026-01-05T01:00:00+0100", 0),
        ("2026-01-05T01:00:00+01", 0),
        ("2026-01-04T19:00:00-05:00", 0),
        ("2026-01-05T05:45:00+05:45", 0),
        ("2026-01-05T00:00:00-00:00", 0),
        ("2026-01-05T23:59:59Z", 86_399),
    ],
)
def test_every_form_of_an_offset(text: str, seconds: int):
    assert parse_time(text) == MONDAY + seconds * SECOND


@pytest.mark.parametrize(
    ("fraction", "nanoseconds"),
    [(".1", 100_000_000), (",25", 250_000_000), (".000000001", 1), (".123456789", 123_456_789)],
)
def test_fractions_to_the_nanosecond(fraction: str, nanoseconds: int):
    assert parse_time(f"2026-01-05T00:00:00{fraction}Z") == MONDAY + nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-05",
        "2026-01-05T00:00:00",
        "2026-01-05T00:00:00.1234567891Z",
        "2026-01-05T00:00.5Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T00:60:00Z",
        "2026-01-05T00:00:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-05T00:00:00+24:00",
        "2026-01-05T00:00:00+1:00",
        "20260105T000000Z",
        "2026-W02-1T00:00:00Z",
        "٢٠٢٦-01-05T00:00:00Z",
        "2026-01-05T00:00:00Z ",
        "1767571200",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ValueError, match="time"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59.5Z",
    ],
)
def test_the_bounds_of_years_round_trip(text: str):
    assert format_time(parse_time(text)) == text
