"""Time as integer nanoseconds since 1970-01-01T00:00:00Z, and its one text form.

Guarantees: parsing and printing are exact to the nanosecond and round-trip; no clock is read here.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

Nanoseconds = NewType("Nanoseconds", int)
"""An instant: nanoseconds since 1970-01-01T00:00:00Z."""

NANOSECONDS_PER_SECOND = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]{1,9}))?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})",
    re.ASCII,
)


def parse_time(text: str) -> Nanoseconds:
    """Nanoseconds of an ISO 8601 time with an offset (`Z`, `+01:00`) and at most nine decimals.

    Raises ValueError where the form, the date or the offset is wrong.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(
            "an ISO 8601 time with its time zone, as 2026-01-05T09:30:00Z (and at most nine decimals)"
        )
    day, clock, fraction, offset = match.groups()
    if fraction is not None and clock.count(":") == 1:
        raise ValueError("an ISO 8601 time with seconds before the fraction")
    if clock.startswith("24"):  # newer Pythons read it as the next midnight
        raise ValueError("a time of day before 24:00")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset.upper()}")
        elapsed = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError("a time that exists, in the years 0001 to 9999") from error
    seconds = elapsed.days * 86_400 + elapsed.seconds
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise ValueError("a time that exists, in the years 0001 to 9999")
    return Nanoseconds(seconds * NANOSECONDS_PER_SECOND + int((fraction or "").ljust(9, "0")))


def format_time(instant: int) -> str:
    """`2026-01-05T10:00:00Z`, with as many decimals as the instant needs (none, or up to nine)."""
    seconds, nanoseconds = divmod(instant, NANOSECONDS_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    return f"{text}.{nanoseconds:09d}".rstrip("0") + "Z" if nanoseconds else f"{text}Z"
