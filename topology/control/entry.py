"""The one way into a log: as its owner, through the owner's socket where a worker runs, or over a cluster.

Owns: keys and partitions of what comes in, the `recorded_at` stamp, and the count of what became of it.
Assumes: fills are checked by themselves (the files' readers do that); capture judges the rest.
Guarantees: the caller need not know whether a worker runs; a receipt's counts are what the stages' own counters
say, so that `events = applied + duplicates + rejected + waiting`.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from agents.counters import Counts
from agents.stage import Stage
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from schemas import events, topics
from schemas.frames import encode_frames, wire
from schemas.murmur2 import partition_of_key
from schemas.times import Nanoseconds
from schemas.topics import Topic
from topology.control.protocol import ControlClient, ControlError, Outgoing, Request
from topology.drive import run_until_idle
from topology.runtime import PartitionRunner
from topology.settings import Settings, on_kafka
from topology.stages import build_runners, build_spine, build_stages, create_topics

CHUNK_EVENTS = 4_000
"""Events that are appended together, over all partitions: a step takes them together, so they stay in order."""

_START_SECONDS = 10.0
_ClockTick = wire(events.ClockTick)


@dataclass(slots=True)
class Receipt:
    """What became of what was submitted; `waiting` are corrections whose trade has not come yet, `sources` what the
    fills were counted under."""

    events: int = 0
    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    waiting: int = 0
    sources: frozenset[str] = field(default=frozenset(), repr=False, compare=False)


class Appending(Protocol):
    """Where records enter a log."""

    partitions: int

    def append(self, records: Sequence[Outgoing]) -> int:
        """Append records together; returns the sequence after them, which is durable."""


class Gate(Appending, Protocol):
    """Where records enter a log whose stages can be asked.

    `unordered_max`, where it is set: the stages may take fills of several partitions in any order, so no more than that of one
    position shall be under way at once.
    """

    unordered_max: int | None

    def catch_up(self) -> None:
        """Wait until what is appended is captured: its bookings stand before those of what is appended next."""

    def settle(self) -> None:
        """Wait until the stages have applied all that is appended."""

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """For each source: read, duplicates, refused and waiting, over all stages."""


def counts_of(runners: Iterable[PartitionRunner], sources: Sequence[str]) -> dict[str, list[int]]:
    """What the stages' counters say of sources: read by the first stage; duplicates, refused, waiting by all."""
    found = {source: [0, 0, 0, 0] for source in sources}
    for runner in runners:
        note_counts(found, runner.stage, runner.state.counters.all())
    return found


def note_counts(found: Mapping[str, list[int]], stage: Stage, counted: Mapping[str, Counts]) -> None:
    """Add what one stage counted on one partition to the figures of sources."""
    for source, figures in found.items():
        counts = counted.get(source)
        if counts is None:
            continue
        if stage.input is topics.FILLS:
            figures[0] += counts.read
        figures[1] += counts.duplicates
        figures[2] += counts.refused
        figures[3] += counts.waiting


class OwnedGate:
    """Appends to a log of this process, and runs the stages that keep its books whenever something was appended."""

    unordered_max: int | None = None

    def __init__(self, log: EmbeddedLog, settings: Settings) -> None:
        create_topics(log, build_stages(settings), settings.partitions)
        self.partitions = settings.partitions
        self.log = log
        self.runners = build_runners(build_spine(settings), log, settings.partitions)
        self._settings = settings

    def append(self, records: Sequence[Outgoing]) -> int:
        """Append, and let the stages run."""
        sequence = append_records(self.log, records)
        self.settle()
        return sequence

    def catch_up(self) -> None:
        """An append is applied when it returns."""

    def settle(self) -> None:
        """Let the stages run until nothing waits."""
        run_until_idle(
            self.runners,
            self.log,
            max_events=self._settings.step_events_max,
            max_bytes=max(
                self._settings.step_bytes_max, self._settings.step_backlog_bytes_max // self.partitions
            ),
        )

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """From the stages' counters."""
        return counts_of(self.runners, sources)


class RemoteGate:
    """Appends through the socket of the worker that owns the log."""

    unordered_max: int | None = None

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self.partitions = int(client.ask(Request("status")).document["partitions"])

    def append(self, records: Sequence[Outgoing]) -> int:
        """Ask the owner to append."""
        return self._client.ask(Request("append", records=records)).sequence

    def catch_up(self) -> None:
        """The owner's stages take what is appended together in its order."""

    def settle(self) -> None:
        """Ask the owner to answer when nothing waits."""
        while not self._client.ask(Request("settle")).document:
            pass

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """From the owner's stages."""
        found: Mapping[str, Sequence[int]] = self._client.ask(Request("counts", sources=sources)).document
        return found


def append_records(log: EmbeddedLog, records: Sequence[Outgoing]) -> int:
    """Append records to a log of this process in one transaction; returns the sequence after it."""
    transaction = log.transaction()
    for record in records:
        transaction.append(record.topic, record.partition, record.key, record.value)
    return transaction.commit()


def records_of(
    topic: Topic, found: Sequence[Any], key_of: Callable[[Any], str], partitions: int
) -> list[Outgoing]:
    """Events as records of a topic: in frames by partition, or one a record where the topic compacts by key."""

    def partition_of(key: str) -> int:
        return partition_of_key(key.encode(), partitions) if topic.partitioned else 0

    if topic.compact:
        return [
            Outgoing(topic.name, partition_of(key_of(event)), key_of(event).encode(), frame)
            for event in found
            for frame in encode_frames([event])
        ]
    by_partition: dict[int, list[Any]] = {}
    for event in found:
        by_partition.setdefault(partition_of(key_of(event)), []).append(event)
    return [
        Outgoing(topic.name, partition, None, frame)
        for partition, together in by_partition.items()
        for frame in encode_frames(together)
    ]


