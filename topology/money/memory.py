"""A stage over tables in memory, for a look at another time: what it says is taken as events, nothing is kept."""

from collections.abc import Iterable, Sequence
from typing import Any

from agents.stage import Frame, Stage, Step
from schemas.topics import Topic
from tables.partition import TablePartition
from tables.store import MemoryStore

EVENTS_A_STEP = 2_000


class MemoryStage:
    """One partition of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._store = MemoryStore()
        self._state = stage.open_state(TablePartition(self._store))
        self._offset = 0

    @property
    def table(self) -> TablePartition:
        """What it has committed."""
        return TablePartition(self._store)

    def define(self, definitions: Iterable[Any]) -> None:
        """Take in reference data; what is refused live is refused here, and left out."""
        for definition in definitions:
            assert self._stage.on_broadcast is not None, "only a stage with broadcasts has definitions"
            self._stage.on_broadcast(self._state, definition)
        self._commit()

    def step(self, given: Sequence[Any], told: Topic) -> list[Any]:
        """Handle events, and commit; returns what the stage says to a topic."""
        step = Step(lambda key: 0)
        frame = Frame(self._stage.input.name, 0, self._offset, given, range(len(given)))
        self._stage.handler(self._state, [frame], step)
        self._state.before_commit()
        self._commit()
        self._offset += 1
        work = self._stage.idle_work
        found = _events(step, told)
        while work is not None and work.is_left(self._state):
            step = Step(lambda key: 0)
            work.do_slice(self._state, step, None)
            self._state.before_commit()
            self._commit()
            found += _events(step, told)
        return found

    def _commit(self) -> None:
        self._store.write(self._state.table.changes)
        self._state.committed()
        self._state.table.committed()


def _events(step: Step, told: Topic) -> list[Any]:
    return [
        event
        for (name, _), output in step.outputs.items()
        if name == told.name and output.encoded
        for event in told.codec.decode(b"[" + b",".join(output.encoded) + b"]")
    ]
