"""Lines of recorded Binance streams: what kind of event each is, and what to say of one that is none.

Owns: the envelope of combined streams, the names of kinds, the unit of the venue's times.
Assumes: a line is `{"stream": "btcusdt@trade", "data": {...}}` or the event alone, with or without the local time in
nanoseconds before it.
"""

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from connectors.files.faults import FaultCollector
from connectors.files.rows import first_stray_line
from connectors.venues.decoding import EXECUTED_AT_MAX, Counts
from schemas.times import Nanoseconds

_MICROSECONDS_FROM = 100_000_000_000_000
"""Times from here on are microseconds: as milliseconds they would lie after the year 5000."""

_PLACE = re.compile(r" - at `(?:\$\.?)?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


class Envelope(msgspec.Struct):
    """A line: a combined stream's envelope, a bare event, or the answer to a subscription."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    event: str = msgspec.field(name="e", default="")
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    update: msgspec.Raw = msgspec.field(name="u", default=msgspec.Raw())
    bid: msgspec.Raw = msgspec.field(name="b", default=msgspec.Raw())
    ask: msgspec.Raw = msgspec.field(name="a", default=msgspec.Raw())


class _EventType(msgspec.Struct):
    """The event type alone, where there is one."""

    event: str = msgspec.field(name="e", default="")


class Line(NamedTuple):
    """An event, the number of its line, and the recorder's own time (nanoseconds) where it stands before the event."""

    number: int
    local_time: int | None
    event: bytes


def lines_of(stream: io.BufferedReader, faults: FaultCollector, counts: Counts) -> Iterator[Line]:
    """The events of a recording, each counted as read; notes what is no line of one."""
    stray = first_stray_line(stream.peek(1))
    if stray is not None:
        faults.add(f"line {stray[0]}", "", "one event a line", stray[1])
        return
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.strip()
        if not line:
            continue
        counts.read += 1
        if line.startswith(b"{"):
            yield Line(number, None, line)
            continue
        local, _, text = line.partition(b" ")
        text = text.lstrip()
        if local.isdigit() and len(local) <= _TIME_DIGITS_MAX and text.startswith(b"{"):
            yield Line(number, int(local), text)
        else:
            expected = "an event, after its local time in nanoseconds or alone"
            faults.add(f"line {number}", "", expected, shown_bytes(line))


def shown_bytes(text: bytes) -> str:
    """The beginning of a line, for a message."""
    return text[:200].decode("utf-8", "replace")


def note_no_event(line: Line, faults: FaultCollector) -> None:
    """Say that a line is no event of Binance."""
    expected = "a Binance event (`stream` and `data`, or an event type `e`)"
    faults.add(f"line {line.number}", "", expected, shown_bytes(line.event))


_TIME_DIGITS_MAX = 19
_EVENT_TYPE = msgspec.json.Decoder(_EventType)
BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def kind_of(envelope: Envelope, data: bytes) -> str | None:
    """What a line is: its event type, else the kind of its stream; None where it is no event."""
    if envelope.event:
        return envelope.event
    if envelope.data:
        event = _EVENT_TYPE.decode(data).event if data.startswith(b"{") else ""
        return event or _stream_kind(envelope.stream)
    if envelope.update and envelope.bid and envelope.ask:
        # A bare bookTicker of the spot market has no event type.
        return "bookTicker"
    return "response" if envelope.id and (envelope.result or envelope.error) else None


def _stream_kind(stream: str) -> str | None:
    """`depth20` of `btcusdt@depth20@100ms`, `ticker` of `!ticker@arr`; None without a name."""
    name, *parameters = stream.split("@")
    if stream.startswith("!"):
        return name[1:] or None
    return parameters[0] if parameters and parameters[0] else None


def nanoseconds_of(time: int) -> Nanoseconds | None:
    """A venue's time in nanoseconds; None where it is none from 1970 to 2200."""
    instant = time * (1_000 if time >= _MICROSECONDS_FROM else 1_000_000)
    return Nanoseconds(instant) if 0 <= instant < EXECUTED_AT_MAX else None


def note_fault(faults: FaultCollector, number: int, error: Exception, event: bytes) -> None:
    """Say what the JSON decoder found wrong with a line: the field where it names one, and what stands there."""
    message = str(error)
    place = f"line {number}"
    missing = _MISSING.search(message)
    if missing is not None:
        faults.add(place, missing.group(1), "a value", "nothing")
        return
    where = _PLACE.search(message)
    if where is None:
        faults.add(place, "", f"an event in JSON ({message})", event[:200].decode("utf-8", "replace"))
        return
    faults.add(
        place,
        where.group(1),
        _PLACE.sub("", message).removeprefix("Expected "),
        _content(event, where.group(1)),
    )


def _content(event: bytes, name: str) -> str:
    """What stands in a field of an event, for a message."""
    found: object = event
    try:
        fields = msgspec.json.decode(event, type=dict[str, msgspec.Raw])
        inner = fields.get("data", msgspec.Raw())
        if name not in fields and bytes(inner).startswith(b"{"):
            fields = msgspec.json.decode(inner, type=dict[str, msgspec.Raw])
        found = bytes(fields.get(name, event))
    except BROKEN:
        found = event
    return bytes(found[:200]).decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
