"""Dead letters: their documents, and how they are sent again or dropped."""

from pathlib import Path

import pytest

from schemas.topics import BOOKING_DEAD_LETTERS, BOOKINGS, FILL_DEAD_LETTERS, FILLS, ROUTING_RULES
from tests.support import MONDAY, Books, RoutingRule, booked, fill
from topology.control.entry import append_records
from topology.documents import dead_letters as module
from topology.documents.dead_letters import (
    Letter,
    dead_letters_document,
    drop_records,
    find_dead_letter,
    original_fields,
    retry_records,
    source_of,
)


@pytest.fixture
def dead(tmp_path: Path):
    """A fill that no rule routes, one that cannot be read, bytes that are no text, and a refused booking."""
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", book=None))
        books.append(FILLS, "t2", [b'[{"type":"FillEvent","trade_id":7}]'])
        books.append(FILLS, "t3", [b"\xff\xfe"])
        books.run()
        books.bookings(booked("t4", 5, 1), booked("t4", 6, 1))
        books.run()
        yield books


def _letters(books: Books, **filters) -> list[dict]:
    return dead_letters_document(books.log, 2, **filters)


def _letter(books: Books, **filters) -> Letter:
    [document] = _letters(books, **filters)
    found = find_dead_letter(books.log, 2, document["id"])
    assert found is not None
    return found


def test_list_with_filters(dead: Books):
    assert [one["kind"] for one in _letters(dead)] == ["rejected", "unreadable", "unreadable", "rejected"]
    assert [one["trade_id"] for one in _letters(dead, stage="positions")] == ["t4"]
    assert len(_letters(dead, kind="unreadable", status="open")) == 2
    assert _letters(dead, status="dropped") == []
    assert [one["stage"] for one in _letters(dead, trade_id="t1")] == ["trade_capture"]


def test_the_original_is_there_as_it_came(dead: Books):
    readable, bytes_only = _letters(dead, kind="unreadable")
    assert readable["original"] == '{"type":"FillEvent","trade_id":7}'
    assert bytes_only["original_hex"] == "fffe" and "original" not in bytes_only
    assert bytes_only["original_bytes"] == 2


def test_a_list_cuts_long_originals_and_one_letter_is_whole(dead: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LISTED_BYTES_MAX", 10)
    listed = _letters(dead, trade_id="t1")[0]
    shown = _letter(dead, trade_id="t1")
    assert listed["original_cut"] is True and len(listed["original"]) == 10
    assert shown.document["original"].encode() == shown.event.original
    assert "original_cut" not in shown.document
    # A character that the cut splits is left out.
    assert original_fields("aü".encode(), 2)["original"] == "a"


def test_an_unknown_id_is_none(dead: Books):
    assert find_dead_letter(dead.log, 2, "none") is None


def test_retried_fill_is_booked_when_the_reason_is_gone(dead: Books):
    dead.append_events(
        ROUTING_RULES, [RoutingRule(event_id="r1", rule="all", book="B5")], lambda rule: rule.rule
    )
    letter = _letter(dead, trade_id="t1")
    append_records(dead.log, retry_records([letter], 2, lambda: MONDAY))
    dead.run()
    assert dead.position("B5", "X").quantity == 10
    assert _letter(dead, trade_id="t1").status == "retried"
    assert _letters(dead, trade_id="t1", status="open") == []


@pytest.mark.parametrize(
    ("filters", "topic"),
    [
        ({"stage": "positions"}, BOOKING_DEAD_LETTERS),
        ({"kind": "rejected", "stage": "trade_capture"}, FILL_DEAD_LETTERS),
    ],
)
def test_what_is_wrong_still_comes_back_as_a_letter_of_its_own(dead: Books, filters: dict, topic):
    letter = _letter(dead, **filters)
    assert letter.topic is topic
    append_records(dead.log, retry_records([letter], 2, lambda: MONDAY))
    dead.run()
    again = _letters(dead, **filters)
    assert [one["status"] for one in again] == ["retried", "open"]
    assert again[0]["original"] == again[1]["original"]


def test_bytes_that_are_no_event_go_as_they_came(dead: Books):
    before = len(dead.values(FILLS))
    for document in _letters(dead, kind="unreadable"):
        letter = find_dead_letter(dead.log, 2, document["id"])
        assert letter is not None and source_of(letter) is None
        append_records(dead.log, retry_records([letter], 2, lambda: MONDAY))
    dead.run()
    assert len(dead.values(FILLS)) == before + 2
    assert dead.values(FILLS).count(b"\xff\xfe") == 2
    assert len(_letters(dead, kind="unreadable", status="open")) == 2


def test_dropped_letters_stay_and_nothing_is_sent(dead: Books):
    before = (dead.values(FILLS), dead.values(BOOKINGS))
    letter = _letter(dead, trade_id="t1")
    append_records(dead.log, drop_records([letter], 2, lambda: MONDAY))
    append_records(dead.log, drop_records([letter], 2, lambda: MONDAY))
    dead.run()
    assert (dead.values(FILLS), dead.values(BOOKINGS)) == before
    assert _letter(dead, trade_id="t1").status == "dropped"
    assert len(_letters(dead)) == 4


def test_the_source_of_a_letter(dead: Books):
    assert source_of(_letter(dead, trade_id="t1")) == "test"
