"""Questions to a cluster, asked again while another broker takes the place of one that was lost.

Guarantees: a question that another broker can answer soon is not given up with the broker that was asked first; one that
nobody answers in time, and any other fault, is a LinkError.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from connectors.kafka.errors import LinkError

_ASK_SECONDS = 5.0
_WAIT_SECONDS = 0.2

_SOON_ANOTHER = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    # A broker that was lost is waited for until the time is up: only who asks anew asks another.
    KafkaError._TIMED_OUT,
}
"""What is said while a topic is new, or a broker has just gone."""

Answer = TypeVar("Answer")


def asked(question: Callable[[float], Answer], about: str, seconds: float) -> Answer:
    """The answer to a question, which is given the seconds that it may wait. Raises LinkError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return question(_ASK_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _SOON_ANOTHER or time.monotonic() > deadline:
                raise LinkError(f"expected {about}, found: {error.args[0].str()}") from error
            time.sleep(_WAIT_SECONDS)
