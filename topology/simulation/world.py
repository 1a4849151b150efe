"""One simulated run: senders, a network, a worker, a disk and a clock, in the order that a plan gives.

Owns: the order of everything. The stages, the runners and `step_together`, the entry and the owner's answers, and
the writer of shared memory are the real ones.
Assumes: the code under test draws no random numbers and reads no clock for what it puts into the log.
Guarantees: the same plan gives the same run, byte for byte; `digest` shows it.
"""

from collections.abc import Callable
from copy import copy
from hashlib import blake2b

from connectors.embedded.errors import CommitError, ResourceError
from connectors.shm.writer import remove
from schemas import events
from schemas.frames import encode_event, encode_frames, wire
from schemas.times import Nanoseconds
from schemas.topics import FILLS
from topology.control.entry import Entry
from topology.simulation.books import CommittedBooks, SlotsReader, shared_memory_name
from topology.simulation.log import Fate, Killed, SimulatedLog
from topology.simulation.oracle import Oracle
from topology.simulation.plan import STUMBLES, Action, Plan
from topology.simulation.senders import REFUSED, Senders, WaitingGate
from topology.simulation.violation import Violation
from topology.simulation.worker import TICKS_MAX, Handlers, PlannedDefect, Reports, Worker
from topology.simulation.workload import ORIGIN, SECOND, definitions

_STEPS_MAX = 10_000
_HOUR = 3600 * SECOND
_JUMPS = {"an hour back": -_HOUR, "an hour on": _HOUR, "a day on": 24 * _HOUR}
_ClockTick = wire(events.ClockTick)


