"""One real broker, what runs against it, and which core each has: the worker the last, broker and load the first."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from bench.workload import PARTITIONS
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.topics import TopicPlan, ensure_topics, partition_counts
from schemas.topics import TOPICS, Topic
from topology.settings import Settings
from topology.stages import build_stages

SECONDS_MAX = 300.0


class Rig:
    """A running broker; `fresh` leaves it with empty topics, `run` and `started` give processes to the last core."""

    def __init__(self, broker: LocalBroker, folder: Path) -> None:
        self.broker = broker
        self.link: Link = parse_url(f"kafka://{broker.address}")
        self._folder = folder
        self._made = 0

    def fresh(self) -> None:
        """Topics with nothing in them, and groups that have consumed nothing."""
        found = [name for name in partition_counts(self.link) if not name.startswith("__")]
        client = AdminClient(self.link.common())  # kept: what it was asked ends with it
        for future in client.delete_topics(found, operation_timeout=30).values() if found else ():
            future.result(30)
        plans = [TopicPlan(topic.name, topic.partitions(PARTITIONS)) for topic in TOPICS]
        stages = build_stages(Settings(data=self._folder))
        ensure_topics(self.link, [*plans, *(TopicPlan(stage.changelog, PARTITIONS) for stage in stages)])

    def append(self, topic: Topic, records: Sequence[tuple[int, bytes]]) -> None:
        """Append records, and wait until the broker has them."""
        producer = Producer(self.link.producer(linger_ms=5))
        for partition, frame in records:
            producer.produce(topic.name, frame, partition=partition)
            producer.poll(0)
        if left := producer.flush(SECONDS_MAX):
            raise RuntimeError(f"expected the broker to take the load, found {left} records not acknowledged")

    def folder(self) -> str:
        """A folder that nobody had before."""
        self._made += 1
        made = self._folder / str(self._made)
        made.mkdir()
        return str(made)

    @contextmanager
    def started(self, module: str, *arguments: str, pinned: bool = True) -> Iterator[subprocess.Popen[str]]:
        """A module as a process; it has ended afterwards."""
        command = [sys.executable, "-m", module, self.broker.address, *arguments]
        with on_core(-1) if pinned else on_every_core():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()

    def cpu_seconds(self) -> float:
        """What the broker has used of the processor."""
        process = self.broker.process
        # After the name, which is in brackets and may hold anything; user and system time are fields 14 and 15.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next line that a process prints, as a JSON document."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(
            f"expected {process.args!r} to say what it measured, found that it ended with {process.wait()}"
        )
    document: dict[str, Any] = json.loads(line)
    return document


@contextmanager
def on_core(place: int) -> Iterator[None]:
    """This thread, and what it starts, on the first core (0) or the last (-1), where the system lets it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(_EVERY)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def on_every_core() -> Iterator[None]:
    """This thread, and what it starts, wherever the system puts it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _EVERY)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_EVERY = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}


@contextmanager
def rig() -> Iterator[Rig]:
    """A broker with the virtual machine's own defaults, on the first core with whoever loads it.

    Raises ServerUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as name, on_core(0):
        folder = Path(name)
        with LocalBroker(folder / "broker", java_options=("-Xmx1g",)) as broker:
            yield Rig(broker, folder)
