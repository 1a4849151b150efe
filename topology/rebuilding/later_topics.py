"""The topics behind the books, as they are copied into other partitions: where events go, and how many there are of each.

Guarantees: the ledger's input goes where it would have gone, in the order of its old partition. What a valuation has read is
not copied, for a mark stands there in several partitions; who finds that topic, or the valuations, sees that they are not
whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agents import ledger
from agents.ledger_movements import MOVEMENT, content_of, find_movement
from agents.stage import Stage
from schemas import events, money, topics, valuation
from schemas.frames import wire
from schemas.topics import Topic
from topology.log import Tables
from topology.log_reading import table_partition
from topology.rebuilding.later_routes import Routes
from topology.rebuilding.rekeying import Places, by_key
from topology.verifying.log import NOT_COUNTED

EMPTIED = frozenset((topics.VALUATION_INPUT.name,))
"""Topics that begin empty: everything in them is applied, and nobody else reads them."""

CUT = frozenset((*EMPTIED, topics.VALUATIONS.name))
"""Topics from which nothing can be made anew afterwards."""

_PositionUpdated = wire(events.PositionUpdated)
_DayClosed = wire(events.DayClosed)
_CashMovement = wire(money.CashMovement)
_PositionsValuated = wire(valuation.PositionsValuated)

Moved = Callable[[str, int, bytes, bytes], None]
"""Called with the table, the new partition, key and value of an entry."""


class LaterTopics:
    """Where events behind the books go, from the old tables `old`; movements of the ledger go with theirs (`moved`)."""

    def __init__(self, stages: Sequence[Stage], old: Tables, routes: Routes, moved: Moved) -> None:
        self.sizes: Counter[tuple[str, int]] = Counter()
        """Events of a topic that are counted, by new partition."""
        self.closed: dict[str, str] = {}
        """The last business date of a book of which every partition of the ledger has the end."""
        self.entities: dict[str, str] = {}
        """The entity of a book for which cash was moved."""
        self._inputs = {stage.input.name for stage in stages}
        self._numbers = routes.numbers
        self._routes = routes
        self._moved = moved
        self._ledger = [
            table_partition(old, ledger.NAME, partition) for partition in range(self._numbers.before)
        ]
        self._traded: set[str] = set()

    def places(self, topic: Topic) -> Places | None:
        """Where the events of a topic go; None where their keys say it and nobody counts them."""
        if topic.name not in self._inputs:
            return None
        placed = by_key(topic, self._numbers.after)
        if topic is topics.LEDGER_INPUT:
            placed = self._to_ledger
        elif topic is topics.VALUATIONS:
            placed = self._valuated

        def counted(partition: int, event: Any) -> Iterable[int]:
            found = tuple(placed(partition, event))
            if not isinstance(event, NOT_COUNTED):
                for place in found:
                    self.sizes[topic.name, place] += 1
            return found

        return counted

    def _valuated(self, partition: int, event: Any) -> Iterable[int]:
        if type(event) is _PositionsValuated:
            return (self._numbers.new(topics.VALUATIONS.key_of(event)),)
        # What every partition has: each new one follows one old one.
        return range(partition, self._numbers.after, self._numbers.before)

    def _to_ledger(self, partition: int, event: Any) -> Iterable[int]:
        kind = type(event)
        if kind is _DayClosed:
            return self._closed(partition, event)
        if kind is _PositionUpdated:
            entity = self._routes.entity_of(event.book)
            if entity is not None and self._numbers.old(entity) == partition:
                self._traded.add(event.book)
                return (self._numbers.new(entity),)
        elif kind is _CashMovement:
            self._move_movement(partition, event)
        return by_key(topics.LEDGER_INPUT, self._numbers.after)(partition, event)

    def _closed(self, partition: int, closed: Any) -> Iterable[int]:
        """The end of a day goes to the entity of its book; to all, where no trade of the book had come yet."""
        entity = self._routes.entity_of(closed.book)
        if partition != (0 if entity is None else self._numbers.old(entity)):
            return ()
        if entity is not None and closed.book in self._traded:
            return (self._numbers.new(entity),)
        self.closed[closed.book] = max(closed.business_date, self.closed.get(closed.book, ""))
        return range(self._numbers.after)

    def _move_movement(self, partition: int, event: Any) -> None:
        """A movement that was posted is known by its id alone: where, its event says."""
        if event.book:
            self.entities[event.book] = event.entity
        table = self._ledger[partition]
        known = find_movement(table, event.movement_id)
        if known is None or known.content != content_of(event):
            return
        key = MOVEMENT + event.movement_id.encode()
        value = table.get(key)
        assert value is not None, "it was found"
        self._moved(ledger.NAME, self._numbers.new(event.entity), key, value)