class World:
    """The state of a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history: list[str] = []
        self.log = SimulatedLog()
        self.log.now = ORIGIN
        self.senders = Senders(plan)
        self.handlers = Handlers(plan)
        self.oracle = Oracle(self.log, self.handlers.stages, plan.partitions, self.senders)
        self._books = CommittedBooks(self.log, plan.partitions)
        self._slots: SlotsReader | None = None
        self._slots_behind = False
        *known, self._late = definitions()
        self._publish(known)
        self.log.sync()
        self._name = shared_memory_name()
        remove(self._name)
        self._start()

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
        found.update(repr(self.log.tables()).encode())
        found.update(repr(sorted(self.log.offsets.items())).encode())
        return found.hexdigest()

    def close(self) -> None:
        """Leave no shared memory behind."""
        self.worker.end()
        remove(self._name)

    # -- what happens ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything in the plan; then every sender sends until it is acknowledged, and the system comes to rest.

        Raises Violation where a promise is broken.
        """
        for number, action in self.plan.actions:
            self.note(f"{number}: {action}")
            self.act(action)
        self.log.fate = Fate.WRITTEN
        self.note("the end: what is not acknowledged is sent again")
        self._reopen()
        self._define()
        self.senders.lose()
        for batch in self.senders.batches:
            if not batch.done:
                self.senders.send(batch.number, self.log.now)
        self._arrive(len(self.senders.batches))
        self._sync()
        self.quiet()
        left = [batch.number for batch in self.senders.batches if not batch.done]
        if left:
            raise Violation("liveness", f"batches {left} are never acknowledged")
        if self.plan.expires:
            for _ in range(TICKS_MAX):
                self._tick()
            self.quiet()

    def act(self, action: Action) -> None:
        """One action of the plan."""
        try:
            self._doing(action)()
        except (CommitError, ResourceError) as error:
            self._failed(error)
        except Killed:
            self.note("  the process ends here")
            self._die()

    def _failed(self, error: Exception) -> None:
        self.note("  the commit fails" if isinstance(error, CommitError) else "  the log cannot be read")
        self._look()

    def _doing(self, action: Action) -> Callable[[], object]:
        name, target, number, count = action.name, action.target, action.number, action.count
        return {
            "send": lambda: self.senders.send(number, self.log.now),
            "arrive": lambda: self._arrive(number, backwards=bool(target)),
            "submit": lambda: self._submit(number, TICKS_MAX if count else 0),
            "step": lambda: self._step(target, number, count),
            "slice": lambda: self._slices(number),
            "sync": self._sync,
            "sync one": lambda: self._sync(one=True),
            "fate": lambda: setattr(self.log, "fate", Fate(target)),
            "reopen": self._reopen,
            "restart": lambda: self.worker.open_partitions(target),
            "kill": self._die,
            "lose": self.senders.lose,
            "power cut": self._power_cut,
            "tick": self._tick,
            "clock": lambda: setattr(self.log, "now", self.log.now + _JUMPS[target]),
            "define": self._define,
            "stumble": lambda: self.handlers.stumble(target, STUMBLES[number], count),
            "no files": lambda: setattr(self.worker, "read_fault", [number, count]),
            "beat": self._beat,
            "quiet": self.quiet,
        }[name]

    def _arrive(self, most: int, *, backwards: bool = False) -> None:
        committed = self.senders.arrive(self.worker, most, backwards=backwards)
        if committed:
            self.note(f"  committed: batches {committed}")

    def _submit(self, number: int, expire: int) -> None:
        batch = self.senders.batches[number]
        if not batch.fills:
            return
        if self.worker.stopped():
            self._die()
        gate = WaitingGate(self, self.oracle, self.plan.partitions)
        entry = Entry(gate, owned=True, clock=lambda: self.log.now)
        try:
            receipt = entry.submit([copy(fill) for fill in batch.fills], expire_waiting_ticks=expire)
        except REFUSED as error:
            self.note(f"  submit fails: {error}")
            return
        batch.acknowledged = batch.acknowledged or not batch.poison
        self.note(f"  {receipt}")
        if gate.differing:
            raise Violation("counts while submitting", gate.differing)
        if not self.worker.stopped() and receipt != gate.expected():
            raise Violation("receipt", f"expected {gate.expected()}, found {receipt}")

    def _sync(self, *, one: bool = False) -> None:
        if self.log.failed is None:
            if one:
                self.log.sync_one()
            else:
                self.log.sync()
        for number in self.senders.acknowledge(self.log):
            self.note(f"  acknowledged: batch {number}")

    def _publish(self, found: list[tuple[str, object]]) -> None:
        transaction = self.log.transaction()
        for topic, definition in found:
            transaction.append(topic, 0, None, b"[" + encode_event(definition) + b"]")
        transaction.commit()

    def _define(self) -> None:
        # Fills that are in the log by now meet it undefined.
        self._settle()
        self._publish([self._late])

    def _tick(self) -> None:
        tick = _ClockTick(event_id=f"tick{self.log.sequence}", event_time=Nanoseconds(self.log.now))
        transaction = self.log.transaction()
        for partition in range(self.plan.partitions):
            transaction.append(FILLS.name, partition, None, encode_frames([tick])[0])
        transaction.commit()

    # -- the worker -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """A process begins from what is in the log."""
        self.worker = Worker(self.plan, self.log, self.handlers.stages, self._name)
        self._slots_behind = False
        if self._slots is None:
            self._slots = SlotsReader(self._name)
        self._look(live=True)

    def _die(self) -> None:
        """The process is killed, and started again."""
        self.worker.end()
        self.senders.lose()
        if self.log.reopen():
            self.note("  the commit that failed is found")
        self._start()

    def _power_cut(self) -> None:
        self.note(f"  {self.log.power_cut()} commits are lost")
        self.worker.end()
        remove(self._name)
        self._slots = None
        self.senders.lose()
        self.log.reopen()
        self._start()

    def _reopen(self) -> None:
        """What the worker does as soon as there is room on the disk."""
        if self.log.failed is not None and self.log.reopen():
            self.note("  the commit that failed is found")
            # Until the next heartbeat.
            self._slots_behind = True

    def _step(self, name: str, most: int, again: int = 0) -> bool:
        """One step of a stage; whether it had anything to do."""
        return self._took(lambda: self.worker.step(name, most, again))

    def _slices(self, number: int) -> bool:
        """So many slices of what the positions have left over; whether they had any."""
        done = False
        for _ in range(number):
            done = self._took(self.worker.slice) or done
        return done

    def _took(self, act: Callable[[], Reports | None]) -> bool:
        try:
            reports = act()
        except (MemoryError, PlannedDefect):
            # A defect that comes when the search for the event to blame is over ends the process.
            raise Killed from None
        if reports is None:
            return False
        for runner, report in reports:
            self.note(
                f"  {runner.stage.name}/{runner.partition}: {report.events} events, {report.outputs} out"
            )
        for runner in self.worker.stopped():
            if runner.stopped != "a planned one":
                raise Violation("stopped", f"{runner.stage.name}/{runner.partition}: {runner.stopped}")
        self._look()
        return True

    def _look(self, *, live: bool = False) -> None:
        """Slots show what is committed; where a heartbeat has just been, only what runs is live."""
        if self._slots is None or self._slots_behind:
            return
        committed = self._books.positions()
        found = self._slots.difference(committed, self.worker.silent(), live=live)
        if found:
            raise Violation("slots", found)

    def _beat(self) -> None:
        self.worker.beat()
        self._slots_behind = False
        self._look(live=True)

    # -- rest -----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Step until no partition that runs has anything left. Raises Killed where the process ends meanwhile."""
        for _ in range(_STEPS_MAX):
            self._reopen()
            try:
                busy = [self._step(stage.name, 100) for stage in self.handlers.stages]
                busy.append(self._slices(1))
            except (CommitError, ResourceError) as error:
                self._failed(error)
                continue
            if not any(busy):
                return
        raise Violation("liveness", "the system does not come to rest")

    def _settle(self) -> None:
        """At rest, and every partition at work."""
        while True:
            try:
                self.rest()
            except Killed:
                self.note("  the process ends here")
            else:
                if not self.worker.stopped():
                    return
                self._beat()
                self.note("  partitions have stopped; the process is started again")
            self._die()

    def quiet(self) -> None:
        """Come to rest, and hold everything against every promise."""
        self._settle()
        self._beat()
        surplus = "" if self._slots is None else self._slots.surplus(self._books.positions())
        if surplus:
            raise Violation("slots", surplus)
        self.oracle.check()
