"""Business dates: cut-off, time zone, weekdays, and the two nights of the year that are odd."""

import pytest

from domain.capture.business_date import BusinessDays, settlement_date, time_zone_fault
from schemas.times import parse_time


@pytest.mark.parametrize(
    ("zone", "cut_off", "calendar", "moment", "day"),
    [
        ("UTC", "24:00", "every_day", "2026-01-05T00:00:00Z", "2026-01-05"),
        ("UTC", "24:00", "every_day", "2026-01-05T23:59:59.999999999Z", "2026-01-05"),
        ("UTC", "24:00", "every_day", "2026-01-10T12:00:00Z", "2026-01-10"),
        ("UTC", "24:00", "weekdays", "2026-01-10T12:00:00Z", "2026-01-12"),
        ("UTC", "24:00", "weekdays", "2026-01-11T12:00:00Z", "2026-01-12"),
        ("UTC", "17:00", "every_day", "2026-01-05T16:59:59.999999999Z", "2026-01-05"),
        ("UTC", "17:00", "every_day", "2026-01-05T17:00:00Z", "2026-01-06"),
        ("UTC", "17:00", "weekdays", "2026-01-09T17:00:00Z", "2026-01-12"),
        ("UTC", "00:00", "every_day", "2026-01-05T00:00:00Z", "2026-01-06"),
        ("America/New_York", "17:00", "weekdays", "2026-01-05T21:59:59Z", "2026-01-05"),
        ("America/New_York", "17:00", "weekdays", "2026-01-05T22:00:00Z", "2026-01-06"),
        ("America/New_York", "17:00", "weekdays", "2026-07-06T20:59:59Z", "2026-07-06"),
        ("America/New_York", "17:00", "weekdays", "2026-07-06T21:00:00Z", "2026-07-07"),
        ("Asia/Tokyo", "24:00", "every_day", "2026-01-05T15:00:00Z", "2026-01-06"),
        ("Pacific/Auckland", "24:00", "every_day", "2026-01-05T11:00:00Z", "2026-01-06"),
        ("UTC", "24:00", "every_day", "1900-01-01T00:00:00Z", "1900-01-01"),
        ("UTC", "24:00", "every_day", "2199-12-31T23:59:59Z", "2199-12-31"),
    ],
)
def test_business_dates(zone: str, cut_off: str, calendar: str, moment: str, day: str):
    assert BusinessDays(zone, cut_off, calendar).of(parse_time(moment)) == day


# New York, 8 March 2026: 02:00 does not exist, 1:59:59 is followed by 3:00. 1 November: 01:00 to 02:00 is twice.
@pytest.mark.parametrize(
    ("cut_off", "moments"),
    [
        (
            "02:30",
            ["2026-03-08T06:59:00Z", "2026-03-08T07:10:00Z", "2026-03-08T07:29:00Z", "2026-03-08T07:31:00Z"],
        ),
        (
            "01:30",
            ["2026-11-01T05:29:00Z", "2026-11-01T05:31:00Z", "2026-11-01T06:10:00Z", "2026-11-01T06:40:00Z"],
        ),
        (
            "24:00",
            ["2026-03-08T04:59:00Z", "2026-03-08T05:01:00Z", "2026-03-09T03:59:00Z", "2026-03-09T04:00:00Z"],
        ),
    ],
)
def test_days_never_go_back_over_a_change_of_the_clock_whatever_came_before(cut_off: str, moments: list[str]):
    instants = [parse_time(moment) for moment in moments]
    fresh = [BusinessDays("America/New_York", cut_off).of(instant) for instant in instants]
    assert fresh == sorted(fresh)
    for order in (instants, instants[::-1], instants[1:] + instants[:1]):
        kept = BusinessDays("America/New_York", cut_off)
        assert {instant: kept.of(instant) for instant in order} == dict(zip(instants, fresh, strict=True))


def test_time_zones():
    assert time_zone_fault("Europe/London") is None
    for name in ("Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "Europe", "a\x00b"):
        assert time_zone_fault(name) is not None


@pytest.mark.parametrize(
    ("day", "days", "calendar", "settles"),
    [
        ("2026-01-05", 0, "every_day", "2026-01-05"),
        ("2026-01-05", 2, "weekdays", "2026-01-07"),
        ("2026-01-08", 2, "weekdays", "2026-01-12"),
        ("2026-01-08", 2, "every_day", "2026-01-10"),
        ("2026-01-10", 1, "weekdays", "2026-01-13"),
        ("2026-12-31", 1, "weekdays", "2027-01-01"),
    ],
)
def test_settlement_dates(day: str, days: int, calendar: str, settles: str):
    assert settlement_date(day, days, calendar) == settles


def test_a_day_is_kept_and_left_at_its_very_ends():
    days = BusinessDays("UTC", "22:30")
    end = parse_time("2026-01-05T22:30:00Z")
    for instant, day in (
        (end - 1, "2026-01-05"),
        (end, "2026-01-06"),
        (end - 1, "2026-01-05"),
        (end - 24 * 3600 * 10**9, "2026-01-05"),
        (end - 24 * 3600 * 10**9 - 1, "2026-01-04"),
    ):
        assert days.of(instant) == day


def test_a_book_that_says_nothing_has_days_of_utc():
    assert BusinessDays().of(0) == "1970-01-01"
    assert BusinessDays().of(-1) == "1969-12-31"
    assert BusinessDays().of(24 * 3600 * 10**9) == "1970-01-02"


def test_a_day_of_a_zone_far_from_ours():
    # In Auckland it is tomorrow already, in Honolulu still yesterday.
    noon = parse_time("2026-06-15T12:00:00Z")
    assert BusinessDays("Pacific/Auckland").of(noon) == "2026-06-16"
    assert BusinessDays("Pacific/Honolulu").of(noon - 3 * 3600 * 10**9) == "2026-06-14"


def test_business_days_skip_whole_weekends_on_the_way():
    assert settlement_date("2026-01-09", 1, "weekdays") == "2026-01-12"
    assert settlement_date("2026-01-09", 6, "weekdays") == "2026-01-19"
    assert settlement_date("2026-01-11", 0, "weekdays") == "2026-01-12"
