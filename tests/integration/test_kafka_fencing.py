"""Two that both think they own a partition cannot both write: the one that lost it is refused, in each of the two ways."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from connectors.kafka.errors import FencedError
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.fencing import fence_writers, writer_headers
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.reader import TopicReader
from schemas.topics import BOOKINGS, POSITIONS
from tests.kafka_support import make_topics, running_broker, stages
from tests.support import eventually

CHANGELOG = stages()[1].changelog
OF_POSITIONS = {"group": "positions", "input_topic": BOOKINGS.name}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def link(broker: LocalBroker) -> Link:
    link = parse_url(f"kafka://{broker.address}")
    make_topics(link)
    return link


class Committed:
    """What a reader of committed records sees of a topic partition."""

    def __init__(self, link: Link) -> None:
        self._reader = TopicReader(link, "seen")

    def values(self, topic: str, partition: int) -> list[bytes | None]:
        low, high = self._reader.bounds(topic, partition)
        return [record.value for record in self._reader.read(topic, partition, low, high + 1, 1 << 30)]


def test_who_holds_a_transaction_open_at_a_takeover_is_fenced_and_leaves_nothing(link: Link) -> None:
    zombie = Producer(link.producer(transactional_id="zombie", transaction_timeout_ms=60_000))
    zombie.init_transactions(30)
    zombie.begin_transaction()
    zombie.produce(CHANGELOG, b"lost", b"key", 0, headers=writer_headers("zombie"))
    zombie.produce(POSITIONS.name, b"lost", None, 0)
    assert zombie.flush(30) == 0

    # What another one commits behind it is not shown before the zombie's transaction has ended.
    owner = ExactlyOnce(
        link,
        input_topic=BOOKINGS.name,
        changelog=CHANGELOG,
        transactional_id="owner",
        group_metadata=lambda: None,
    )
    owner.start()
    assert fence_writers(link, CHANGELOG, [0, 1, 2, 3], **OF_POSITIONS) == ["zombie"]
    owner.write([(CHANGELOG, 0, b"key", b"kept"), (POSITIONS.name, 0, None, b"kept")], {})

    with pytest.raises(KafkaException, match="fenced"):
        zombie.commit_transaction(30)
    seen = Committed(link)
    assert seen.values(CHANGELOG, 0) == seen.values(POSITIONS.name, 0) == [b"kept"]


def test_who_hands_a_partition_over_in_order_is_not_fenced(link: Link) -> None:
    writers = []
    for name in ("before", "after"):
        writers.append(
            ExactlyOnce(
                link,
                input_topic=BOOKINGS.name,
                changelog=CHANGELOG,
                transactional_id=name,
                group_metadata=lambda: None,
            )
        )
        writers[-1].start()
    for number, writer in enumerate(writers * 3):
        assert fence_writers(link, CHANGELOG, [1], **OF_POSITIONS) == []
        writer.write([(CHANGELOG, 1, b"key", str(number).encode())], {})
    assert Committed(link).values(CHANGELOG, 1) == [str(number).encode() for number in range(6)]


def test_who_lost_its_membership_and_was_not_fenced_is_refused_all_the_same(link: Link) -> None:
    # It stands still for longer than a member may, and the group gives its partitions to another.
    patience = {"session_timeout_ms": 1_000, "heartbeat_interval_ms": 200, "max_poll_interval_ms": 1_500}
    first, second = Consumer(link.consumer("stood", **patience)), Consumer(link.consumer("stood", **patience))
    first.subscribe([BOOKINGS.name])
    eventually(lambda: first.poll(0.1) is None and first.assignment(), 30)
    membership = first.consumer_group_metadata()
    writer = ExactlyOnce(
        link,
        input_topic=BOOKINGS.name,
        changelog=CHANGELOG,
        transactional_id="stood",
        group_metadata=lambda: membership,
    )
    writer.start()
    writer.write([(CHANGELOG, 2, b"key", b"mine")], {2: 1})

    second.subscribe([BOOKINGS.name])
    eventually(lambda: second.poll(0.1) is None and len(second.assignment()) == 4, 30)
    with pytest.raises(FencedError, match="another worker has taken over"):
        writer.write([(CHANGELOG, 2, b"key", b"stale")], {2: 2})
    assert Committed(link).values(CHANGELOG, 2) == [b"mine"]
    for client in (first, second):
        client.close()
