"""How long a fill takes from its record on the cluster to the `PositionUpdated` that a consumer reads.

Records are sent by a fixed schedule; latency counts from the moment that the schedule says, so that a stall shows in
every fill that it delayed. The consumer reads what is committed. Both are one process, beside the broker, and sleep between
two ticks unless something comes: what they use of the broker's core would be measured with it. Their own connections are
made before the clock starts, by fills that are not counted.
"""

import gc
import time
from collections.abc import Sequence

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.kafka_rig import Rig
from bench.latency import quantile
from bench.workload import PARTITIONS, WORKLOADS, make_bookings, make_fills
from connectors.kafka.batches import next_batch
from connectors.kafka.changelog import watermarks
from schemas.frames import encode_frames
from schemas.murmur2 import partition_of_key
from schemas.topics import BOOKINGS, FILLS, POSITIONS, Topic

TICK_SECONDS = 0.001
_AFTER_SECONDS = 30.0
_FIRST_RATE, _FIRST_SECONDS = 200, 0.5
_RECORDS = 1_000


class _Traded(msgspec.Struct):
    trade_id: str


_trades_of = msgspec.json.Decoder(list[_Traded]).decode


class Schedule:
    """What is sent when: seconds from the start, partition and frame; the fills of a tick that share a partition are
    one record. `name` sets its trades apart from those of others."""

    def __init__(self, topic: Topic, rate: int, seconds: float, name: str) -> None:
        self._name = name
        made = {fill.trade_id: fill for fill in make_fills(WORKLOADS["W"], int(rate * seconds * 1.02) + 100)}
        fills = [
            msgspec.structs.replace(fill, trade_id=f"{name}-{trade}", event_id=f"{name}-{trade}")
            for trade, fill in made.items()
        ]
        events = fills if topic is FILLS else make_bookings(fills)
        self.topic = topic
        self.due: dict[str, float] = {}
        self.records: list[tuple[float, int, bytes]] = []
        a_tick = max(1, round(rate * TICK_SECONDS))
        for start in range(0, int(rate * seconds), a_tick):
            due = start / rate
            parts: dict[int, list[object]] = {}
            for event in events[start : start + a_tick]:
                self.due[event.trade_id] = due
                key = event.trade_id if topic is FILLS else event.book
                parts.setdefault(partition_of_key(key.encode(), PARTITIONS), []).append(event)
            self.records += [
                (due, partition, frame) for partition, part in parts.items() for frame in encode_frames(part)
            ]

    def first(self) -> "Schedule":
        """A hundred fills that may be sent before it."""
        return Schedule(self.topic, _FIRST_RATE, _FIRST_SECONDS, f"{self._name}-first")


def measure(rig: Rig, schedule: Schedule) -> list[float]:
    """Latency of each fill, in milliseconds; raises RuntimeError where fills are missing."""
    producer = Producer(rig.link.producer())
    consumer = Consumer(rig.link.consumer("watch", fetch_wait_max_ms=500))
    places = [TopicPartition(POSITIONS.name, partition) for partition in range(PARTITIONS)]
    for place in places:
        place.offset = watermarks(consumer, place)[1]
    consumer.assign(places)
    consumer.poll(0.5)
    _run(schedule.first(), producer, consumer, {})
    found: dict[str, float] = {}
    gc.collect()
    gc.disable()
    try:
        _run(schedule, producer, consumer, found)
    finally:
        gc.enable()
        consumer.close()
    return [(found[trade] - due) * 1e3 for trade, due in schedule.due.items()]


def _run(schedule: Schedule, producer: Producer, consumer: Consumer, found: dict[str, float]) -> None:
    remaining = iter(schedule.records)
    coming = next(remaining, None)
    started = time.perf_counter()
    deadline = started + schedule.records[-1][0] + _AFTER_SECONDS
    while len(found) < len(schedule.due):
        now = time.perf_counter() - started
        while coming is not None and coming[0] <= now:
            producer.produce(schedule.topic.name, coming[2], partition=coming[1])
            coming = next(remaining, None)
        producer.poll(0)
        wait = TICK_SECONDS if coming is None else coming[0] + started - time.perf_counter()
        for message in next_batch(consumer, _RECORDS, max(wait, 0.0)):
            if message.error() is None:
                at = time.perf_counter() - started
                for event in _trades_of(message.value()):
                    found.setdefault(event.trade_id, at)
        if started + now > deadline:
            raise RuntimeError(f"expected {len(schedule.due)} fills to come through, found {len(found)}")


def p50_p99(latencies: Sequence[float]) -> tuple[float, float]:
    """Both in milliseconds."""
    return quantile(latencies, 0.5), quantile(latencies, 0.99)


__all__ = ["BOOKINGS", "FILLS", "Schedule", "measure", "p50_p99"]
