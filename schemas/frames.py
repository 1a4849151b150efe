"""Frames: the JSON arrays of events in a record's value, and the fast twins of the event classes.

A record value is a JSON array of tagged events (`"type"` names the class), in order. Defaults are left out.
Each pydantic dataclass of `schemas.events` and `schemas.reference` has a *wire twin*: a frozen msgspec Struct
of the same fields, made here, once. The edge constructs the dataclass (it validates); stages decode, construct
and encode the twin (it is 2 to 10 times as fast: docs/decisions/0002). `wire(FillEvent)` is typed as
`type[FillEvent]`: to a reader and to the type checker they are the same message.

Assumes: enumerations, decimals and nested events only, as `schemas.events` uses them.
Guarantees: encode and decode are inverse; a frame never exceeds its caps; one bad event in a frame is
reported alone, with its bytes, and the others are still read.
"""

import dataclasses
import re
import types
import typing
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, TypeVar, cast

import msgspec

EventType = TypeVar("EventType")

FRAME_BYTES_MAX = 512 * 1024
"""Most bytes of a frame; a Kafka record must stay under 1 MB."""

FRAME_EVENTS_MAX = 2_000
"""Most events of a frame."""


class FrameError(ValueError):
    """A frame that is no JSON array, or an event too large for any frame."""


@dataclasses.dataclass(frozen=True, slots=True)
class BadEvent:
    """An event of a frame that could not be read: its place, its bytes, and what was wrong."""

    index: int
    original: bytes
    reason: str


def wire(event_class: type[EventType]) -> type[EventType]:
    """The wire twin of an event class; constructing it does not validate."""
    return cast(type[EventType], _twin(cast(Hashable, event_class)))


def positional(event_class: type[EventType]) -> Callable[..., EventType]:
    """The wire twin, constructed by position: every field, in the order of `dataclasses.fields`.

    Five times as fast as by keyword, for what a stage emits with every event. Its instances encode to the same
    bytes; they are not told by their type from other twins, so they are for encoding only.
    """
    return cast(Callable[..., EventType], _twin(cast(Hashable, event_class), by_position=True))


@cache
def _twin(event_class: Any, *, by_position: bool = False) -> Any:
    hints = typing.get_type_hints(event_class)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in dataclasses.fields(cast(Any, event_class)):
        annotation = wire_annotation(hints[field.name])
        if field.default is not dataclasses.MISSING:
            fields.append((field.name, annotation, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            fields.append((field.name, annotation, msgspec.field(default_factory=field.default_factory)))
        elif by_position:
            # What must be given may stand after what may be left out; None is no value of such a field.
            fields.append((field.name, annotation, None))
        else:
            fields.append((field.name, annotation))
    return msgspec.defstruct(
        event_class.__name__,
        fields,
        frozen=True,
        kw_only=not by_position,
        omit_defaults=True,
        gc=False,
        # Only whole events are told apart by their tag; what they hold (a fee) has a fixed place.
        tag_field="type" if "event_id" in hints else None,
        tag=event_class.__name__ if "event_id" in hints else None,
        module=event_class.__module__,
    )


def wire_annotation(annotation: Any) -> Any:
    """The type of a field as the wire twin has it: twins in the place of event classes."""
    if dataclasses.is_dataclass(annotation):
        return wire(cast(type, annotation))
    origin = typing.get_origin(annotation)
    if origin is None:
        return annotation
    arguments = tuple(wire_annotation(argument) for argument in typing.get_args(annotation))
    if origin in (types.UnionType, typing.Union):
        return typing.Union[arguments]
    return origin[arguments]


def to_wire(event: EventType) -> EventType:
    """The wire twin of a validated event."""
    names = [field.name for field in dataclasses.fields(cast(Any, event))]
    values = {name: getattr(event, name) for name in names}
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            values[name] = to_wire(value)
        elif isinstance(value, tuple):
            values[name] = tuple(to_wire(item) if dataclasses.is_dataclass(item) else item for item in value)
    twin: Any = wire(type(event))
    return cast(EventType, twin(**values))


class FrameCodec:
    """Reads and writes the frames of one topic, whose events are of `event_classes`."""

    def __init__(self, *event_classes: type) -> None:
        union: Any = typing.Union[tuple(wire(event_class) for event_class in event_classes)]
        events: Any = list[union]
        self._frames: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(events)
        self._one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(union)
        self._items = msgspec.json.Decoder(list[msgspec.Raw])

    def decode(self, frame: bytes) -> list[Any]:
        """The events of a frame. Raises `msgspec.MsgspecError` or UnicodeDecodeError where one is bad."""
        return self._frames.decode(frame)

    def items(self, frame: bytes) -> list[bytes]:
        """The bytes of each event of a frame, read or not; those of the frame where it is no array."""
        try:
            return [bytes(item) for item in self._items.decode(frame)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _split(frame) or [frame]

    def decode_each(self, frame: bytes) -> Iterator[Any | BadEvent]:
        """The events of a frame one by one, a `BadEvent` in the place of each that cannot be read.

        For frames that `decode` refused, and for producers that send one event without its array.
        """
        for index, item in enumerate(self.items(frame)):
            try:
                yield self._one.decode(item)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                yield BadEvent(index, item, str(error))


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)


def _split(frame: bytes) -> list[bytes] | None:
    """The items of an array one of which no JSON reader takes (no UTF-8, half a surrogate, too deep, ill formed).

    Told apart by brackets, commas and strings alone; None where they do not make one whole array.
    """
    items: list[bytes] = []
    depth, start, end = 0, 0, len(frame.rstrip())
    for token in _TOKEN.finditer(frame):
        found = token[0]
        if found in b"[{":
            depth += 1
            if depth == 1:
                if found != b"[" or frame[: token.start()].strip():
                    return None
                start = token.end()
        elif found in b"]}":
            depth -= 1
            if depth == 0:
                items.append(frame[start : token.start()].strip())
                return items if token.end() == end else None
        elif found == b"," and depth == 1:
            items.append(frame[start : token.start()].strip())
            start = token.end()
    return None


_ENCODER = msgspec.json.Encoder()


encode_event: Callable[[Any], bytes] = _ENCODER.encode
"""One event as JSON; decimals as strings, defaults left out."""


def encode_frames(events: Iterable[Any]) -> list[bytes]:
    """Frames that hold `events` in order, each within the caps of bytes and count.

    Raises FrameError for an event that is too large for a frame of its own.
    """
    return join_frames([_ENCODER.encode(event) for event in events])


def join_frames(encoded: Sequence[bytes]) -> list[bytes]:
    """Frames of events that are encoded already, as `encode_frames` makes them."""
    number = len(encoded)
    if number == 1 and len(encoded[0]) < FRAME_BYTES_MAX - 1:
        return [b"[%b]" % encoded[0]]
    if 0 < number <= FRAME_EVENTS_MAX and sum(map(len, encoded)) + number < FRAME_BYTES_MAX:
        return [b"[%b]" % b",".join(encoded)]
    # Each event takes its bytes and the comma or bracket before it; the last bracket is one more.
    ends = list(accumulate((len(event) + 1 for event in encoded), initial=1))
    frames: list[bytes] = []
    start = 0
    while start < len(encoded):
        end = bisect_right(ends, ends[start] - 1 + FRAME_BYTES_MAX) - 1
        end = min(end, start + FRAME_EVENTS_MAX)
        if end <= start:
            raise FrameError(
                f"expected an event of at most {FRAME_BYTES_MAX} bytes, found {len(encoded[start])}; "
                "send it in parts"
            )
        frames.append(b"[%b]" % b",".join(encoded[start:end]))
        start = end
    return frames
