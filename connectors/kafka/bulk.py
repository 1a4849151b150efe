"""Records sent in bulk: many on their way at once, and what became of them.

Guarantees: what is sent waits only where the client's queue is full, until the brokers have taken some of it; nothing
counts as sent before `settle` says so.
"""

from typing import Any

from confluent_kafka import KafkaError, Message, Producer

_FULL_SECONDS = 0.1
_SHOWN = 3


def put(
    producer: Producer,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    report: Any,
    **options: Any,
) -> None:
    """Hand a record to the client; `report` is called with its error or None, and its message."""
    while True:
        try:
            producer.produce(topic, value, key, partition, on_delivery=report, **options)
            return
        except BufferError:  # its queue is full: wait for the brokers
            producer.poll(_FULL_SECONDS)


class BulkSender:
    """Sends records and counts those that the brokers did not acknowledge; `ends` are the offsets after those that they
    did, by topic and partition."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._failed: list[str] = []
        self.ends: dict[tuple[str, int], int] = {}

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, **options: Any
    ) -> None:
        """Send a record; `options` are those of the client's `produce`."""
        put(self._producer, topic, partition, key, value, self._report, **options)
        self._producer.poll(0.0)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}/{message.partition()}: {error.str()}")
            return
        place = (message.topic(), message.partition())
        self.ends[place] = max(self.ends.get(place, 0), message.offset() + 1)

    def settle(self, seconds: float) -> tuple[int, str]:
        """Wait until the brokers have answered for all that was sent; how many records they did not acknowledge since the
        last time, and what they said of the first."""
        left = int(self._producer.flush(seconds))
        failed, self._failed = self._failed, []
        return left + len(failed), "; ".join(failed[:_SHOWN]) or "no answer"
