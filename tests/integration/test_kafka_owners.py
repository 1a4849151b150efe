"""Owners topic, range assignment and warm tables on a real broker, without the stages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.owners import OWNERS_TOPIC, OwnersTopic
from connectors.kafka.placement import assigned_to
from connectors.kafka.standby import StandbyTables
from connectors.kafka.topics import TopicPlan, ensure_topics
from tests.kafka_support import running_broker
from tests.support import eventually

PARTITIONS = 8


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def link(broker: LocalBroker) -> Link:
    return parse_url(f"kafka://{broker.address}")


class Members:
    """Static members of one group, each as librdkafka assigns to it."""

    def __init__(self, link: Link, topic: str) -> None:
        self._link, self._topic = link, topic
        self._clients: dict[str, Consumer] = {}

    def join(self, name: str) -> None:
        told = {"session_timeout_ms": 1_000, "heartbeat_interval_ms": 200}
        client = Consumer(self._link.consumer("placed", group_instance_id=name, **told))
        client.subscribe([self._topic])
        self._clients[name] = client

    def vanish(self, name: str) -> None:
        """A static member says nothing when it goes; its session ends."""
        self._clients.pop(name).close()

    def assigned(self) -> dict[str, list[int]]:
        for client in self._clients.values():
            client.poll(0.01)
        return {
            name: sorted(place.partition for place in client.assignment())
            for name, client in self._clients.items()
        }

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def test_the_cluster_assigns_as_placement_says(link: Link) -> None:
    ensure_topics(link, [TopicPlan("placed", PARTITIONS)])
    members = Members(link, "placed")
    try:
        names: list[str] = []
        for name in ("host-2", "host-10", "host-1"):
            members.join(name)
            names.append(name)
            expected = {each: list(assigned_to(each, names, PARTITIONS)) for each in names}
            eventually(lambda expected=expected: members.assigned() == expected, 30)
        members.vanish("host-10")
        names.remove("host-10")
        expected = {each: list(assigned_to(each, names, PARTITIONS)) for each in names}
        eventually(lambda: members.assigned() == expected, 30)
    finally:
        members.close()


def owner_of(view: OwnersTopic, partition: int) -> str | None:
    found = view.owner("positions", partition)
    return None if found is None else found.lease.worker


def test_workers_follow_what_the_others_own(link: Link) -> None:
    one = OwnersTopic(link, "one", web="http://one:1", shared_memory="/pks", host="host-a")
    two = OwnersTopic(link, "two", host="host-b")
    one.start()
    two.start()
    try:
        one.announce("positions", {0: 0, 1: 4})
        two.announce_standby("positions", [0, 1])
        eventually(lambda: owner_of(two, 1) == "one")
        eventually(lambda: [lease.worker for lease in one.standbys("positions", 0)] == ["two"])
        found = two.owner("positions", 1)
        assert found is not None
        assert (found.lease.web, found.lease.shared_memory, found.lease.host) == (
            "http://one:1",
            "/pks",
            "host-a",
        )
        assert found.caught_up == 4
        two.announce("positions", {1: 2})
        one.announce("positions", {0: 0})
        eventually(lambda: (owner_of(one, 0), owner_of(one, 1)) == ("one", "two"))
        taken = one.owner("positions", 1)
        assert taken is not None
        assert taken.epoch > found.epoch
        # Somebody who comes later knows the claims at once, and who lives when it has heard of them.
        late = OwnersTopic(link, None)
        late.start()
        assert late.last_owner("positions", 1) == "two"
        eventually(lambda: owner_of(late, 1) == "two")
        eventually(lambda: [lease.worker for lease in late.workers()] == ["one", "two"])
        late.close()
        assert one.silent_seconds < 10
        two.close(["positions"])
        eventually(lambda: owner_of(one, 1) is None and len(one.workers()) == 1)
    finally:
        one.close(["positions"])


def test_two_of_one_name_hear_each_other_and_a_later_life_is_no_rival(link: Link) -> None:
    lives = [OwnersTopic(link, "same") for _ in range(3)]
    lives[0].start()
    lives[0].close()
    lives[1].start()
    try:
        eventually(lambda: lives[1].workers() and lives[1].silent_seconds < 1)
        assert lives[1].rival is None
        lives[2].start()
        for life in lives[1:]:
            eventually(lambda life=life: life.rival is not None)
    finally:
        for life in lives[1:]:
            life.close()


def test_a_record_of_another_form_does_not_blind_the_view(link: Link) -> None:
    one = OwnersTopic(link, "one")
    one.start()
    try:
        producer = Producer(link.producer())
        producer.produce(OWNERS_TOPIC, b"{", b"owner/positions/x", 0)
        producer.produce(OWNERS_TOPIC, b"?", b"?", 0)
        producer.flush()
        one.announce("positions", {3: 0})
        eventually(lambda: owner_of(one, 3) == "one")
    finally:
        one.close(["positions"])


def test_a_warm_table_lacks_only_what_came_since(link: Link, tmp_path: Path) -> None:
    ensure_topics(link, [TopicPlan("warm-changelog", 2)])
    producer = Producer(link.producer())

    def write(partition: int, numbers: range) -> None:
        for number in numbers:
            producer.produce("warm-changelog", b"v%d" % number, b"k%d" % (number % 50), partition)
        producer.flush()

    write(0, range(1_000))
    write(1, range(1_000))
    state = EmbeddedLog.owner(tmp_path, sync="os")
    options = {"group": "warm", "topic": "warm-changelog", "table": "warm", "state": state}
    standby = StandbyTables(link, **options)
    owner = ChangelogReader(link, **options)
    try:
        standby.keep([0])
        eventually(lambda: owner.restored(0) == 1_000)
        assert (owner.restored(1), state.get("warm", 0, b"k7")) == (0, b"v957")
        write(0, range(1_000, 1_200))
        eventually(lambda: owner.restored(0) == 1_200)
        eventually(lambda: standby.lag() == {0: 0})
        assert standby.records == 1_200
        standby.keep([1])
        write(0, range(1_200, 1_210))
        # Taken over: what it lacks is what came since, and nobody else writes it.
        assert owner.catch_up(0) == 10
        assert state.get("warm", 0, b"k9") == b"v1209"
        eventually(lambda: owner.restored(1) == 1_000)
        assert standby.records == 2_200
    finally:
        standby.close()
        owner.close()
        state.close()


def test_a_changelog_that_was_made_anew_ends_the_standby(link: Link, tmp_path: Path) -> None:
    ensure_topics(link, [TopicPlan("anew-changelog", 1)])
    state = EmbeddedLog.owner(tmp_path, sync="os")
    options = {"group": "anew", "topic": "anew-changelog", "table": "anew", "state": state}
    # A table that holds records which the changelog does not have any more.
    transaction = state.transaction()
    transaction.put("anew", 0, b"\x00changelog", (9_999).to_bytes(8, "big"))
    transaction.commit()
    standby = StandbyTables(link, **options)
    try:
        standby.keep([0])
        eventually(lambda: standby.kept == frozenset())
        assert standby.records == 0
    finally:
        standby.close()
        state.close()
