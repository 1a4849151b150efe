"""Senders and the network between them and the worker: what is on its way, what was acknowledged, what is sent again.

A sender sends ahead and over again (`Senders`), or hands a whole batch to `Entry.submit` and waits (`WaitingGate`).
Either way the requests are those of `topology.control.entry` and the answers those of `topology.control.owner`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from connectors.embedded.errors import CommitError
from schemas.topics import FILLS, fill_key
from topology.control.entry import Receipt, counts_of, records_of
from topology.control.protocol import ControlError, Outgoing, Request
from topology.simulation.log import SimulatedLog
from topology.simulation.plan import Plan
from topology.simulation.worker import Worker


@dataclass(slots=True)
class Batch:
    """Fills that a sender sends together until it is told that they are durable."""

    number: int
    fills: list[Any]
    poison: list[bytes]
    sequence: int | None = None
    acknowledged: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to be sent."""
        return self.acknowledged or not (self.fills or self.poison)


class Senders:
    """All batches of a run, and the requests on their way."""

    def __init__(self, plan: Plan) -> None:
        self.partitions = plan.partitions
        self.batches = [
            Batch(
                number,
                [plan.fills[place] for place in places],
                [plan.poison[place] for place in places if place in plan.poison],
            )
            for number, places in enumerate(plan.batches)
        ]
        self._on_the_way: list[tuple[Batch, Request]] = []

    def send(self, number: int, now: int) -> None:
        """Let a request for a batch set out."""
        batch = self.batches[number]
        self._on_the_way.append((batch, Request("append", records=self._records(batch, now))))

    def _records(self, batch: Batch, now: int) -> list[Outgoing]:
        fills = [msgspec.structs.replace(fill, recorded_at=now) for fill in batch.fills]
        records = records_of(FILLS, fills, fill_key, self.partitions) if fills else []
        for poison in batch.poison:
            if poison[:1] == b"[" and poison[-1:] == b"]" and records:
                first = records[0]
                value = first.value[:-1] + b"," + poison[1:]
                records[0] = Outgoing(first.topic, first.partition, None, value)
            else:
                records.append(Outgoing(FILLS.name, 0, None, poison))
        return records

    def arrive(self, worker: Worker, most: int, *, backwards: bool) -> list[int]:
        """Up to so many requests arrive together; the numbers of the batches that are committed by it."""
        arriving, self._on_the_way = self._on_the_way[:most], self._on_the_way[most:]
        if backwards:
            arriving.reverse()
        if not arriving:
            return []
        replies = worker.answers.append([request for _, request in arriving])
        committed = []
        for (batch, _), reply in zip(arriving, replies, strict=True):
            if not reply.error:
                batch.sequence = reply.sequence
                committed.append(batch.number)
        return committed

    def lose(self) -> int:
        """The connections break: what is on its way is lost, and who waits for an answer never gets one."""
        lost, self._on_the_way = len(self._on_the_way), []
        for batch in self.batches:
            if not batch.acknowledged:
                batch.sequence = None
        return lost

    def acknowledge(self, log: SimulatedLog) -> list[int]:
        """Answer what is durable by now; the numbers of those batches."""
        found = []
        for batch in self.batches:
            durable = batch.sequence is not None and batch.sequence <= log.durable_sequence
            if durable and not batch.acknowledged:
                batch.acknowledged = True
                found.append(batch.number)
        return found


class Counting(Protocol):
    """Says what the counts of sources should be."""

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """For each source: read, duplicates, refused and waiting."""


class Resting(Protocol):
    """Brings a worker to rest."""

    worker: Worker
    log: SimulatedLog

    def rest(self) -> None:
        """Step until nothing waits. Raises Killed where the process ends meanwhile."""


@dataclass(slots=True)
class WaitingGate:
    """Fulfils `topology.control.entry.Gate`: the owner's answers, each waited for.

    `differing` says where counts were not what the model of capture wants; `first` and `last` are the model's counts
    when the first and the last were asked for.
    """

    world: Resting
    model: Counting
    partitions: int
    unordered_max: int | None = None
    differing: str = ""
    first: dict[str, Sequence[int]] = field(default_factory=dict)
    last: dict[str, Sequence[int]] = field(default_factory=dict)

    def append(self, records: Sequence[Outgoing]) -> int:
        """Append and wait for the disk. Raises ControlError where the owner could not."""
        (reply,) = self.world.worker.answers.append([Request("append", records=records)])
        if reply.error:
            raise ControlError(reply.error)
        self.world.log.sync()
        return reply.sequence

    def catch_up(self) -> None:
        """The owner's stages take what is appended together in its order."""

    def settle(self) -> None:
        """Let the stages apply what is appended."""
        self.world.rest()

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """What the stages have counted."""
        worker = self.world.worker
        found = counts_of(worker.runners(), sources)
        self.last = {source: list(counts) for source, counts in self.model.counts(sources).items()}
        for source, counts in self.last.items():
            self.first.setdefault(source, counts)
        if found != self.last and not worker.stopped():
            self.differing = f"expected counts {self.last}, found {found}"
        return found

    def expected(self) -> Receipt:
        """What the receipt should say."""
        read, duplicates, refused, waiting = (
            sum(counts[place] - self.first[source][place] for source, counts in self.last.items())
            for place in range(4)
        )
        return Receipt(read, read - duplicates - refused - waiting, duplicates, refused, waiting)


REFUSED = (ControlError, CommitError)
"""What a sender meets whose batch was not, or not certainly, taken."""
