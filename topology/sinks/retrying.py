"""Dead letters of a sink that an operator sends again: the event is written again, by that sink alone.

A letter's id names the event's place in the log, so nothing needs to be kept: the event is read where it stands. What
is refused again is a letter of its own, since its id has the retry in it.
"""

import re
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from connectors.sink import Batch, Item
from schemas import events, topics
from schemas.frames import wire
from topology.sinks.letters import stage_of

RETRIED = "retried"

_topic_of = attrgetter("topic")
_Resolved: Any = wire(events.DeadLetterResolved)
ReadItem = Callable[[str, int, int, int], Item | None]


def with_retries(batch: Batch, sink: str, wanted: frozenset[str], read: ReadItem) -> Batch:
    """A batch with what `sink` shall write: events of the topics that it wants, and those that it shall write again.

    `read` finds an event by topic, partition, offset and index.
    """
    found = set(map(_topic_of, batch.items))
    if found <= wanted and topics.SINK_DEAD_LETTERS.name not in found:
        return batch
    return Batch(list(_items(batch, sink, wanted, read)), batch.next_offsets)


def _items(batch: Batch, sink: str, wanted: frozenset[str], read: ReadItem) -> Iterator[Item]:
    for item in batch.items:
        if item.topic in wanted:
            yield item
        if item.topic == topics.SINK_DEAD_LETTERS.name:
            place = place_of_retry(item.event, sink)
            again = None if place is None else read(*place)
            if again is not None:
                yield again._replace(retry=f"{item.event.dead_letter_id}.again{item.offset}")


def place_of_retry(event: Any, sink: str) -> tuple[str, int, int, int] | None:
    """Where the event stands that a resolution asks `sink` to write again; None for anything else."""
    if not isinstance(event, _Resolved) or event.action != RETRIED:
        return None
    found = re.fullmatch(
        rf"(.+)/(\d+)/(\d+)\.{re.escape(stage_of(sink))}-(\d+)(\.again\d+)*", event.dead_letter_id
    )
    if found is None:
        return None
    return found[1], int(found[2]), int(found[3]), int(found[4])
