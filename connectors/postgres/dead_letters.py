"""The sink of dead letters: each with its reason and original bytes, and what an operator did with it.

Guarantees: a letter is one row, a resolution another, whatever comes again; `back_office.dead_letters` counts attempts.
"""

from collections.abc import Sequence

import asyncpg

from connectors.postgres.copying import Target, Value, copy_line
from connectors.postgres.session import PostgresSink
from connectors.postgres.trades import PLACE, place_of
from connectors.sink import Batch
from schemas import events, topics
from schemas.frames import wire

_DeadLetter = wire(events.DeadLetter)
_Resolved = wire(events.DeadLetterResolved)

_LETTERS = Target(
    "back_office",
    "dead_letter",
    (
        *("id", "kind", "stage", "reason", "field", "expected", "found", "trade_id", "original", "of_topic"),
        *("of_partition", "of_offset", "of_index", "event_time_ns", *PLACE),
    ),
)
_RESOLUTIONS = Target(
    "back_office",
    "dead_letter_resolution",
    ("event_id", "dead_letter_id", "action", "event_time_ns", *PLACE),
)


class DeadLettersSink(PostgresSink):
    """`back_office.dead_letter` and `back_office.dead_letter_resolution`."""

    name = "postgres-dead-letters"
    topics: Sequence[str] = (
        topics.FILL_DEAD_LETTERS.name,
        topics.BOOKING_DEAD_LETTERS.name,
        topics.STAGE_DEAD_LETTERS.name,
        topics.SINK_DEAD_LETTERS.name,
    )
    targets: Sequence[Target] = (_LETTERS, _RESOLUTIONS)

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write letters and resolutions."""
        letters, resolutions = [], []
        for item in batch.items:
            event, place = item.event, place_of(item)
            row: list[Value]
            if type(event) is _DeadLetter:
                row = [event.event_id, event.kind, event.stage, event.reason, event.field, event.expected]
                row += [event.found, event.trade_id, event.original, event.topic, event.partition]
                letters.append(copy_line([*row, event.offset, event.index, event.event_time, *place]))
            elif type(event) is _Resolved:
                row = [event.event_id, event.dead_letter_id, event.action, event.event_time]
                resolutions.append(copy_line([*row, *place]))
        await _LETTERS.add(connection, letters)
        await _RESOLUTIONS.add(connection, resolutions)
