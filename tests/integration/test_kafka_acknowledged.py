"""What brokers acknowledge is there, also of records that are sent while their topic is still being made."""

from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka.link import parse_url
from tests.kafka_support import running_broker

TOPICS, PARTITIONS, RECORDS = 10, 100, 3


def test_nothing_acknowledged_is_missing_in_topics_that_are_just_made(tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as broker:
        link = parse_url(f"kafka://{broker.address}")
        administration, reader = AdminClient(link.common()), Consumer(link.consumer("ends"))
        acknowledged: Counter[tuple[str, int]] = Counter()

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                acknowledged[message.topic(), message.partition()] += 1

        for number in range(TOPICS):
            name = f"made-{number}"
            (made,) = administration.create_topics([NewTopic(name, PARTITIONS, 1)]).values()
            made.result(30)
            producer = Producer(link.producer())
            for _ in range(RECORDS):
                for partition in range(PARTITIONS):
                    producer.produce(name, b"record", partition=partition, on_delivery=delivered)
                # So that each goes in a request of its own.
                producer.poll(0.001)
            assert producer.flush(60) == 0
            for partition in range(PARTITIONS):
                place = TopicPartition(name, partition)
                assert reader.get_watermark_offsets(place, 30)[1] == acknowledged[name, partition] == RECORDS
        reader.close()
