"""Events of which a stage reads some fields; those that it passes on stay, byte for byte, as they came.

Guarantees: what is passed on is, byte for byte, what came, also fields that this version does not know. An event that
has not even those fields is reported alone, as `schemas.frames.FrameCodec` does.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from schemas.frames import BadEvent, FrameCodec, wire, wire_annotation


class Passed:
    """An event on its way: what was read of it, and its bytes."""

    __slots__ = ("encoded", "head")

    def __init__(self, head: Any, encoded: bytes) -> None:
        self.head = head
        self.encoded = encoded

    @property
    def source(self) -> str:
        """Where the event came from."""
        return str(self.head.source)


class PartialCodec(FrameCodec):
    """Reads frames of one topic as events that have only the named fields of their class, and their `source`.

    Events of the classes `whole` are read as `FrameCodec` reads them.
    """

    def __init__(self, fields: Mapping[type, Sequence[str]], *whole: type) -> None:
        super().__init__(*fields, *whole)
        self._heads = {event_class: _head(event_class, names) for event_class, names in fields.items()}
        union: Any = typing.Union[(*self._heads.values(), *map(wire, whole))]
        heads: Any = list[union]
        self._frames = msgspec.json.Decoder(heads)
        self._one = msgspec.json.Decoder(union)

    def head(self, event_class: type) -> type:
        """What the events of a class are read as."""
        return self._heads[event_class]


class PassingCodec(PartialCodec):
    """Reads frames of one topic as `Passed`, each with the named fields of its event's class, and its `source`."""

    def decode(self, frame: bytes) -> list[Any]:
        """The events of a frame. Raises `msgspec.MsgspecError` or UnicodeDecodeError where one is bad."""
        one = self._one.decode
        return [Passed(one(item), bytes(item)) for item in self._items.decode(frame)]

    def decode_each(self, frame: bytes) -> Iterator[Any | BadEvent]:
        """The events of a frame one by one, a `BadEvent` in the place of each that cannot be read."""
        found = super().decode_each(frame)
        for item, event in zip(self.items(frame), found, strict=True):
            yield event if isinstance(event, BadEvent) else Passed(event, item)


def _head(event_class: Any, names: Sequence[str]) -> type:
    """A Struct of some fields of an event class, read from the JSON of its events."""
    hints = typing.get_type_hints(event_class)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in dataclasses.fields(cast(Any, event_class)):
        if field.name in (*names, "source"):
            known = (field.name, wire_annotation(hints[field.name]))
            fields.append(known if field.default is dataclasses.MISSING else (*known, field.default))
    return msgspec.defstruct(
        event_class.__name__, fields, kw_only=True, gc=False, tag_field="type", tag=event_class.__name__
    )
