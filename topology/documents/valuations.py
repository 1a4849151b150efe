"""Valuations as documents: what each position is worth, in its own and in its book's currency.

Guarantees: exact numbers are text in plain notation, model numbers are JSON numbers; what has no value is null, and
`reason` says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents import valuation
from agents.stage import Step
from agents.valuation_state import ValuationState
from agents.valuation_step import Revaluation
from schemas import topics
from schemas.numbers import exact_arithmetic, plain
from schemas.times import NANOSECONDS_PER_SECOND, format_time
from schemas.valuation import COLUMNS, PositionsValuated, single_events
from topology.log_reading import WholeLog, partition_count, read_events, read_told, table_partition

_TIMES = ("mark_time", "fx_time", "event_time")
_MONEY = ("market_value", "unrealised_pnl")


def valuation_documents(
    log: WholeLog, pivot: str, book: str | None = None, instrument: str | None = None
) -> list[dict[str, Any]]:
    """Every position that the stage holds, as it is worth now, by book and instrument."""
    found = [
        _document(row)
        for partition in range(partition_count(log))
        for row in _rows(log, pivot, partition)
        if book in (None, row.book) and instrument in (None, row.instrument)
    ]
    return sorted(found, key=lambda each: (each["book"], each["instrument"]))


def told_valuations(
    log: WholeLog,
    ends: Mapping[int, int] | None,
    until: int | None,
    book: str | None = None,
    instrument: str | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """The last that was told of each position before the offsets `ends` (by partition; None is all), of events up to `until`
    (nanoseconds); and the time of the first that the log has of any."""
    last: dict[tuple[str, str], Any] = {}
    first: int | None = None
    for frame in read_told(log, topics.VALUATIONS, ends):
        if type(frame).__name__ != PositionsValuated.__name__:
            continue
        first = frame.event_time if first is None else min(first, frame.event_time)
        if until is None or frame.event_time <= until:
            last.update(((row.book, row.instrument), row) for row in single_events(frame))
    found = [
        _document(last[place])
        for place in sorted(last)
        if book in (None, place[0]) and instrument in (None, place[1])
    ]
    return found, None if first is None else format_time(first)


def _rows(log: WholeLog, pivot: str, partition: int) -> Iterator[Any]:
    with exact_arithmetic():
        state = ValuationState(table_partition(log, valuation.NAME, partition), pivot)
        _take_definitions(log, state, partition)
        step = Step(lambda key: partition)
        Revaluation(state, step).tell_all(partition)
    output = step.outputs.get((topics.VALUATIONS.name, partition))
    encoded: Sequence[bytes] = () if output is None else output.encoded
    for event in encoded:
        (frame,) = topics.VALUATIONS.codec.decode(b"[" + event + b"]")
        yield from single_events(frame)


def _take_definitions(log: WholeLog, state: ValuationState, partition: int) -> None:
    """Definitions and rates that came after the last step of a partition: it takes them in with its next input."""
    for topic in valuation.BROADCASTS:
        offset = log.committed(f"{valuation.NAME}/{partition}", topic.name, 0) or 0
        for _, event in read_events(log, topic, 0, offset):
            state.define(event)


def _document(row: Any) -> dict[str, Any]:
    document = {name: getattr(row, name) for name in ("book", "instrument", "underlying", "event_time")}
    document.update((name, getattr(row, name)) for name in COLUMNS)
    with exact_arithmetic():
        for name in _MONEY:
            value = document[name]
            known = value is not None and row.fx_rate is not None
            document[f"book_{name}"] = value * row.fx_rate if known else None
    age = (row.event_time - row.mark_time) / NANOSECONDS_PER_SECOND if row.mark_time else None
    for name, value in document.items():
        if isinstance(value, Decimal):
            document[name] = plain(value)
    for name in _TIMES:
        document[name] = format_time(document[name]) if document[name] else None
    document["mark_age_seconds"] = age
    return document
