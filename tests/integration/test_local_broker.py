"""The broker that tests and measurements run on is a real one, and keeps what it holds when it is killed."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.kafka.local_broker import LocalBroker
from connectors.servers.process import ServerUnavailable
from tests.kafka_support import running_broker


async def _write(address: str, values: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await producer.start()
    for value in values:
        await producer.send_and_wait("kept", value)
    await producer.stop()


async def _read(address: str, number: int) -> list[bytes]:
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    found = [(await consumer.getone()).value for _ in range(number)]
    await consumer.stop()
    return found


@pytest.mark.soak
def test_a_killed_broker_starts_again_with_what_was_acknowledged(tmp_path: Path) -> None:
    values = [f"value {number}".encode() for number in range(10)]
    with running_broker(tmp_path / "broker") as broker:
        asyncio.run(_write(broker.address, values))
        broker.kill()
        broker.start()
        assert asyncio.run(_read(broker.address, len(values))) == values


def test_a_machine_without_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match="Java 17 or newer"):
        LocalBroker(tmp_path / "broker").start()
