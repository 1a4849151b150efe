"""Where the events of a record go when keyed topics get another number of partitions: a pure rule.

Guarantees: an event keeps its bytes and goes to the partition of its key, or where it is told to; events of one record that go to
the same partition keep their order. Every new partition gets each tick of the clock once. What has no key that can be read
stays together, and keeps its number modulo the new count.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from schemas import events
from schemas.frames import BadEvent, encode_event, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.topics import Topic

_ClockTick: Any = wire(events.ClockTick)

Places = Callable[[int, Any], Iterable[int]]
"""The new partitions of an event that stood in an old one; a `BadEvent` where it cannot be read."""


def by_key(topic: Topic, after: int) -> Places:
    """The partition of an event's key."""

    def places(partition: int, event: Any) -> Iterable[int]:
        known = not isinstance(event, BadEvent)
        return (partition_of_key(topic.key_of(event).encode(), after) if known else partition % after,)

    return places


def rekeyed(
    topic: Topic,
    pieces: Sequence[tuple[int, bytes | None]],
    before: int,
    after: int,
    places: Places | None = None,
) -> dict[int, bytes | None]:
    """The values, by new partition, of a record that stood in one of `before` partitions.

    `pieces` are its partition and value; several where an earlier move has taken it apart. `places` says where events go,
    where that is not by their keys.
    """
    found: dict[int, list[bytes]] = {}
    placed = by_key(topic, after) if places is None else places
    for partition, value in pieces:
        _place(topic, partition, value or b"", before, after, placed, found)
    if not found:
        partition, value = pieces[0]
        # Ticks of a partition that is no more are in the others; a record without events stays what it is.
        return {} if value and topic.codec.items(value) else {partition % after: value}
    if len(pieces) == 1 and len(found) == 1:
        ((place, kept),) = found.items()
        value = pieces[0][1] or b""
        return {place: value if kept == topic.codec.items(value) else _frame(kept)}
    return {place: _frame(kept) for place, kept in found.items()}


def _place(
    topic: Topic,
    partition: int,
    value: bytes,
    before: int,
    after: int,
    places: Places,
    found: dict[int, list[bytes]],
) -> None:
    if not value:
        return
    for item, event in zip(topic.codec.items(value), topic.codec.decode_each(value), strict=True):
        if isinstance(event, _ClockTick):
            # A tick stands in every partition, with the others of its commit: each new one follows one old one.
            for place in range(partition, after, before):
                found.setdefault(place, []).append(item if place == partition else _tick(event, place))
            continue
        for place in places(partition, event):
            found.setdefault(place, []).append(item)


def _tick(tick: Any, partition: int) -> bytes:
    identity = derived_id(tick.event_id, "partition", partition)
    return encode_event(msgspec.structs.replace(tick, event_id=identity))


def _frame(items: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)
