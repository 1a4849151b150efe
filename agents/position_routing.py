"""The way of updated positions to whoever posts and values them: the same bytes, in other partitions.

Reads positions by book. The ledger's input is by the entity of the book, that of the valuation by what the instrument
depends on. The end of a book's day goes where updates of the book go, and to every partition that values.

Families of keys in the table (first byte):

    e book             the entity that the book's first trade was booked under
    u instrument       what the instrument is valued with: what its definition named when it was first seen
    d instrument       what its definition names now

Guarantees: all updates of a position go to one partition of the valuation, for ever, and those of a book to one of the
ledger: also a correction that tells no entity, or another one. A position that is posted in parts could not be added up.
"""

from collections.abc import Iterable
from typing import Any

from agents.loaded_state import LoadedState
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from schemas import events, topics
from schemas.passing import PassingCodec
from tables.partition import TablePartition

NAME = "position_routing"

ENTITY, UNDERLYING, DEFINED = b"e", b"u", b"d"

_READ = PassingCodec(
    {
        events.PositionUpdated: (
            "book",
            "instrument",
            "executed_at",
            "entity",
        ),
        events.DayClosed: ("book", "event_time"),
    }
)
_PositionUpdated: Any = _READ.head(events.PositionUpdated)


class RoutingState(LoadedState):
    """What one partition knows of the entities of its books and of what its instruments depend on."""

    def __init__(self, table: TablePartition) -> None:
        super().__init__(table)
        self._load()

    def _load(self) -> None:
        scan = self.table.scan_prefix
        self._entities = {key[1:].decode(): value.decode() for key, value in scan(ENTITY)}
        self._keys = {key[1:].decode(): value.decode() for key, value in scan(UNDERLYING)}
        self._defined = {key[1:].decode(): value.decode() for key, value in scan(DEFINED)}

    def define(self, definition: Any) -> Refusal | None:
        """Take in what the definition of an instrument says it depends on."""
        self._stale = True
        name = definition.instrument
        underlying = definition.underlying if definition.active else ""
        self._defined[name] = underlying
        self.table.put(DEFINED + name.encode(), underlying.encode())
        return None

    def key_of(self, instrument: str) -> str:
        """What an instrument is valued with; once said, it stays so."""
        found = self._keys.get(instrument)
        if found is None:
            self._stale = True
            found = self._keys[instrument] = self._defined.get(instrument) or instrument
            self.table.put(UNDERLYING + instrument.encode(), found.encode())
        return found

    def entity_of(self, book: str) -> str | None:
        """The entity that a book belongs to; None where no trade of it came yet."""
        return self._entities.get(book)

    def note_entity(self, book: str, entity: str) -> str:
        """The entity that a book belongs to, which is that of its first trade."""
        found = self._entities.get(book)
        if found is None:
            self._stale = True
            found = self._entities[book] = entity
            self.table.put(ENTITY + book.encode(), entity.encode())
        return found


def handle(state: RoutingState, frames: Iterable[Frame], step: Step) -> None:
    """Pass updates and ends of days on."""
    for frame in frames:
        for passed in frame.events:
            head, encoded = passed.head, passed.encoded
            if not isinstance(head, _PositionUpdated):
                _close_day(state, head, encoded, step)
                continue
            counts = state.counters.of(head.source)
            counts.read += 1
            counts.applied += 1
            order = (head.executed_at, 0)
            key = state.key_of(head.instrument)
            step.bucket(topics.VALUATION_INPUT, key).pass_on(encoded, order)
            entity = state.note_entity(head.book, head.entity)
            step.bucket(topics.LEDGER_INPUT, entity).pass_on(encoded, order)


def _close_day(state: RoutingState, closed: Any, encoded: bytes, step: Step) -> None:
    order = (closed.event_time, 0)
    everywhere = range(step.partitions)
    for partition in everywhere:
        step.bucket_at(topics.VALUATION_INPUT, partition).pass_on(encoded, order)
    entity = state.entity_of(closed.book)
    for partition in everywhere if entity is None else (step.partition_of(entity),):
        step.bucket_at(topics.LEDGER_INPUT, partition).pass_on(encoded, order)


def stage() -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.POSITIONS,
        outputs=(topics.LEDGER_INPUT, topics.VALUATION_INPUT),
        table=TableDeclaration(NAME),
        open_state=RoutingState,
        handler=handle,
        broadcasts=(topics.INSTRUMENTS,),
        on_broadcast=RoutingState.define,
        codec=_READ,
        description="brings updated positions to the ledger's and the valuation's partitions",
    )
