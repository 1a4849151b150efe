"""Where what stages behind the books read and know belongs, when keyed topics get another number of partitions.

Updates of positions went past their own keys: those of a book to the entity of its first trade, those of an instrument to
what its definition named (`agents.position_routing`); ends of days to all. So the routing tables are asked here.

Assumes: routes that do not change meanwhile, and stages that have applied all that they were sent.
Guarantees: an instrument is valued in one new partition, with its underlying of now; its marks are there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from agents import mark_routing, position_routing
from agents.stage import Stage
from schemas import topics
from schemas.murmur2 import partition_of_key
from schemas.topics import Topic
from topology.log_reading import ReadLog, read_events, table_partition

ReadTo = Callable[[str, int, str], int]
"""How far (offset) a partition of a stage has read a topic of definitions or rates: stage, partition, topic."""


class Numbers(NamedTuple):
    """The number of partitions before and after a move."""

    before: int
    after: int

    def old(self, key: str) -> int:
        """The partition of a key before the move."""
        return partition_of_key(key.encode(), self.before)

    def new(self, key: str) -> int:
        """The partition of a key after the move."""
        return partition_of_key(key.encode(), self.after)


class Broadcasts:
    """What each old partition of a stage had read for itself of definitions and rates.

    Nothing of what stands there comes before the next input: so every new partition may know what the one knows that had
    read the most. But the first one speaks for all of what it refuses, so it reads on where it was.
    """

    def __init__(self, numbers: Numbers, read_to: ReadTo) -> None:
        self.numbers = numbers
        self._read_to = read_to

    def source(self, stage: str, topic: Topic) -> int:
        """The old partition whose copy all new ones get."""
        return max(range(self.numbers.before), key=lambda old: self._read_to(stage, old, topic.name))

    def offset(self, stage: str, topic: Topic, new: int) -> int:
        """Where a new partition reads on."""
        return self._read_to(stage, 0 if new == 0 else self.source(stage, topic), topic.name)

    def unread(self, stages: Sequence[Stage], end: Callable[[Topic], int]) -> list[str]:
        """What a stage has not read everywhere, of those that tell at once what definitions change: those with a clock."""
        return [
            f"{stage.name}/{old} of {topic.name}"
            for stage in stages
            if stage.input.clocked
            for topic in stage.broadcasts
            for old in range(self.numbers.before)
            if self._read_to(stage.name, old, topic.name) < end(topic)
        ]


class Routes:
    """Where books and instruments are, behind the books, by what `old` has of them and of their definitions."""

    def __init__(self, old: ReadLog, broadcasts: Broadcasts) -> None:
        self.numbers = numbers = broadcasts.numbers
        self._entities: dict[str, str] = {}
        self._stored: dict[str, str] = {}
        for partition in range(numbers.before):
            table = table_partition(old, position_routing.NAME, partition)
            for key, value in table.scan_prefix(position_routing.ENTITY):
                self._entities[key[1:].decode()] = value.decode()
            for key, value in table.scan_prefix(position_routing.UNDERLYING):
                name, found = key[1:].decode(), value.decode()
                if self._stored.get(name, name) == name:
                    self._stored[name] = found
        # The topic, not what the stage has read of it: it reads with its next input, the valuation with each tick.
        self._defined = {
            definition.instrument: str(definition.underlying) if definition.active else ""
            for _, definition in read_events(old, topics.INSTRUMENTS, 0)
        }
        source = broadcasts.source(mark_routing.NAME, topics.INSTRUMENTS)
        self._marks = mark_routing.RoutingState(table_partition(old, mark_routing.NAME, source))

    def entity_of(self, book: str) -> str | None:
        """The entity whose partition of the ledger has a book; None where no trade of it came yet."""
        return self._entities.get(book)

    def valued_with(self, instrument: str) -> str:
        """What an instrument is valued with from now on: what its definition names, or what it was valued with.

        It may have been sent elsewhere before it was defined, and found its underlying there by chance.
        """
        return self._defined.get(instrument) or self._stored.get(instrument, instrument)

    def of_instrument(self, instrument: str) -> int:
        """The new partition in which an instrument is valued."""
        return self.numbers.new(self.valued_with(instrument))

    def of_mark(self, instrument: str) -> Iterable[int]:
        """The new partitions in which the marks of an instrument are needed."""
        keys = (*self._marks.keys_of(instrument), self.valued_with(instrument))
        return {self.numbers.new(key) for key in keys}
