"""The registry of topics."""

import pytest

from schemas import events, topics
from schemas.topics import TOPICS, escape_token


def test_names_are_unique():
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert {topic.name: topic for topic in TOPICS} == topics.TOPIC_BY_NAME


def test_every_dead_letter_topic_is_a_topic_of_dead_letters():
    named = {topic.dead_letters for topic in TOPICS if topic.dead_letters is not None}
    assert named == {"pd.dlq.canonical", "backoffice.dlq.booking", "bo.dlq.stage"}
    for name in named:
        assert events.DeadLetter in topics.TOPIC_BY_NAME[name].event_classes
        domain, marker, entity = name.split(".")
        assert marker == "dlq" and domain and entity


@pytest.mark.parametrize(
    "subject",
    [
        "backoffice.booking.v1.TradeBooked",
        "backoffice.booking.v1.LifecycleEventApplied",
        "backoffice.booking.v1.TradeRejected",
        "pd.canonical",
    ],
)
def test_subjects_are_those_of_the_taxonomy(subject: str):
    assert [topic.name for topic in TOPICS if subject in topic.subjects] != []


def test_position_updates_are_qualified_by_book():
    assert topics.POSITIONS.subjects == ("bo.position.updated.v1.{book}",)


@pytest.mark.parametrize("partitions", [1, 2, 4, 64])
def test_topics_of_the_books_path_are_partitioned_alike(partitions: int):
    path = (topics.FILLS, topics.BOOKINGS, topics.REJECTIONS, topics.POSITIONS)
    assert {topic.partitions(partitions) for topic in path} == {partitions}
    assert topics.BOOKS.partitions(partitions) == 1


def test_what_the_books_are_made_of_is_kept_for_ever():
    for topic in (topics.FILLS, topics.BOOKINGS, topics.INSTRUMENTS, topics.BOOKS, topics.ROUTING_RULES):
        assert topic.retention_seconds is None
    assert topics.POSITIONS.retention_seconds is not None


def test_only_topics_that_may_compact_do():
    assert {topic.name for topic in TOPICS if topic.compact} == {
        "ref.instrument.v1",
        "ref.book.v1",
        "ref.routing_rule.v1",
        "md.fx.v1",
        "ref.posting_rules.v1",
        "md.curve.v1",
        "ref.currency_policy.v1",
        "ref.accrual_terms.v1",
        "md.rate.v1",
    }


@pytest.mark.parametrize(
    ("token", "escaped"),
    [
        ("B1", "B1"),
        ("BRK.B", "BRK%2EB"),
        ("a b", "a%20b"),
        ("*>", "%2A%3E"),
        ("100%", "100%25"),
        ("a\u00a0b", "a%C2%A0b"),
        ("книга", "книга"),
    ],
)
def test_tokens_of_subjects_are_escaped(token: str, escaped: str):
    assert escape_token(token) == escaped
    assert not set(escape_token(token)) & set(".*> ")


def test_escaping_never_makes_two_tokens_one():
    tokens = ["a.b", "a%2Eb", "a b", "a%20b", "a*b", "ab"]
    assert len({escape_token(token) for token in tokens}) == len(tokens)
