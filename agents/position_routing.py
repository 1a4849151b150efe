"""The way of updated positions to whoever posts and values them: the same bytes, in other partitions.

Reads positions by book. The ledger's input is by the entity of the trade, that of the valuation by what the instrument
depends on. The end of a book's day goes wherever updates of the book went, and to every partition that values.

Families of keys in the table (first byte):

    e book             the entities that the book's trades were booked under, the first one first (MessagePack)
    x book 0 trade     the entity of a trade that is not the book's first one
    u instrument       what the instrument is valued with: what its definition named when it was first seen
    d instrument       what its definition names now

Guarantees: all updates of a position go to one partition of the valuation, for ever; a correction of a trade goes to
the partition of the ledger that has the trade, also where it tells no entity, or another one: then it goes to both.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.counters import Counters
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from schemas import events, topics
from schemas.identity import position_key
from schemas.passing import PassingCodec
from tables.partition import TablePartition

NAME = "position_routing"

ENTITIES, EXCEPTION, UNDERLYING, DEFINED = b"e", b"x", b"u", b"d"

_READ = PassingCodec(
    {
        events.PositionUpdated: (
            "book",
            "instrument",
            "trade_id",
            "executed_at",
            "kind",
            "trade_quantity",
            "entity",
        ),
        events.DayClosed: ("book", "event_time"),
    }
)
_PositionUpdated: Any = _READ.head(events.PositionUpdated)
_encode = msgspec.msgpack.Encoder().encode
_decode_entities = msgspec.msgpack.Decoder(list[str]).decode


class RoutingState:
    """What one partition knows of the entities of its books and of what its instruments depend on."""

    def __init__(self, table: TablePartition) -> None:
        self.table = table
        self.counters = Counters(table)
        self._load()

    def _load(self) -> None:
        scan = self.table.scan_prefix
        self._entities = {key[1:].decode(): _decode_entities(value) for key, value in scan(ENTITIES)}
        self._keys = {key[1:].decode(): value.decode() for key, value in scan(UNDERLYING)}
        self._defined = {key[1:].decode(): value.decode() for key, value in scan(DEFINED)}
        self._stale = False

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

    def entities_of(self, book: str) -> list[str]:
        """The entities that trades of a book were booked under; none where no trade came yet."""
        return self._entities.get(book, [])

    def entities_of_trade(self, update: Any) -> tuple[str, ...]:
        """Where the ledger has the trade of an update, and where it is to have it from now on."""
        book, entity = update.book, update.entity
        goes = update.kind is not None and update.trade_quantity == 0
        known = self._entities.get(book, [])
        if not goes and entity not in known:
            self._stale = True
            known = self._entities[book] = [*known, entity]
            self.table.put(ENTITIES + book.encode(), _encode(known))
        usual = known[0] if known else ""
        if update.kind is None:
            if entity != usual:
                self.table.put(_exception(update), entity.encode())
            return (entity,)
        return self._of_corrected(update, usual, goes)

    def _of_corrected(self, update: Any, usual: str, goes: bool) -> tuple[str, ...]:
        key, entity = _exception(update), update.entity
        stored = self.table.get(key)
        before = usual if stored is None else stored.decode()
        if not goes and entity != usual:
            self.table.put(key, entity.encode())
        elif stored is not None:
            self.table.delete(key)
        return (before,) if goes or entity == before else (before, entity)

    def before_commit(self) -> None:
        """Write the counts."""
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed."""
        self._stale = False
        self.counters.committed()

    def rollback(self) -> None:
        """Take the state again from the table."""
        self.counters.rollback()
        if self._stale:
            self._load()
            self._stale = bool(self.table.changes)


def _exception(update: Any) -> bytes:
    return EXCEPTION + position_key(update.book, update.trade_id)


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
            first, *others = [
                step.bucket(topics.LEDGER_INPUT, entity) for entity in state.entities_of_trade(head)
            ]
            first.pass_on(encoded, order)
            for output in others:
                # Two entities may be of one partition, which gets it once.
                if output is not first:
                    output.pass_on(encoded, order)


def _close_day(state: RoutingState, closed: Any, encoded: bytes, step: Step) -> None:
    order = (closed.event_time, 0)
    everywhere = range(step.partitions)
    for partition in everywhere:
        step.bucket_at(topics.VALUATION_INPUT, partition).pass_on(encoded, order)
    entities = state.entities_of(closed.book)
    for partition in sorted({step.partition_of(entity) for entity in entities}) or everywhere:
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