@dataclass(slots=True)
class _Sources:
    """The counts of each source before anything of it was submitted here."""

    before: dict[str, Sequence[int]] = field(default_factory=dict)

    def note(self, gate: Gate, chunk: Sequence[Any]) -> None:
        unknown = {fill.source for fill in chunk} - self.before.keys()
        if unknown:
            self.before.update(gate.counts(sorted(unknown)))

    def receipt(self, gate: Gate) -> Receipt:
        receipt = Receipt(sources=frozenset(self.before))
        for source, after in gate.counts(sorted(self.before)).items():
            read, duplicates, refused, waiting = (
                now - then for now, then in zip(after, self.before[source], strict=True)
            )
            receipt.events += read
            receipt.duplicates += duplicates
            receipt.rejected += refused
            receipt.waiting += waiting
        receipt.applied = receipt.events - receipt.duplicates - receipt.rejected - receipt.waiting
        return receipt


_order_of_matching = attrgetter("executed_at", "source_sequence", "trade_id")


class LogInput:
    """Puts events into a log, and waits for nothing but the log."""

    def __init__(self, into: Appending, clock: Callable[[], int] = time.time_ns) -> None:
        self._into = into
        self._clock = clock

    def append_fills(self, chunk: list[Any]) -> int:
        """Put fills (wire twins) into the log as they came together."""
        # Where one file ends and the next begins, time jumps back: without this, each fill behind the jump would be
        # a late one in its book.
        chunk.sort(key=_order_of_matching)
        now = self._clock()
        for fill in chunk:
            if not fill.recorded_at:
                msgspec.structs.force_setattr(fill, "recorded_at", now)
        return self.publish(topics.FILLS, chunk, topics.fill_key)

    def publish(self, topic: Topic, found: Sequence[Any], key_of: Callable[[Any], str]) -> int:
        """Append events to a topic: in frames by partition, or one a record where the topic compacts by key."""
        return self._into.append(records_of(topic, found, key_of, self._into.partitions))


class Entry(LogInput):
    """Submits fills and publishes definitions through a gate."""

    def __init__(self, gate: Gate, *, owned: bool, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(gate, clock)
        self.gate = gate
        self.owned = owned
        self._under_way: Counter[tuple[str | None, str]] = Counter()

    def submit(
        self,
        fills: Iterable[Any],
        *,
        expire_waiting_ticks: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Receipt:
        """Put fills (wire twins) into the log, wait for the stages, and say what became of them.

        `expire_waiting_ticks` clock ticks follow them where this process owns the log, so that a correction
        whose trade is not among them is rejected now rather than later.
        """
        # What a process that was killed had appended, and nobody applied, is not part of this.
        self.gate.settle()
        sources = _Sources()
        remaining = iter(fills)
        while chunk := list(islice(remaining, CHUNK_EVENTS)):
            sources.note(self.gate, chunk)
            self._append_in_order(chunk)
            if on_progress is not None:
                on_progress(len(chunk))
        if self.owned:
            for _ in range(expire_waiting_ticks):
                self.tick(topics.FILLS)
        self.gate.settle()
        return sources.receipt(self.gate)

    def _append_in_order(self, chunk: list[Any]) -> None:
        """Append fills so that what the stages put out of order is no more than the gate bears.

        A fill that is late by many trades of its position costs as much as those together; were all of a large file under
        way at once, most of its fills would be.
        """
        most = self.gate.unordered_max
        if most is None:
            self.append_fills(chunk)
            return
        chunk.sort(key=_order_of_matching)
        start = 0
        for place, fill in enumerate(chunk):
            position = (fill.book, fill.instrument)
            if self._under_way[position] >= most:
                self.append_fills(chunk[start:place])
                self.gate.catch_up()
                self._under_way.clear()
                start = place
            self._under_way[position] += 1
        self.append_fills(chunk[start:])

    def tick(self, topic: Topic) -> None:
        """Append a clock tick to every partition of a clocked topic."""
        now = Nanoseconds(self._clock())
        ticks = [
            _ClockTick(event_id=f"tick.{now}.{partition}", event_time=now)
            for partition in range(topic.partitions(self.gate.partitions))
        ]
        self.gate.append(
            [
                Outgoing(topic.name, number, None, encode_frames([tick])[0])
                for number, tick in enumerate(ticks)
            ]
        )


@contextlib.contextmanager
def open_entry(settings: Settings) -> Iterator[Entry]:
    """Enter the log of `settings.data`: as its owner where nobody owns it, else through the owner's socket; or the
    topics of the cluster that `settings.transport` names.

    Raises OwnedElsewhereError where the owner does not listen (another command is at work there), and
    StateError where the folder is damaged or newer; LinkError and TopicError of a cluster.
    """
    if on_kafka(settings):
        from topology.cluster.entry import ClusterGate

        with contextlib.closing(ClusterGate(settings)) as gate:
            yield Entry(gate, owned=False)
        return
    log = _own(settings)
    if isinstance(log, ControlClient):
        try:
            yield Entry(RemoteGate(log), owned=False)
        finally:
            log.close()
        return
    try:
        yield Entry(OwnedGate(log, settings), owned=True)
    finally:
        log.close()


def _own(settings: Settings) -> EmbeddedLog | ControlClient:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return EmbeddedLog.owner(settings.data, sync=settings.sync)
        except OwnedElsewhereError as owned:
            try:
                return ControlClient(settings.data)
            except ControlError:
                # A worker that is starting listens soon; another command that owns the folder never does.
                if time.monotonic() >= deadline:
                    raise owned from None
                time.sleep(0.05)
