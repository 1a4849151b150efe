"""What a cluster of several brokers loses with one of them is said, with what to set."""

import pytest

from connectors.kafka.link import Link
from connectors.kafka.topics import Found
from topology.cluster.places import topic_plans
from topology.cluster.safety import too_few_copies
from topology.settings import Settings
from topology.stages import build_stages

NAMES = [plan.name for plan in topic_plans(build_stages(Settings()), Settings().partitions)]


def said(brokers: int, copies: int, replicas: int, in_sync: int, names: list[str] = NAMES) -> str:
    settings = Settings(replicas=replicas, in_sync_replicas_min=in_sync)
    found = Found("C", brokers, dict.fromkeys(names, 1), dict.fromkeys(names, copies))
    return too_few_copies(settings, Link("broker:9092"), found)


@pytest.mark.parametrize(
    ("brokers", "copies", "replicas", "in_sync"),
    [(1, 1, 1, 1), (2, 2, 2, 1), (3, 3, 3, 2), (5, 3, 3, 2), (5, 5, 5, 3)],
)
def test_enough_copies_are_passed_over(brokers: int, copies: int, replicas: int, in_sync: int) -> None:
    assert said(brokers, copies, replicas, in_sync) == ""


@pytest.mark.parametrize(
    ("brokers", "copies", "replicas", "in_sync", "wanted"),
    [
        (2, 1, 1, 1, (2, 1)),
        (3, 1, 1, 1, (3, 2)),
        (3, 2, 3, 2, (3, 2)),
        (3, 3, 1, 1, (3, 2)),
        (3, 3, 3, 1, (3, 2)),
    ],
)
def test_what_to_set_is_said(
    brokers: int, copies: int, replicas: int, in_sync: int, wanted: tuple[int, int]
) -> None:
    text = said(brokers, copies, replicas, in_sync)
    assert f"set replicas = {wanted[0]} and in_sync_replicas_min = {wanted[1]}" in text
    assert ("those that are there" in text) is (copies < wanted[0])


def test_topics_that_are_not_made_yet_have_the_copies_of_the_settings() -> None:
    assert said(3, 3, 3, 2, names=[]) == ""
    assert "replicas 1" in said(3, 3, 1, 1, names=[])


def test_topics_of_others_are_none_of_ours() -> None:
    assert said(3, 1, 3, 2, names=["somebody.else.v1"]) == ""
