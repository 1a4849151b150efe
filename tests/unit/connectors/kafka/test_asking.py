"""Which questions to a cluster are asked again, and for how long."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka.asking import asked
from connectors.kafka.errors import LinkError


def failing(*codes: int):
    """A question that fails so, and then has an answer."""
    left = list(codes)

    def question(_: float) -> str:
        if left:
            raise KafkaException(KafkaError(left.pop(0)))
        return "answer"

    return question


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError.NOT_COORDINATOR, KafkaError._TRANSPORT])
def test_what_another_broker_may_answer_is_asked_again(code: int):
    assert asked(failing(code, code), "an answer", 60.0) == "answer"


def test_what_nobody_answers_in_time_is_an_error():
    with pytest.raises(LinkError, match="expected the end of t/0, found"):
        asked(failing(*[KafkaError._TIMED_OUT] * 100), "the end of t/0", 0.0)


def test_another_fault_is_told_at_once():
    with pytest.raises(LinkError, match="expected the end of t/0"):
        asked(failing(KafkaError.TOPIC_AUTHORIZATION_FAILED), "the end of t/0", 60.0)
