"""The stages behind the books on a real Kafka broker: each update goes where it must, once, whoever is killed."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from agents import mark_routing, position_routing
from bench.workload import WORKLOADS, frames_of, make_fills
from connectors.kafka.link import Link, parse_url
from schemas import market_data, topics
from schemas.frames import encode_frames, wire
from schemas.murmur2 import partition_of_key
from schemas.topics import FILLS, POSITIONS, Topic
from schemas.units import MarkQuality
from tests.kafka_support import (
    PARTITIONS,
    PATIENCE,
    events_of,
    make_topics,
    produce_fills,
    produce_records,
    raw_events,
    running_broker,
    start_worker,
)
from tests.support import eventually

FILL_COUNT = 2_000
STAGES = {"PKS_STAGES": "all", "ONLY_STAGES": f"{position_routing.NAME},{mark_routing.NAME}"}


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield parse_url(f"kafka://{broker.address}")


def by_partition(link: Link, topic: Topic) -> dict[int, list[bytes]]:
    """The committed events of a topic by partition, in their order."""
    count = topic.partitions(PARTITIONS)
    client = Consumer(link.consumer("stages", enable_partition_eof=True))
    client.assign([TopicPartition(topic.name, partition, 0) for partition in range(count)])
    found: dict[int, list[bytes]] = {partition: [] for partition in range(count)}
    ended = 0
    while ended < count:
        for message in client.consume(1_000, 0.2):
            if message.error() is not None:
                ended += 1
            else:
                found[message.partition()] += raw_events(message.value())
    client.close()
    return found


def test_what_hangs_on_the_books_gets_every_update_once_in_the_order_of_its_book(
    link: Link, tmp_path: Path
) -> None:
    make_topics(link)
    rate = wire(market_data.Mark)(
        event_id="m", instrument="EURUSD", event_time=1, quality=MarkQuality.LIVE, price=Decimal("1.085"),
        instrument_class="FX", source="test",
    )  # fmt: skip
    workers = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        workers[name] = start_worker(link, tmp_path / name, name, **STAGES)
    try:
        fills = make_fills(WORKLOADS["W"], FILL_COUNT)
        frames, trades = frames_of(FILLS, fills), len({fill.trade_id for fill in fills})
        half = len(frames) // 2
        produce_fills(link, frames[:half])
        eventually(lambda: any(by_partition(link, topics.LEDGER_INPUT).values()), PATIENCE)
        workers["one"].kill()
        workers["one"].wait()
        produce_fills(link, frames[half:])
        produce_records(link, topics.MARKS, [(0, frame) for frame in encode_frames([rate])])
        workers["one"] = start_worker(link, tmp_path / "one", "one", **STAGES)
        for topic in (topics.LEDGER_INPUT, topics.VALUATION_INPUT):
            eventually(lambda topic=topic: len(events_of(link, topic)) >= trades, PATIENCE)
        eventually(lambda: by_partition(link, topics.FX_RATES)[0], PATIENCE)
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.wait(60)
    updates = by_partition(link, POSITIONS)
    sent = sorted(event for events in updates.values() for event in events)
    assert len(sent) == trades
    posted, valued = by_partition(link, topics.LEDGER_INPUT), by_partition(link, topics.VALUATION_INPUT)
    assert sorted(event for events in posted.values() for event in events) == sent
    # The trades name no entity, which is one too.
    assert posted[partition_of_key(b"", PARTITIONS)]
    assert sum(map(bool, posted.values())) == 1
    marks = [event for events in valued.values() for event in events if b'"type":"Mark"' in event]
    assert len(marks) == 1
    assert sorted(event for events in valued.values() for event in events if event not in marks) == sent
    for partition, events in valued.items():
        for event in events:
            found = msgspec.json.decode(event)
            assert partition_of_key(found["instrument"].encode(), PARTITIONS) == partition
    assert revisions(posted) == revisions(valued) == revisions(updates)


def revisions(found: dict[int, list[bytes]]) -> dict[tuple[str, str], list[int]]:
    """The revisions of each position, in the order in which they stand."""
    order: dict[tuple[str, str], list[int]] = defaultdict(list)
    for events in found.values():
        for event in map(msgspec.json.decode, events):
            if event["type"] == "PositionUpdated":
                order[event["book"], event["instrument"]].append(event["revision"])
    return dict(order)
