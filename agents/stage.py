"""What a stage is: a declaration as data, the frames that its handler reads, and the step that it fills.

A handler is a plain synchronous function `(state, frames, step)`. It changes only its table partition and
the step, reads no clock, and knows nothing of Faust or of the log: live running, replay, tests and simulation
call the same function. The runtime (`topology.runtime`) decodes, calls it, and commits changes, changelog,
outputs, dead letters and input offsets in one write.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from schemas.frames import FrameCodec, encode_event
from schemas.topics import Topic
from tables.partition import TablePartition

if TYPE_CHECKING:
    from agents.counters import Counters


class InvariantBroken(Exception):
    """An identity that must always hold does not: the partition stops, and says what was expected and found."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The events of one input record, in order; `indexes[i]` is the place of `events[i]` in the record."""

    topic: str
    partition: int
    offset: int
    events: Sequence[Any]
    indexes: Sequence[int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a readable input is refused: it becomes a dead letter with its original bytes."""

    reason: str
    field: str = ""
    expected: str = ""
    found: str = ""
    trade_id: str = ""
    kind: str = "rejected"


# Functions over the lists, not methods: an output that held its own method would be garbage that only the collector
# finds, and every event of a step would wait for it there.


def _as_it_comes(add: Callable[[bytes], None]) -> Callable[[Any], None]:
    def append(event: Any) -> None:
        add(encode_event(event))

    return append


def _in_order(
    add: Callable[[bytes], None], place: Callable[[tuple[int, int]], None]
) -> Callable[[Any], None]:
    def append(event: Any) -> None:
        add(encode_event(event))
        place((event.executed_at, getattr(event, "source_sequence", 0)))

    return append


def _by_key(
    add: Callable[[bytes], None], note: Callable[[bytes], None], key_of: Callable[[Any], str]
) -> Callable[[Any], None]:
    def append(event: Any) -> None:
        add(encode_event(event))
        note(key_of(event).encode())

    return append


class Output:
    """What a step has for one topic and partition: its events, encoded at once, while they are at hand.

    Of a topic whose events are merged in the order of matching, `orders` holds the place of each; of a compacted one,
    `keys` holds the key of each, and only the last one of a key is written.
    """

    __slots__ = ("append", "encoded", "keys", "orders")

    def __init__(self, topic: Topic) -> None:
        self.encoded: list[bytes] = []
        self.orders: list[tuple[int, int]] = []
        self.keys: list[bytes] = []
        self.append: Callable[[Any], None]
        if topic.merged:
            self.append = _in_order(self.encoded.append, self.orders.append)
        elif topic.compact:
            self.append = _by_key(self.encoded.append, self.keys.append, topic.key_of)
        else:
            self.append = _as_it_comes(self.encoded.append)

    def pass_on(self, encoded: bytes, order: tuple[int, int]) -> None:
        """Add an event of a merged topic as the bytes that it came as; `order` is its time, and its place among equals."""
        self.encoded.append(encoded)
        self.orders.append(order)

    def extend(self, other: "Output") -> None:
        """Take in the events of another step."""
        self.encoded += other.encoded
        self.orders += other.orders
        self.keys += other.keys


@dataclass(slots=True)
class Step:
    """What a handler adds in one call: outputs by topic and partition, and refusals by place.

    `partition_of` gives the partition of a key, of `partitions`; `touched` collects what observers (shared memory) want to
    see. Where a step is `silent`, nobody reads its outputs, and a handler may leave them out.
    """

    partition_of: Callable[[str], int]
    outputs: dict[tuple[str, int], Output] = field(default_factory=dict)
    refusals: list[tuple[int, int, Any, Refusal]] = field(default_factory=list)
    touched: dict[Any, Any] = field(default_factory=dict)
    silent: bool = False
    partitions: int = 1
    _outputs_by_key: dict[tuple[str, str], Output] = field(default_factory=dict)

    def bucket(self, topic: Topic, key: str) -> Output:
        """The output for `topic` on the partition of `key`; append events to it, in order."""
        output = self._outputs_by_key.get((topic.name, key))
        if output is None:
            output = self.bucket_at(topic, self.partition_of(key) if topic.partitioned else 0)
            self._outputs_by_key[topic.name, key] = output
        return output

    def bucket_at(self, topic: Topic, partition: int) -> Output:
        """The output for `topic` on a partition, for what does not go by one key."""
        output = self.outputs.get((topic.name, partition))
        if output is None:
            output = self.outputs[topic.name, partition] = Output(topic)
        return output

    def refuse(self, frame: Frame, place: int, refusal: Refusal) -> None:
        """Refuse `frame.events[place]`."""
        self.refuse_at(frame.offset, frame.indexes[place], frame.events[place], refusal)

    def refuse_at(self, offset: int, index: int, event: Any, refusal: Refusal) -> None:
        """Refuse an event that came at an offset of this partition, maybe some steps ago."""
        self.refusals.append((offset, index, event, refusal))


class StageState(Protocol):
    """What a stage keeps for one partition, over its table partition."""

    table: TablePartition
    counters: "Counters"

    def before_commit(self) -> None:
        """Write what is cached into the table partition, and assert the invariants of the step."""

    def committed(self) -> None:
        """The step is committed."""

    def rollback(self) -> None:
        """Forget the step: take what is cached again from the table, which the runtime has set back."""


@dataclass(frozen=True, slots=True)
class TableDeclaration:
    """A stage's table; its changelog has one record a step with all its changes."""

    name: str


@dataclass(frozen=True, slots=True)
class IdleWork:
    """What a stage leaves over to be done between its steps, in slices, each a step of its own.

    `is_left` says whether there is any, `is_full` whether so much that the stage must take in no more before some of it
    is done. `do_slice(state, step, failed)` does a slice; where the attempt at it failed by a defect, it is called
    again with why, and what was at hand is to be refused for that.
    """

    is_left: Callable[[Any], bool]
    is_full: Callable[[Any], bool]
    do_slice: Callable[[Any, Step, Refusal | None], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, declared.

    `broadcasts` are inputs of one partition that every partition of the stage reads whole, always before the
    records of `input` that were appended after them. `on_broadcast` takes in one event of them, or refuses it.
    `codec` reads the input's frames, where the stage does not want whole events (`schemas.passing`). A stage that
    `bears_gaps` goes on where retention took input that it had not read; any other one stops.
    """

    name: str
    input: Topic
    outputs: tuple[Topic, ...]
    table: TableDeclaration
    open_state: Callable[[TablePartition], Any]
    handler: Callable[[Any, Iterable[Frame], Step], None]
    broadcasts: tuple[Topic, ...] = ()
    on_broadcast: Callable[[Any, Any], Refusal | None] | None = None
    idle_work: IdleWork | None = None
    codec: FrameCodec | None = None
    bears_gaps: bool = False
    description: str = ""

    @property
    def changelog(self) -> str:
        """The name of the changelog topic."""
        return f"pks-{self.table.name}-changelog"
