"""The newest mark of each instrument, as the bars stage keeps it."""

from typing import Any

from agents import bars
from agents.bar_state import scan_marks
from schemas.numbers import plain
from schemas.times import format_time
from topology.log_reading import WholeLog, partition_count, table_partition

_NUMBERS = ("price", "bid", "ask", "accrued_interest")


def mark_documents(log: WholeLog, instrument: str | None, now: int) -> list[dict[str, Any]]:
    """Marks by instrument, `now` (nanoseconds) for their age; of one instrument, where it is named."""
    found = [
        document(mark, now)
        for partition in range(partition_count(log))
        for mark in scan_marks(table_partition(log, bars.NAME, partition))
        if instrument in (None, mark.instrument)
    ]
    return sorted(found, key=lambda mark: str(mark["instrument"]))


def document(mark: Any, now: int) -> dict[str, Any]:
    """One mark."""
    numbers = {name: getattr(mark, name) for name in _NUMBERS}
    return {
        "instrument": mark.instrument,
        **{name: None if value is None else plain(value) for name, value in numbers.items()},
        "currency": mark.currency,
        "quality": str(mark.quality),
        "event_time": format_time(mark.event_time),
        "age_seconds": (now - mark.event_time) / 1e9,
        "source": mark.source,
        "source_sequence": mark.source_sequence,
        "instrument_class": mark.instrument_class,
        "underlying": mark.underlying,
        "event_id": mark.event_id,
    }
