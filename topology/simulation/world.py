"""One simulated run: senders, a network, workers, a disk and a clock, and the seed that decides what happens next.

Owns: the order of everything. The stages, the runners and `step_together` are the real ones.
Assumes: the code under test draws no random numbers and reads no clock.
Guarantees: the same seed gives the same run, byte for byte; `digest` shows it.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

from agents import positions, trade_capture
from agents.open_position import scan_positions
from agents.stage import Stage
from connectors.embedded.commits import whole_commits
from connectors.embedded.errors import CommitError
from domain.book_hash import position_digest
from schemas import events
from schemas.frames import encode_event, encode_frames, wire
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.times import Nanoseconds
from schemas.topics import FILLS
from topology import runtime
from topology.log_reading import table_partition
from topology.simulation.log import Fate, Killed, SimulatedLog
from topology.simulation.workload import ORIGIN, POISON, SECOND, definitions, make_fills

TICKS_MAX = 3
_BATCH_MAX = 5
_ACTIONS_MAX = 400

_ClockTick = wire(events.ClockTick)
_ACTIONS = (
    ("send", 30),
    ("capture", 22),
    ("positions", 22),
    ("sync", 8),
    ("sync one", 4),
    ("fate", 5),
    ("restart", 4),
    ("power cut", 2),
    ("tick", 3),
    ("clock back", 1),
)


class Violation(Exception):
    """A promise was broken; says which."""


@dataclass(slots=True)
class Batch:
    """Fills that a sender sends as one commit until it is acknowledged: once it is durable."""

    number: int
    payloads: list[tuple[int, bytes]]
    sent_at: int | None = None
    acknowledged: bool = False


@dataclass(slots=True)
class World:
    """The state of a run."""

    seed: int
    history: list[str] = field(default_factory=list)
    log: SimulatedLog = field(default_factory=SimulatedLog)
    slots: dict[tuple[str, str], int] = field(default_factory=dict)
    random: Random = field(init=False)
    partitions: int = field(init=False)
    stages: tuple[Stage, ...] = field(init=False)
    batches: list[Batch] = field(init=False)
    runners: dict[str, list[runtime.PartitionRunner]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - it must be foreseeable
        self.partitions = self.random.choice((1, 2, 3))
        self.log.now = ORIGIN
        self.stages = (
            trade_capture.stage(100, TICKS_MAX),
            positions.stage(self.random.choice((2, 8, 2_000_000))),
        )
        self.batches = self._make_batches(make_fills(self.random, self.random.randint(30, 70)))
        transaction = self.log.transaction()
        for topic, definition in definitions():
            transaction.append(topic, 0, None, b"[" + encode_event(definition) + b"]")
        transaction.commit()
        self.log.sync()
        for stage in self.stages:
            self.restart(stage.name)

    def _make_batches(self, fills: list[Any]) -> list[Batch]:
        batches: list[Batch] = []
        while fills:
            size = self.random.randint(1, _BATCH_MAX)
            taken, fills = fills[:size], fills[size:]
            payloads = []
            for fill in taken:
                key = fill.original_trade_id or fill.trade_id
                partition = partition_of_key(key.encode(), self.partitions)
                payloads.append((partition, encode_event(fill)))
            batches.append(Batch(len(batches), payloads))
        return batches

    def note(self, text: str) -> None:
        """Add a line to the history."""
        self.history.append(text)

    @property
    def digest(self) -> str:
        """16 bytes over all that happened and all that is in the log."""
        found = blake2b(digest_size=16)
        for line in self.history:
            found.update(line.encode() + b"\n")
        for place, records in sorted(self.log.records.items()):
            found.update(repr((place, [(r.key, r.value, r.appended_at) for r in records])).encode())
        for place, table in sorted(self.log.tables.items()):
            found.update(repr((place, sorted(table.items()))).encode())
        return found.hexdigest()

    # -- what may happen ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let things happen until every sender is done, then let the system come to rest."""
        names, weights = zip(*_ACTIONS, strict=True)
        for _ in range(_ACTIONS_MAX):
            if all(batch.acknowledged for batch in self.batches):
                break
            self._act(self.random.choices(names, weights)[0])
        self.log.fate = Fate.WRITTEN
        for batch in self.batches:
            if not batch.acknowledged:
                self._send(batch)
        self._sync()
        self.settle()
        if self.random.random() < 0.5:
            for _ in range(TICKS_MAX):
                self._tick()
            self.settle()

    def _act(self, action: str) -> None:
        if action == "send":
            # Not the oldest, always: the network delays, reorders and doubles.
            open_batches = [batch for batch in self.batches if not batch.acknowledged][:4]
            again = self.random.random() < 0.1
            self._send(self.random.choice(self.batches if again else open_batches))
        elif action in ("capture", "positions"):
            stage = self.stages[0 if action == "capture" else 1].name
            self._step(stage, self.random.choice((1, 2, 5, 100)))
        elif action == "sync":
            self._sync()
        elif action == "sync one":
            self.log.sync_one()
            self._acknowledge()
        elif action == "fate":
            self.log.fate = self.random.choice((Fate.FAILS, Fate.KILLED_BEFORE, Fate.KILLED_AFTER))
            self.note(f"the next commit: {self.log.fate}")
        elif action == "restart":
            self.restart(self.random.choice(self.stages).name)
        elif action == "power cut":
            self._power_cut()
        elif action == "tick":
            self._tick()
        else:
            self.log.now -= 3600 * SECOND
            self.note("the clock jumps back an hour")

    def _commit(self, transaction: Any) -> bool:
        try:
            transaction.commit()
        except CommitError:
            self.note("  the commit fails")
        except Killed:
            self.note("  the process is killed in the commit")
            self._restart_all()
        else:
            return True
        return False

    def _send(self, batch: Batch) -> None:
        self.note(f"send batch {batch.number}")
        transaction = self.log.transaction()
        for partition in range(self.partitions):
            encoded = [payload for place, payload in batch.payloads if place == partition]
            if encoded:
                bad = [self.random.choice(POISON)[1:-1]] if self.random.random() < 0.03 else []
                transaction.append(FILLS.name, partition, None, b"[" + b",".join(encoded + bad) + b"]")
        if self.random.random() < 0.02:
            transaction.append(FILLS.name, 0, None, self.random.choice(POISON))
        if self._commit(transaction):
            batch.sent_at = self.log.sequence

    def _acknowledge(self) -> None:
        for batch in self.batches:
            if batch.sent_at is not None and batch.sent_at <= self.log.durable and not batch.acknowledged:
                batch.acknowledged = True
                self.note(f"acknowledged: batch {batch.number}")

    def _sync(self) -> None:
        self.log.sync()
        self._acknowledge()

    def _tick(self) -> None:
        tick = _ClockTick(event_id=f"tick{self.log.sequence}", event_time=Nanoseconds(self.log.now))
        self.note("tick")
        transaction = self.log.transaction()
        for partition in range(self.partitions):
            transaction.append(FILLS.name, partition, None, encode_frames([tick])[0])
        self._commit(transaction)

    def _power_cut(self) -> None:
        self.note(f"power cut: {self.log.power_cut()} commits are lost")
        for batch in self.batches:
            if not batch.acknowledged:
                batch.sent_at = None
        self._restart_all()

    def _restart_all(self) -> None:
        for stage in self.stages:
            self.restart(stage.name)

    # -- workers --------------------------------------------------------------------------------------------------

    def restart(self, name: str) -> None:
        """The worker of a stage begins anew from what is in the log."""
        self.note(f"start {name}")
        stage = next(stage for stage in self.stages if stage.name == name)
        self.runners[name] = [
            runtime.PartitionRunner(stage, partition, self.log, self.partitions, [self._observe])
            for partition in range(self.partitions)
        ]
        if name == positions.NAME:
            self.slots = self.committed_positions()

    def _step(self, name: str, most: int) -> bool:
        """One step of a stage; whether there was anything to do."""
        found: dict[runtime.PartitionRunner, Any] = {}
        ends: dict[runtime.PartitionRunner, int] = {}
        for runner in self.runners[name]:
            topic, partition = runner.stage.input.name, runner.partition
            records = self.log.read(topic, partition, runner.next_offset, most, 1 << 20)
            if records:
                found[runner], ends[runner] = records, self.log.end_offset(topic, partition)
        work = list(whole_commits(found, ends).items())
        if not work:
            return False
        try:
            reports = runtime.step_together(work)
        except CommitError:
            self.note(f"  {name}: the commit fails")
            return True
        except Killed:
            self.note(f"  {name}: killed in the commit")
            self._restart_all()
            return True
        for runner, report in reports:
            self.note(f"{name}/{runner.partition}: {report.events} events, {report.outputs} out")
        for runner in self.runners[name]:
            if runner.stopped is not None:
                raise Violation(f"{name}/{runner.partition} stopped: {runner.stopped}")
        if self.slots != self.committed_positions():
            raise Violation("the slots show other positions than are committed")
        return True

    def _observe(self, runner: runtime.PartitionRunner, report: runtime.StepReport) -> None:
        if runner.stage.name == positions.NAME:
            with exact_arithmetic():
                for (book, instrument), opened in report.touched.items():
                    self.slots[book, instrument] = position_digest(book, instrument, opened.position)

    def settle(self) -> None:
        """Step until nothing is left."""
        for _ in range(10_000):
            busy = [self._step(stage.name, 100) for stage in self.stages]
            if not any(busy):
                return
        raise Violation("the system does not come to rest")

    def committed_positions(self) -> dict[tuple[str, str], int]:
        """The digest of each committed position."""
        with exact_arithmetic():
            return {
                (opened.book, opened.instrument): position_digest(
                    opened.book, opened.instrument, opened.position
                )
                for partition in range(self.partitions)
                for opened in scan_positions(table_partition(self.log, positions.NAME, partition))
            }
