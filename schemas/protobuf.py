"""Events as protobuf messages and back: what leaves PKS for other systems, and what they send.

Owns: how each kind of field is carried: decimals as text in plain notation, enumerations by the names of
`events.proto`, times as nanoseconds; what has no value (None, empty text) is left out.
Assumes: messages and event classes have the same fields, which a test holds.
Guarantees: encoding then decoding gives an equal event, whose bytes are the same each time; what is decoded is
validated like anything at the edge; fields of a later version are ignored.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError, Message
from pydantic import ValidationError

from schemas.numbers import parse_exact, plain
from schemas.proto.pks.v1 import events_pb2
from schemas.topics import TOPICS

EVENT_CLASSES: Mapping[str, type[Any]] = {
    event_class.__name__: event_class
    for topic in TOPICS
    for event_class in (*topic.event_classes, *topic.told_as)
    if event_class.__name__ in events_pb2.DESCRIPTOR.message_types_by_name
}
"""The classes of events that have a message, by name. Ticks of the clock have none: they are PKS's own."""

_Convert = Callable[[Any], Any]


class MessageError(ValueError):
    """Bytes that are no such message, or hold no valid event: the field (if it is one), what was expected and found."""

    def __init__(self, expected: str, found: str, field: str = "") -> None:
        super().__init__(f"{field + ': ' if field else ''}expected {expected}, found {found}")
        self.expected = expected
        self.found = found
        self.field = field


def encode_message(event: Any) -> bytes:
    """An event (of either form) as the bytes of its message.

    Raises ValueError where an integer of it needs more than 64 bits, KeyError for an event that has no message.
    """
    return _message(type(event).__name__, event).SerializeToString(deterministic=True)


def decode_message(event_class: type[Any], payload: bytes) -> Any:
    """The validated event that a message holds. Raises MessageError."""
    message = _message_class(event_class.__name__)()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise MessageError(f"a {event_class.__name__} message of pks.v1", str(error)) from None
    return _event(event_class, message)


def enum_prefix(enum: type[StrEnum]) -> str:
    """What the names of an enumeration's values begin with in a message: `LOT_METHOD_` of `LotMethod`."""
    name = enum.__name__
    return (
        "".join("_" + letter if letter.isupper() and at else letter for at, letter in enumerate(name)).upper()
        + "_"
    )


def _message_class(name: str) -> type[Message]:
    return typing.cast(type[Message], getattr(events_pb2, name))


# -- out ------------------------------------------------------------------------------------------------------


def _message(name: str, event: Any) -> Message:
    message_class, values_of, plan = _way_out(name)
    values: dict[str, Any] = {}
    for (field, convert), value in zip(plan, values_of(event), strict=True):
        if value is not None:
            values[field] = value if convert is None else convert(value)
    return message_class(**values)


@cache
def _way_out(name: str) -> tuple[type[Message], _Convert, list[tuple[str, _Convert | None]]]:
    event_class = EVENT_CLASSES.get(name) or _nested_classes()[name]
    hints = typing.get_type_hints(event_class)
    fields = [field.name for field in dataclasses.fields(event_class)]
    assert len(fields) > 1, "of one field alone there would be no tuple"
    return _message_class(name), attrgetter(*fields), [(field, _outward(hints[field])) for field in fields]


@cache
def _nested_classes() -> dict[str, type[Any]]:
    """Classes that events hold and that are no events themselves."""
    hints = [hint for held in EVENT_CLASSES.values() for hint in typing.get_type_hints(held).values()]
    kinds = {kind for hint in hints for kind in _parts(hint) if _is_nested(kind)}
    return {kind.__name__: kind for kind in kinds}


def _is_nested(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation names, without None."""
    if typing.get_origin(annotation) is None:
        return () if annotation is types.NoneType else (annotation,)
    return tuple(part for argument in typing.get_args(annotation) for part in _parts(argument))


def _outward(annotation: Any) -> _Convert | None:
    origin, kind = typing.get_origin(annotation), _kind(annotation)
    one: _Convert | None = None
    if kind is Decimal:
        one = plain
    elif _is_nested(kind):
        one = _sub_message(kind.__name__)
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        one = _numbers(kind).__getitem__
    if one is None:
        return None
    if origin is tuple:
        return lambda values: [one(value) for value in values]
    if _is_mapping(origin):
        return lambda values: {key: one(value) for key, value in values.items()}
    return one


def _sub_message(name: str) -> _Convert:
    return lambda value: _message(name, value)


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _kind(annotation: Any) -> Any:
    """The type of one value of a field: of an item of a tuple, of a value of a mapping."""
    parts = [part for part in _parts(annotation) if part is not Ellipsis]
    kind = parts[-1]
    return getattr(kind, "__supertype__", kind)


@cache
def _numbers(enum: type[StrEnum]) -> dict[str, int]:
    values = getattr(events_pb2, enum.__name__)
    return {member: values.Value(enum_prefix(enum) + member.name) for member in enum}


# -- in -------------------------------------------------------------------------------------------------------


def _event(event_class: type[Any], message: Any, path: str = "") -> Any:
    given: dict[str, Any] = {}
    for name, has_presence, convert in _way_in(typing.cast(Hashable, event_class)):
        if has_presence and not message.HasField(name):
            continue
        found = getattr(message, name)
        try:
            value = found if convert is None else convert(found)
        except MessageError as error:
            raise MessageError(
                error.expected, error.found, f"{path}{name}{'.' if error.field else ''}{error.field}"
            ) from None
        except ValueError as error:
            raise MessageError(str(error), f"{found!r:.100}", path + name) from None
        if value is not None:
            given[name] = value
    try:
        return event_class(**given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = path + ".".join(str(part) for part in fault["loc"])
        missing = fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument")
        expected = "a value" if missing else fault["msg"].removeprefix("Value error, expected ")
        raise MessageError(expected, "none" if missing else f"{fault['input']!r:.100}", field) from None


@cache
def _way_in(event_class: Any) -> list[tuple[str, bool, _Convert | None]]:
    hints = typing.get_type_hints(event_class)
    descriptor = events_pb2.DESCRIPTOR.message_types_by_name[event_class.__name__]
    return [
        (
            field.name,
            descriptor.fields_by_name[field.name].has_presence,
            _inward(hints[field.name]),
        )
        for field in dataclasses.fields(event_class)
    ]


def _inward(annotation: Any) -> _Convert | None:
    origin, kind = typing.get_origin(annotation), _kind(annotation)
    one: _Convert | None = None
    if kind is Decimal:
        one = _decimal
    elif _is_nested(kind):
        one = _nested(kind)
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        one = _member(kind)
    if origin is tuple:
        return tuple if one is None else lambda values: tuple(one(value) for value in values)
    if _is_mapping(origin):
        return dict if one is None else lambda values: {key: one(value) for key, value in values.items()}
    return one


def _decimal(text: str) -> Decimal | None:
    return parse_exact(text) if text else None


def _nested(kind: Any) -> _Convert:
    return lambda message: _event(kind, message)


def _member(enum: type[StrEnum]) -> _Convert:
    members = {number: enum(member) for member, number in _numbers(enum).items()}

    def convert(number: int) -> StrEnum | None:
        if number and number not in members:
            raise MessageError(f"a {enum.__name__} of events.proto", str(number))
        return members.get(number)

    return convert
