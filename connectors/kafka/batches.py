"""What has arrived at a consumer, at once."""

from typing import Any

from confluent_kafka import Consumer


def next_batch(consumer: Consumer, records_max: int, seconds: float) -> list[Any]:
    """Wait for the next record or error up to `seconds`, and take what is there with it.

    `consume` alone waits its whole time unless as many have come as it may take.
    """
    first = consumer.poll(seconds)
    return [] if first is None else [first, *consumer.consume(records_max - 1, 0.0)]
