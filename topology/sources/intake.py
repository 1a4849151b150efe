"""From what a source received to records of the log: fills for capture, and dead letters for what is none.

Guarantees: every message becomes a fill or a dead letter; a message that comes again becomes the same one, which
capture (by trade id) and whoever reads dead letters (by their id) recognise; what `append` was given is durable when
it returns.
"""

from collections.abc import Callable, Sequence
from typing import Any

from connectors.source import Received
from schemas import events, topics
from schemas.frames import wire
from schemas.times import Nanoseconds
from topology.settings import Settings
from topology.sinks.entry import LogEntry

KIND = "unreadable"

_DeadLetter: Any = wire(events.DeadLetter)


def letter_of(source: str, received: Received, now: int) -> Any:
    """The dead letter of a message that is no fill. It would have gone to the topic of fills; its offset is its place in
    the outside system."""
    assert received.fault is not None, "a message without a fault is a fill"
    return _DeadLetter(
        event_id=f"{received.identity}/dead0",
        source=received.origin,
        reason=received.fault.reason,
        kind=KIND,
        stage=f"source {source}",
        topic=topics.FILLS.name,
        partition=0,
        offset=received.sequence,
        index=0,
        original=received.payload,
        field=received.fault.field,
        expected=received.fault.expected,
        found=received.fault.found,
        event_time=Nanoseconds(now),
    )


class Intake:
    """Puts what a source received into the log: through the worker that owns it, or into the topics of a cluster.

    Not for several threads at once.
    """

    def __init__(self, settings: Settings, source: str, clock: Callable[[], int]) -> None:
        self._source = source
        self._clock = clock
        self._entry = LogEntry(settings, clock)

    def append(self, received: Sequence[Received]) -> None:
        """Append fills and dead letters. Raises Unavailable where nobody takes them: some may be in the log then."""
        fills = [each.fill for each in received if each.fill is not None]
        if fills:
            self._entry.append_fills(fills)
        now = self._clock()
        for topic in {each.dead_letters for each in received if each.fault is not None}:
            letters = [
                letter_of(self._source, each, now)
                for each in received
                if each.fault is not None and each.dead_letters == topic
            ]
            self._entry.publish(topics.TOPIC_BY_NAME[topic], letters, lambda letter: str(letter.event_id))

    def close(self) -> None:
        """Let the worker go."""
        self._entry.close()
