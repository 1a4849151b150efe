"""The empty loop: what comes in on bookings goes out on positions, and nothing else: `BROKER`, a process of its own.

Nothing that reads from a broker and writes to it can be faster than this. It ends on SIGTERM.
"""

import contextlib
import json
import signal
import sys

from confluent_kafka import Consumer, Producer

from connectors.kafka.link import parse_url
from schemas.topics import BOOKINGS, POSITIONS

_RECORDS = 1_000


def main(address: str) -> None:
    """Pass records on until SIGTERM."""
    link = parse_url(f"kafka://{address}")
    consumer, producer = Consumer(link.consumer("loop")), Producer(link.producer())
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    consumer.subscribe([BOOKINGS.name], on_assign=lambda *_: print(json.dumps({"ready": True}), flush=True))
    while not stopped:
        first = consumer.poll(0.1)
        for message in [] if first is None else [first, *consumer.consume(_RECORDS, 0.0)]:
            if message.error() is None:
                producer.produce(POSITIONS.name, message.value(), partition=message.partition())
        producer.poll(0)
    producer.flush(10)
    consumer.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1])
