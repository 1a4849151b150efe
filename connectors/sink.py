"""The contract between the runtime of sinks (`topology.sinks`) and the adapter of one outside system.

An adapter is a class with the methods of `Sink`; it knows its outside system and nothing of the log. What it raises
says what the runtime does: `Unavailable` is tried again for ever, `Refused` is cut down to the one event that the far
side does not take, which goes to the dead letters.

Guarantees of the runtime to an adapter: one call at a time; the records of a partition come in order and without a
gap from the offsets that `open` gave; a batch may come again whole or in other cuts, so writing is idempotent by key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

TopicPartition = tuple[str, int]


class Unavailable(Exception):
    """The outside system cannot be reached, or cannot do its work now: what was asked is tried again later."""


class Refused(Exception):
    """The outside system does not take this content, now or later."""


class Item(NamedTuple):
    """An event with its place in the log; `appended_at` in nanoseconds, `sequence` 0 where a log has none.

    `place` counts the events of a record from 0. `event` is the wire twin of a registered topic's event; of another topic it is the record's (key, value).
    `retry` is the id of its next dead letter, where it is written again because an operator asked for it; `generation`
    counts the moves of the log to another number of partitions, after which other events have these places.
    """

    topic: str
    partition: int
    offset: int
    place: int
    sequence: int
    appended_at: int
    event: Any
    retry: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to write together, in the order of their partitions, and where each partition goes on after them."""

    items: Sequence[Item]
    next_offsets: Mapping[TopicPartition, int] = field(default_factory=dict)


class Sink(Protocol):
    """One consumer of topics that writes into one outside system.

    `keeps_offsets` says that `write` keeps `next_offsets` in the outside system, in the same transaction as the
    events; otherwise the runtime keeps them, after `write` has returned.

    A sink may also have `look_seconds` and `async def look()`: it is called that often while nothing waits to be
    written, and raises Unavailable where the far side is not as it was left.
    """

    name: str
    topics: Sequence[str]
    keeps_offsets: bool

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect, and say where each partition goes on (nothing: from its start). Raises Unavailable."""

    async def write(self, batch: Batch) -> None:
        """Write a batch; returns when the far side has confirmed it. Raises Unavailable, Refused."""

    async def close(self) -> None:
        """Disconnect; never raises."""
