"""Topics that were deleted and made anew under their names, on a real broker: told from those that were read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.errors import ChangelogError
from connectors.kafka.link import Link, parse_url
from schemas.topics import BOOKINGS
from tests.integration.test_kafka_low_latency import CHANGELOG, Owner
from tests.kafka_support import make_topics, remake_topic, running_broker

CONSUMED = 5


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with running_broker(tmp_path / "broker") as running:
        link = parse_url(f"kafka://{running.address}")
        make_topics(link)
        yield link


@pytest.fixture
def booked(link: Link, tmp_path: Path) -> Path:
    """The folder of a worker that has consumed some of its input."""
    owner = Owner(link, tmp_path / "owner")
    owner.take_over()
    owner.book(b"value", CONSUMED)
    owner.close()
    return tmp_path / "owner"


def refused(link: Link, folder: Path, remedy: str) -> None:
    owner = Owner(link, folder)
    with pytest.raises(ChangelogError, match=rf"made anew; .*{remedy}.*topics-made-anew\.md"):
        owner.take_over()
    owner.close()


def test_an_input_made_anew_is_told_also_by_who_knows_it_from_the_changelog_alone(
    link: Link, booked: Path, tmp_path: Path
) -> None:
    remake_topic(link, BOOKINGS.name)
    for folder in (booked, tmp_path / "stranger"):
        refused(link, folder, "begin anew with all topics")


def test_a_changelog_made_anew_is_not_put_on_top_of_a_table_of_the_former_one(
    link: Link, booked: Path, tmp_path: Path
) -> None:
    remake_topic(link, CHANGELOG)
    refused(link, booked, "remove this folder")
    # Who has nothing of the former one begins with it.
    stranger = Owner(link, tmp_path / "stranger")
    assert stranger.take_over() == 0
    assert stranger.value() is None
    stranger.close()


def test_topics_that_are_as_they_were_are_taken_over_again_and_again(link: Link, booked: Path) -> None:
    for step in (1, 2):
        owner = Owner(link, booked)
        assert owner.take_over() == CONSUMED + step - 1
        owner.book(b"value", CONSUMED + step)
        owner.close()
