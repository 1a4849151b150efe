"""One consumer group of which one member at a time has its turn, and the group's offsets of whatever it reads.

The group subscribes to a topic of one partition: who is given that has its turn, the others stand by. What the member
reads, it reads by itself (`connectors.kafka.follower`); its offsets it commits as a member, so that the cluster refuses
those of one that has lost its turn.

Guarantees: a member of a name that it had before has its turn again at once; offsets are committed by nobody else.
"""

import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.errors import FencedError, LinkError
from connectors.kafka.link import Link

Place = tuple[str, int]
_ANSWER_SECONDS = 10.0
_WRITE_SECONDS_MAX = 3_600
"""How long a member may be at work before it hears the cluster again; one whose process stands still is told by its
session."""
_LOST = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._FENCED,
    KafkaError._STATE,
}


class Turn:
    """A member, to whom topics have their names of the registry; `mine` says whether it has its turn, as far as it has heard. One thread at a time."""

    def __init__(self, link: Link, group: str, topic: str, membership: Mapping[str, Any]) -> None:
        self.mine = False
        self._group = group
        self._link = link
        told = {"max_poll_interval_ms": _WRITE_SECONDS_MAX * 1_000, **membership}
        self._client = Consumer(link.consumer(group, **told))
        self._client.subscribe([topic], on_assign=self._given, on_revoke=self._taken, on_lost=self._taken)

    def _given(self, client: Consumer, places: list[TopicPartition]) -> None:
        self.mine = bool(places)
        # Nothing is fetched by the member.
        client.assign([])

    def _taken(self, client: Consumer, places: list[TopicPartition]) -> None:
        self.mine = False

    def listen(self, seconds: float) -> bool:
        """Hear what the cluster says, up to `seconds`; whether this member has its turn. Raises LinkError."""
        message = self._client.poll(seconds)
        error = None if message is None else message.error()
        if error is not None and (error.fatal() or error.code() == KafkaError._FATAL):
            self.mine = False
            raise LinkError(f"expected to be a member of {self._group}, found: {error.str()}")
        return self.mine

    def offsets(self, places: Collection[Place]) -> dict[Place, int]:
        """Where the group goes on, of those places where it has been. Raises LinkError."""
        names = {self._link.topic(topic): topic for topic, _ in places}
        asked = [TopicPartition(self._link.topic(topic), partition) for topic, partition in places]
        try:
            found = self._client.committed(asked, _ANSWER_SECONDS)
        except KafkaException as error:
            raise LinkError(f"expected the offsets of {self._group}, found: {error.args[0].str()}") from error
        return {(names[place.topic], place.partition): place.offset for place in found if place.offset >= 0}

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Note where the group goes on. Raises FencedError where another member has the turn, LinkError."""
        if not offsets:
            return
        wanted = [
            TopicPartition(self._link.topic(topic), partition, offset)
            for (topic, partition), offset in offsets.items()
        ]
        try:
            noted = self._client.commit(offsets=wanted, asynchronous=False)
            failed = next((place.error for place in noted or () if place.error is not None), None)
            if failed is not None:
                raise KafkaException(failed)
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() in _LOST:
                self.mine = False
                raise FencedError(
                    f"expected to have the turn in {self._group}, found that another process has it: {cause.str()}"
                ) from error
            raise LinkError(f"expected to commit offsets of {self._group}, found: {cause.str()}") from error

    def close(self) -> None:
        """Leave; a member that has a name keeps its turn until its session ends."""
        with contextlib.suppress(KafkaException, RuntimeError):
            self._client.close()
