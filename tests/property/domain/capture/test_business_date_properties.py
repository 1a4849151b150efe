"""Business dates do not depend on what was asked before, and never go back."""

from hypothesis import given
from hypothesis import strategies as st

from domain.capture.business_date import BusinessDays
from domain.capture.validation import EXECUTED_AT_MAX, EXECUTED_AT_MIN

HOUR = 3_600 * 10**9
zones = st.sampled_from(
    [
        "UTC",
        "America/New_York",
        "Europe/London",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
    ]
)
cut_offs = st.sampled_from(["24:00", "00:00", "00:30", "01:30", "02:00", "02:30", "17:00", "23:59"])
# Hours around the changes of the clock of many years, and anywhere.
instants = st.one_of(
    st.integers(EXECUTED_AT_MIN + 48 * HOUR, EXECUTED_AT_MAX - 48 * HOUR),
    st.builds(
        lambda day, part: day * 24 * HOUR + part, st.integers(9_000, 21_000), st.integers(0, 24 * HOUR)
    ),
)


@given(
    zones,
    cut_offs,
    st.sampled_from(["every_day", "weekdays"]),
    st.lists(instants, min_size=2, max_size=6),
    st.integers(0, 3 * HOUR),
)
def test_the_date_is_a_function_of_the_instant_alone(
    zone: str, cut_off: str, calendar: str, asked: list[int], near: int
):
    kept = BusinessDays(zone, cut_off, calendar)
    asked = [*asked, *(instant + near for instant in asked)]
    found = [(instant, kept.of(instant)) for instant in asked]
    assert [(instant, BusinessDays(zone, cut_off, calendar).of(instant)) for instant in asked] == found
    days = [day for _, day in sorted(found)]
    assert days == sorted(days)
