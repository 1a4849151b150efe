"""Dead letters of a sink: the events that an outside system did not take, in the log, with the reason.

Guarantees: a letter is durable in the log when `put` returns; its id is a function of the sink and the event's place,
so that a letter that is written twice is one letter.
"""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.sink import Item, Unavailable
from schemas import events, topics
from schemas.frames import encode_event, encode_frames, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.times import Nanoseconds
from topology.control.protocol import ControlClient, ControlError, Outgoing, Request
from topology.sinks.feed import in_generation

if TYPE_CHECKING:
    from topology.sinks.appending import ClusterAppender

KIND = "not taken"
"""The kind of these letters; their stage is `sink NAME`."""

_DeadLetter: Any = wire(events.DeadLetter)


def stage_of(sink: str) -> str:
    """The stage that a sink's letters name."""
    return f"sink {sink}"


def letter_of(sink: str, item: Item, reason: str) -> Any:
    """The dead letter of an event."""
    event = item.event
    known = item.topic in topics.TOPIC_BY_NAME
    place = f"{in_generation(item.topic, item.generation)}/{item.partition}/{item.offset}"
    identity = item.retry or derived_id(place, f"{stage_of(sink)}-", item.place)
    return _DeadLetter(
        event_id=identity,
        correlation_id=event.correlation_id if known else "",
        causation_id=event.event_id if known else "",
        source=f"{item.topic}/{item.partition}",
        reason=reason,
        kind=KIND,
        stage=stage_of(sink),
        topic=item.topic,
        partition=item.partition,
        offset=item.offset,
        index=item.place,
        original=encode_event(event) if known else event[1] or b"",
        trade_id=getattr(event, "trade_id", "") if known else "",
        event_time=Nanoseconds(time.time_ns()),
    )


class Letters:
    """Puts the letters of a sink into the log, through the worker that owns it."""

    def __init__(self, data: Path, sink: str) -> None:
        self._data = data
        self._sink = sink

    async def put(self, item: Item, reason: str) -> None:
        """Set an event aside. Raises Unavailable where no worker takes it."""
        letter = letter_of(self._sink, item, reason)
        try:
            await asyncio.to_thread(self._append, letter)
        except ControlError as error:
            raise Unavailable(
                f"expected the worker of {self._data} to take a dead letter, found: {error}"
            ) from error

    def _append(self, letter: Any) -> None:
        client = ControlClient(self._data)
        try:
            partitions = int(client.ask(Request("status")).document["partitions"])
            client.ask(Request("append", records=[_record_of(letter, partitions)]))
        finally:
            client.close()


class ClusterLetters:
    """Puts the letters of a sink into the topic of a cluster."""

    def __init__(self, appender: "ClusterAppender", sink: str) -> None:
        self._appender = appender
        self._sink = sink

    async def put(self, item: Item, reason: str) -> None:
        """Set an event aside. Raises Unavailable where the cluster does not take it."""
        record = _record_of(letter_of(self._sink, item, reason), self._appender.partitions)
        await asyncio.to_thread(self._appender.append, [record])


def _record_of(letter: Any, partitions: int) -> Outgoing:
    partition = partition_of_key(letter.event_id.encode(), partitions)
    return Outgoing(topics.SINK_DEAD_LETTERS.name, partition, None, encode_frames([letter])[0])
