"""Records sent in bulk wait where the client's queue is full, and each that is not acknowledged is told."""

from confluent_kafka import Producer

from connectors.kafka.bulk import BulkSender
from connectors.servers.process import free_ports

QUEUE = 10


def test_more_records_than_the_queue_holds_are_all_accounted_for():
    (nobody,) = free_ports(1)
    told = {"bootstrap.servers": f"127.0.0.1:{nobody}", "queue.buffering.max.messages": QUEUE, "log_level": 0}
    sender = BulkSender(Producer({**told, "message.timeout.ms": 100, "linger.ms": 0}))
    for number in range(3 * QUEUE):
        sender.send("topic", number % 2, b"key", b"value")
    lost, said = sender.settle(10)
    assert lost == 3 * QUEUE
    assert "topic/" in said
    assert sender.settle(1) == (0, "no answer")
