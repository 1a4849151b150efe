"""What a stage is: a declaration as data, the frames that its handler reads, and the step that it fills.

A handler is a plain synchronous function `(state, frames, step)`. It changes only its table partition and
the step, reads no clock, and knows nothing of Faust or of the log: live running, replay, tests and simulation
call the same function. The runtime (`topology.runtime`) decodes, calls it, and commits changes, changelog,
outputs, dead letters and input offsets in one write.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

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


@dataclass(slots=True)
class Step:
    """What a handler adds in one call: outputs by topic and partition, and refusals by place.

    `partition_of` gives the partition of a key; `touched` collects what observers (shared memory) want to see.
    """

    partition_of: Callable[[str], int]
    outputs: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    refusals: list[tuple[int, int, Any, Refusal]] = field(default_factory=list)
    touched: dict[Any, Any] = field(default_factory=dict)

    def bucket(self, topic: Topic, key: str) -> list[Any]:
        """The list of events for `topic` on the partition of `key`; append to it, in order."""
        place = (topic.name, self.partition_of(key) if topic.partitioned else 0)
        bucket = self.outputs.get(place)
        if bucket is None:
            bucket = self.outputs[place] = []
        return bucket

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
    """A stage's table. A step's changes in the `packed` families (never overwritten in the normal course)
    are one changelog record; in the others each key is one, so that the changelog compacts."""

    name: str
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, declared.

    `broadcasts` are inputs of one partition that every partition of the stage reads whole, always before the
    records of `input` that were appended after them.
    """

    name: str
    input: Topic
    outputs: tuple[Topic, ...]
    table: TableDeclaration
    open_state: Callable[[TablePartition], Any]
    handler: Callable[[Any, Sequence[Frame], Step], None]
    broadcasts: tuple[Topic, ...] = ()
    on_broadcast: Callable[[Any, Sequence[Any]], None] | None = None
    description: str = ""

    @property
    def changelog(self) -> str:
        """The name of the changelog topic."""
        return f"pks-{self.table.name}-changelog"
