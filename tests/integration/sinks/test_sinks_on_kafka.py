"""Sinks and sources over a real broker: the same rows as over a data folder, each once, whatever is killed."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.servers.nats import LocalNats
from schemas import topics
from schemas.protobuf import encode_message
from tests.integration.test_up_on_kafka import Installation, metric, write_fills
from tests.kafka_support import PARTITIONS, make_topics, running_broker
from tests.nats_support import connected, count, running_nats
from tests.postgres_support import fetch, value
from tests.support import eventually, fill
from topology.sinks.cluster_feed import ClusterFeed

WAIT_SECONDS = 120.0
FILLS = 6_000
TRADES = "select count(*) from trade.trade"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[LocalNats]:
    with running_nats(tmp_path / "nats") as running:
        yield running


def soon(predicate: Any) -> Any:
    return eventually(predicate, timeout=WAIT_SECONDS)


def status(cluster: Installation, name: str) -> dict[str, Any]:
    file = cluster.folder / "data" / "sinks" / f"{name}.json"
    return json.loads(file.read_bytes()) if file.exists() else {}


def process_of(cluster: Installation, name: str, but: int = 0) -> int:
    """The process of a sink that has written, other than `but`; 0 while there is none."""
    found = status(cluster, name)
    process = int(found.get("process", 0))
    return process if process != but and found.get("state") == "running" else 0


def published(server: LocalNats, stream: str) -> int:
    async def ask() -> int:
        async with connected(server) as client:
            return await count(client, stream)

    return asyncio.run(ask())


def group_lag(broker: LocalBroker, sink: str, topic: str) -> int:
    """What the group of a sink has still to read, as any tool of Kafka sees it."""
    consumer = Consumer(parse_url(f"kafka://{broker.address}").consumer(f"pks-sink-{sink}"))
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        committed = {place.partition: max(place.offset, 0) for place in consumer.committed(places, 10)}
        return sum(
            consumer.get_watermark_offsets(place, 10)[1] - committed[place.partition] for place in places
        )
    finally:
        consumer.close()


def imported(cluster: Installation, files: list[str]) -> Any:
    done = cluster.run("import", *files, "--format", "canonical", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.mark.soak
def test_same_rows_none_twice_after_kills_of_sinks_and_a_restart_of_the_broker(
    tmp_path: Path, broker: LocalBroker, postgres: str, nats_server: LocalNats
):
    cluster = Installation(
        tmp_path / "cluster",
        f"kafka://{broker.address}",
        PKS_POSTGRES=postgres,
        PKS_NATS=nats_server.url,
        PKS_SINK_EVENTS_MAX="200",
        PKS_STUCK_SECONDS="10",
    )
    files = [str(write_fills(tmp_path / f"fills-{part}.csv", FILLS // 2, f"{part}-")) for part in range(2)]
    sinks = ("postgres-trades", "postgres-positions", "nats")
    with cluster.up("--workers", "1") as (_, addresses):
        assert cluster.ask("import", files[0], "--format", "canonical")["fills"] == FILLS // 2
        soon(lambda: value(postgres, TRADES) > 0)
        before = {sink: soon(lambda name=sink: process_of(cluster, name)) for sink in sinks}
        for process in before.values():
            os.kill(process, signal.SIGKILL)
        after = {sink: soon(lambda name=sink: process_of(cluster, name, but=before[name])) for sink in sinks}
        # They stand still for longer than their turn lasts: to them it is as if they had been taken for dead.
        for process in after.values():
            os.kill(process, signal.SIGSTOP)
        assert cluster.ask("import", files[1], "--format", "canonical")["fills"] == FILLS // 2
        broker.kill()
        broker.start()
        assert value(postgres, TRADES) < FILLS, "the sinks are in the middle of it"
        for process in after.values():
            os.kill(process, signal.SIGCONT)
        soon(lambda: value(postgres, TRADES) == FILLS)
        shown = cluster.ask("positions")["positions"]
        quantities = sorted((row["book"], row["instrument"], row["quantity"]) for row in shown)
        for query in ("position.position", "position.at()"):
            asked = f"select book, instrument, quantity::text from {query} order by 1, 2"
            soon(lambda asked=asked: [tuple(row) for row in fetch(postgres, asked)] == quantities)
        effects = "select count(*) from position.effect where known_to_ns = 9223372036854775807"
        assert value(postgres, effects) == FILLS
        soon(lambda: published(nats_server, "BOOKINGS") == FILLS)
        soon(lambda: published(nats_server, "POSITIONS") == FILLS)
        for sink in sinks:
            soon(lambda name=sink: metric(addresses["workers"][0]["web"], "pks_sink_lag_records") == 0)
        soon(lambda: group_lag(broker, "postgres-trades", topics.BOOKINGS.name) == 0)
        # Imported again, nothing changes. (A worker that the broker's end has made hang is started again meanwhile.)
        again = soon(lambda: imported(cluster, files))
        assert (again["fills"], again["duplicates"]) == (0, FILLS)
        assert (value(postgres, TRADES), published(nats_server, "BOOKINGS")) == (FILLS, FILLS)


def test_what_a_source_receives_is_in_the_cluster_before_it_is_acknowledged(
    tmp_path: Path, broker: LocalBroker, nats_server: LocalNats
):
    cluster = Installation(
        tmp_path / "source", f"kafka://{broker.address}", PKS_NATS=nats_server.url, PKS_WORKER_NAME="source"
    )

    async def send(*payloads: bytes) -> None:
        async with connected(nats_server) as client:
            for payload in payloads:
                await client.jetstream().publish("pd.canonical", payload)

    async def unacknowledged() -> int:
        async with connected(nats_server) as client:
            info = await client.jetstream().consumer_info("FILLS", "pks_capture")
            return info.num_pending + info.num_ack_pending

    with cluster.up():
        soon(lambda: status(cluster, "nats-source").get("state") == "running")
        fills = [encode_message(fill(f"from-nats-{number}", 1, 10, book="NATS")) for number in range(20)]
        asyncio.run(send(*fills, b"no message"))
        soon(lambda: status(cluster, "nats-source").get("written") == 21)
        soon(lambda: asyncio.run(unacknowledged()) == 0)
        soon(
            lambda: (
                [row["quantity"] for row in cluster.ask("positions")["positions"] if row["book"] == "NATS"]
                == ["20"]
            )
        )
        letters = cluster.ask("dlq", "list")["dead_letters"]
        assert [letter["stage"] for letter in letters] == ["source nats-source"]


def feed_of(link: Link, name: str, sink: str = "example") -> ClusterFeed:
    told = {"group_instance_id": name, "session_timeout_ms": 1_500, "heartbeat_interval_ms": 300}
    return ClusterFeed(link, [topics.REJECTIONS.name], sink=sink, events_max=100, membership=told)


def test_one_process_at_a_time_has_a_sink_and_another_takes_over(broker: LocalBroker):
    link = parse_url(f"kafka://{broker.address}")
    make_topics(link)
    first, second = feed_of(link, "one"), feed_of(link, "two")

    async def run() -> None:
        await first.claim()
        places = {(topics.REJECTIONS.name, 0): 0}
        waiting = asyncio.ensure_future(second.claim())
        started = time.monotonic()
        while time.monotonic() - started < 1.0:
            first.look()
            await asyncio.sleep(0.05)
        assert first.mine and not waiting.done()
        # It is gone without a word: its turn ends with its session.
        first.close()
        await asyncio.wait_for(waiting, WAIT_SECONDS)
        assert second.mine
        await second.begin({})
        assert second.behind() == (0, 0)
        named = {(f"{topic}@{second.generation}", at): offset for (topic, at), offset in places.items()}
        await second.keep("example", named, decides=True)
        assert await second.kept("example") == named

    try:
        asyncio.run(run())
    finally:
        second.close()


def test_a_feed_ends_while_it_waits_for_records(broker: LocalBroker):
    """A consumer that is closed while a thread polls it never answers: the process of the sink would not end."""
    link = parse_url(f"kafka://{broker.address}")
    make_topics(link)

    async def run() -> None:
        feed = feed_of(link, "ends", sink="ending")
        await feed.claim()
        await feed.begin({(topics.REJECTIONS.name, 0): 0})
        waiting = asyncio.ensure_future(feed.next())
        # It reads in its thread by now, again and again.
        await asyncio.sleep(0.3)
        waiting.cancel()
        feed.close()

    # Its end waits for the threads.
    ended = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    ended.start()
    ended.join(WAIT_SECONDS)
    assert not ended.is_alive()
