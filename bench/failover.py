"""How long a lost worker's partitions are not served, with a standby and without; and how fast a table is restored.

A broker of this machine, two hosts with a worker each, and as many positions as fills are asked for (1,000,000:
`python -m bench failover --fills 1000000`). One host is lost at once (SIGKILL of all that runs on it). Probes, a fill
for each of its partitions every 50 ms, are sent from then on; a partition is served again when the update that a probe
makes is there for a reader of committed records. What the cluster waits before it gives the partitions to another (the
session, a setting) is not counted.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.error import URLError

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from agents import positions
from bench.host import Host
from bench.row import Row
from bench.workload import PARTITIONS, frames_of
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from schemas import events
from schemas.frames import wire
from schemas.murmur2 import partition_of_key
from schemas.times import Nanoseconds
from schemas.topics import FILLS, POSITIONS
from schemas.units import Side
from topology.settings import Settings
from topology.stages import build_stages

SESSION_SECONDS = 6
_BOOKS = 200
_PORTION = 20_000
_PROBE_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_SECONDS_MAX = 1_800.0
_START = 1_767_571_200_000_000_000
_FillEvent = wire(events.FillEvent)


def _fill(number: int, trade_id: str, book: str, instrument: str) -> Any:
    at = Nanoseconds(_START + number * 1_000)
    return _FillEvent(
        event_id=f"e{trade_id}",
        trade_id=trade_id,
        book=book,
        instrument=instrument,
        side=Side.BUY,
        quantity=Decimal("1.5"),
        price=Decimal("100.25"),
        executed_at=at,
        recorded_at=at,
        source_sequence=number,
        source="bench",
    )


def _load(link: Link, number: int) -> None:
    """A fill for each of `number` positions."""
    producer = Producer(link.producer(linger_ms=5))
    fills = (_fill(n, f"t{n}", f"BOOK{n % _BOOKS}", f"INST{n // _BOOKS}") for n in range(number))
    while portion := list(islice(fills, _PORTION)):
        for partition, frame in frames_of(FILLS, portion):
            producer.produce(FILLS.name, frame, partition=partition)
        producer.flush()


class _Updates:
    """The committed updates of positions from now on."""

    def __init__(self, link: Link) -> None:
        self._client = Consumer(link.consumer("bench-failover", enable_partition_eof=True))
        self._client.assign(
            [TopicPartition(POSITIONS.name, number, OFFSET_END) for number in range(PARTITIONS)]
        )
        self.poll()

    def poll(self) -> list[tuple[int, Any]]:
        """Partition and update of what came."""
        return [
            (message.partition(), event)
            for message in self._client.consume(1_000, 0.01)
            if message.error() is None
            for event in POSITIONS.codec.decode(message.value())
        ]

    def close(self) -> None:
        """Let the consumer go."""
        self._client.close()


def _applied(hosts: list[Host]) -> int:
    """Bookings that the positions stage of all hosts has applied."""
    total = 0.0
    for host in hosts:
        for line in host.text("/metrics").splitlines():
            if line.startswith("pks_events_total") and 'positions"' in line and 'applied"' in line:
                total += float(line.split()[-1])
    return int(total)


def _until(number: int, hosts: list[Host]) -> None:
    deadline = time.monotonic() + _SECONDS_MAX
    found = 0
    while found < number:
        # A worker that did not run for its session, on a machine without time for it, is away for a moment.
        with contextlib.suppress(URLError, TimeoutError):
            found = _applied(hosts)
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"expected {number} bookings to be applied, found {found} after {_SECONDS_MAX:.0f} s"
            )
        time.sleep(_LOOK_SECONDS)


def _probes(partitions: set[int]) -> Iterator[list[Any]]:
    """A fill for each partition, in capture and in positions, again and again."""
    books = {partition_of_key(f"BOOK{n}".encode(), PARTITIONS): f"BOOK{n}" for n in range(_BOOKS)}
    numbers = count()
    while True:
        probes: dict[int, Any] = {}
        while probes.keys() != partitions:
            number = next(numbers)
            name = f"probe{number}"
            partition = partition_of_key(name.encode(), PARTITIONS)
            if partition in partitions:
                probes.setdefault(partition, _fill(number, name, books[partition], "PROBE"))
        yield list(probes.values())


def _lose(link: Link, lost: Host, partitions: set[int]) -> float:
    """Lose a host; seconds until all its partitions are served again, without the session."""
    producer, updates, probes = Producer(link.producer()), _Updates(link), _probes(partitions)
    lost_at = time.monotonic()
    lost.lose()
    served: set[int] = set()
    next_probe = lost_at
    while served != partitions:
        if time.monotonic() - lost_at > _SECONDS_MAX:
            raise TimeoutError(f"expected partitions {partitions} to be served again, found {served}")
        if time.monotonic() >= next_probe:
            next_probe += _PROBE_SECONDS
            for partition, frame in frames_of(FILLS, next(probes)):
                producer.produce(FILLS.name, frame, partition=partition)
            producer.poll(0)
        served |= {partition for partition, event in updates.poll() if event.instrument == "PROBE"}
    seconds = time.monotonic() - lost_at - SESSION_SECONDS
    producer.flush()
    updates.close()
    return seconds


def _measure(folder: Path, standby: int, number: int) -> tuple[Row, Row | None]:
    with LocalBroker(folder / "broker", java_options=("-Xmx1g", "-XX:+UseSerialGC")) as broker:
        url = f"kafka://{broker.address}"
        link = parse_url(url)
        hosts = [
            Host(name, folder / name, url, session_seconds=SESSION_SECONDS, standby=standby)
            for name in ("a", "b")
        ]
        try:
            for host in hosts:
                host.start()
            _load(link, number)
            _until(number, hosts)
            owners = hosts[0].owners()
            partitions = {partition for partition, (worker, _) in owners.items() if worker == hosts[1].worker}
            seconds = _lose(link, hosts[1], partitions)
            taken = sum(records or 0 for p, (_, records) in hosts[0].owners().items() if p in partitions)
            with_or_without = "with a standby" if standby else "without"
            served = Row(
                name=f"lost worker to partitions served again, {with_or_without}, {number:,} positions",
                value=seconds,
                unit="s",
                higher_is_better=False,
                note=f"after the session of {SESSION_SECONDS} s; {taken:,} changelog records were taken over with",
            )
        finally:
            for host in hosts:
                if host.running:
                    host.lose()
        return served, None if standby else _restore(link, folder / "restored")


def _restore(link: Link, folder: Path) -> Row:
    """A positions table from its changelog alone."""
    stage = next(stage for stage in build_stages(Settings(data=folder)) if stage.name == positions.NAME)
    with EmbeddedLog.owner(folder, sync="os") as state:
        reader = ChangelogReader(
            link, group="bench-restore", topic=stage.changelog, table=stage.table.name, state=state
        )
        began, processor = time.perf_counter(), time.process_time()
        records = sum(reader.catch_up(partition) for partition in range(PARTITIONS))
        wall, processor = time.perf_counter() - began, time.process_time() - processor
        reader.close()
        entries = sum(
            1 for partition in range(PARTITIONS) for _ in state.scan(stage.table.name, partition, b"\x01")
        )
    return Row(
        name="restoring a positions table from its changelog",
        value=entries / wall,
        unit="entries/s",
        cpu_us=processor / entries * 1e6,
        note=f"{entries:,} table entries of {records:,} changelog records in {wall:.1f} s",
    )


def run(number: int) -> list[Row]:
    """Seconds without service, and table entries restored a second, at `number` positions."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        cold, restored = _measure(Path(folder) / "cold", 0, number)
        warm, _ = _measure(Path(folder) / "warm", 1, number)
    warm.reference, warm.reference_name = cold.value, "without"
    rows = [warm, cold]
    return rows if restored is None else [*rows, restored]
