"""What a commit costs on a cluster, by the way it is made: `BROKER`, a process of its own.

A step here has one output of 20 kB for each of four partitions and as much in the changelog. The ways: a transaction;
outputs and then changelog records of an idempotent librdkafka producer; the same on aiokafka, whose changelog record is
an atomic batch (`send_batch`). It prints milliseconds and processor milliseconds of a commit, the median of its rounds.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from bench.workload import PARTITIONS
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.link import Link, parse_url
from connectors.kafka.low_latency import LowLatency
from connectors.kafka.topics import TopicPlan, ensure_topics
from connectors.kafka.writer import OutgoingRecord, StepWriter
from schemas.topics import BOOKINGS, POSITIONS

WAYS = ("exactly_once", "low_latency", "aiokafka")
ROUNDS = 5
STEPS = 40
_BYTES = 20_000


def _changelog(way: str) -> str:
    return f"bench-{way}-changelog"


def _records(way: str) -> list[OutgoingRecord]:
    # Hexadecimal digits of chance compress about as events do.
    value = random.Random(1).randbytes(_BYTES // 2).hex().encode()
    return [
        (topic, partition, b"\x00step", value)
        for topic in (POSITIONS.name, _changelog(way))
        for partition in range(PARTITIONS)
    ]


def _writer(way: str, writer: StepWriter) -> Callable[[], None]:
    writer.start()
    for partition, offset in writer.take_over(range(PARTITIONS)).items():
        writer.caught_up(partition, offset)
    records = _records(way)

    def commit() -> None:
        writer.write(records, {})

    return commit


def _transactions(link: Link) -> StepWriter:
    return ExactlyOnce(
        link,
        input_topic=BOOKINGS.name,
        changelog=_changelog("exactly_once"),
        transactional_id="bench-commit",
        group_metadata=lambda: None,
    )


def _changelog_decides(link: Link) -> StepWriter:
    return LowLatency(
        link,
        changelog=_changelog("low_latency"),
        note_consumed=lambda consumed: None,
        read_on=lambda partition, offset: None,
    )


async def _aiokafka_step(producer: AIOKafkaProducer, records: list[OutgoingRecord]) -> None:
    outputs = [
        await producer.send(topic, value, partition=partition)
        for topic, partition, _, value in records
        if topic == POSITIONS.name
    ]
    await asyncio.gather(*outputs)
    sent = []
    for topic, partition, key, value in records:
        if topic != POSITIONS.name:
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
            batch.close()
            sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)


def _aiokafka(address: str, runner: asyncio.Runner) -> Callable[[], None]:
    async def started() -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=address, enable_idempotence=True, compression_type=None, max_batch_size=1 << 20
        )
        await producer.start()
        return producer

    producer, records = runner.run(started()), _records("aiokafka")
    return lambda: runner.run(_aiokafka_step(producer, records))


def main(address: str) -> None:
    """Measure the ways in turn, and print each one's median."""
    link = parse_url(f"kafka://{address}")
    ensure_topics(link, [TopicPlan(_changelog(way), PARTITIONS) for way in WAYS])
    with asyncio.Runner() as runner:
        ways = {
            "exactly_once": _writer("exactly_once", _transactions(link)),
            "low_latency": _writer("low_latency", _changelog_decides(link)),
            "aiokafka": _aiokafka(address, runner),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for commit in ways.values():
            commit()
        for _ in range(ROUNDS):
            for name, commit in ways.items():
                began = time.perf_counter(), time.process_time()
                for _ in range(STEPS):
                    commit()
                found[name].append(
                    ((time.perf_counter() - began[0]) / STEPS, (time.process_time() - began[1]) / STEPS)
                )
        told = {
            name: {
                "wall": statistics.median(wall for wall, _ in each) * 1e3,
                "processor": statistics.median(processor for _, processor in each) * 1e3,
            }
            for name, each in found.items()
        }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
