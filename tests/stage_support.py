"""A stage in memory: its handler over a table in a dictionary, committed step by step, without a log."""

import time
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from agents.counters import Counts, read_counts
from agents.stage import Frame, Refusal, Stage, Step
from schemas.frames import encode_event
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from tables.partition import TablePartition
from tables.store import MemoryStore
from tests.support import soak_minutes

_BATCH = 50


class StageInMemory:
    """One partition of a stage. What the runtime does around the handler is done here, without its faults."""

    def __init__(self, stage: Stage, partitions: int = 1) -> None:
        self.stage = stage
        self.partitions = partitions
        self.store = MemoryStore()
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        """Forget all that is not in the table."""
        self.state = self.stage.open_state(TablePartition(self.store))

    def _run(self, events: tuple[Any, ...]) -> Step:
        step = self._new_step()
        if self.stage.codec is not None:
            events = tuple(self.stage.codec.decode(b"[" + b",".join(map(encode_event, events)) + b"]"))
        frame = Frame(self.stage.input.name, 0, self.offset, events, range(len(events)))
        with exact_arithmetic():
            self.stage.handler(self.state, [frame], step)
            self.state.before_commit()
        return step

    def _new_step(self) -> Step:
        def partition_of(key: str) -> int:
            return partition_of_key(key.encode(), self.partitions)

        return Step(partition_of, partitions=self.partitions)

    def define(self, *definitions: Any) -> None:
        """Take in reference data, and commit it."""
        assert self.stage.on_broadcast is not None
        for definition in definitions:
            assert self.stage.on_broadcast(self.state, definition) is None
        self._commit()

    def _commit(self) -> None:
        self.store.write(self.state.table.changes)
        self.state.committed()
        self.state.table.committed()

    def step(self, *events: Any) -> Step:
        """Handle events in one step, and commit it."""
        step = self._run(events)
        self._commit()
        self.offset += 1
        return step

    def slice(self) -> Step:
        """Do a slice of what the stage has left over, and commit it."""
        step = self._slice()
        self._commit()
        return step

    def _slice(self, failed: Refusal | None = None) -> Step:
        step = self._new_step()
        assert self.stage.idle_work is not None
        with exact_arithmetic():
            self.stage.idle_work.do_slice(self.state, step, failed)
            self.state.before_commit()
        return step

    def fail_slice(self) -> None:
        """Do a slice whose commit fails."""
        self._slice()
        self.rollback()

    @property
    def has_idle_work(self) -> bool:
        """Whether the stage has left something over."""
        return self.stage.idle_work is not None and self.stage.idle_work.is_left(self.state)

    def rollback(self) -> None:
        """Forget a step, as the runtime does."""
        self.state.table.rollback()
        self.state.rollback()

    def fail(self, *events: Any) -> None:
        """Handle events in a step whose commit fails."""
        self._run(events)
        self.rollback()

    @property
    def committed(self) -> TablePartition:
        """The table as a reader of what is committed sees it."""
        return TablePartition(self.store)

    def counts(self) -> tuple[int, int, int, int, int]:
        """Inputs, and how many of them were applied, duplicates, refused and are waiting."""
        total = Counts()
        for counts in read_counts(self.committed).values():
            total.add(counts)
        return total.read, total.applied, total.duplicates, total.refused, total.waiting


class RecordedStage(StageInMemory):
    """A stage that shows what its last step committed: `changes`, in their order."""

    def _commit(self) -> None:
        self.changes = list(self.state.table.changes.items())
        super()._commit()


def written(step: Step) -> Any:
    """All that a step has beside changes of the table: outputs in their order, refusals, what it touched."""
    return (
        {place: (output.encoded, output.orders) for place, output in step.outputs.items()},
        [(offset, index, refusal) for offset, index, _, refusal in step.refusals],
        sorted(step.touched),
    )


def emitted(step: Step, name: str) -> list[Any]:
    """What a step has for a topic, as plain mappings."""
    return [
        msgspec.json.decode(encoded)
        for (topic, _), output in step.outputs.items()
        if topic == name
        for encoded in output.encoded
    ]


def run_for_long(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> int:
    """Run a machine for `examples`, other ones each time, as far as the minutes of the soak go; says how many."""
    batch = settings(max_examples=_BATCH, stateful_step_count=steps, derandomize=False)
    end, done = time.monotonic() + 60 * soak_minutes(), 0
    while done < examples and (not done or time.monotonic() < end):
        run_state_machine_as_test(machine, settings=batch)
        done += _BATCH
    return done
