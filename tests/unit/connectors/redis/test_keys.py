"""What stands in Redis is read back as it was written, and the newer of two is known by its text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.redis.keys import (
    Curve,
    Mark,
    blocked_key,
    curve_key,
    fields_of,
    mark_key,
    order_of,
    read_back,
)
from connectors.redis.sink import newest
from connectors.sink import Item
from schemas import topics
from schemas.units import MarkQuality
from tests.redis_support import item_of, mark

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.none() | st.builds(
    lambda whole, places: Decimal(whole).scaleb(-places), st.integers(-(10**30), 10**30), st.integers(0, 30)
)
times = st.integers(-(2**63), 2**63 - 1)


@given(
    st.builds(
        Mark,
        event_id=texts,
        source=texts,
        instrument=texts.filter(bool),
        event_time=times,
        quality=st.sampled_from(MarkQuality),
        price=numbers,
        bid=numbers,
        ask=numbers,
    )
)
def test_a_mark_is_read_back_equal(written):
    fields = fields_of(written)
    assert all(
        isinstance(text, str) and "E" not in fields.get(name, "")
        for name, text in fields.items()
        if name in ("price", "bid", "ask")
    )
    assert read_back(Mark, "k", {**fields, "order": "1"}) == written


def test_a_curve_is_read_back_with_its_digits():
    written = Curve(
        event_id="e", curve="EUR", version=3, event_time=7, definition='{"type": "flat", "rate": 0.0250}'
    )
    assert read_back(Curve, "k", fields_of(written)) == written


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "event_id"),
        ({"event_id": "e", "instrument": "X", "event_time": "noon", "quality": "live"}, "event_time"),
        ({"event_id": "e", "instrument": "X", "event_time": "1", "quality": "fine"}, "quality"),
        ({"event_id": "e", "instrument": "X", "event_time": "1", "quality": "live", "price": "?"}, "price"),
    ],
)
def test_a_hash_that_is_no_mark_is_said_to_be_none(fields: dict[str, str], named: str):
    with pytest.raises(ValueError, match=f"md:mark:v1:X: expected the fields of a Mark, found: .*{named}"):
        read_back(Mark, mark_key("X"), fields)


@given(times, times, st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_later_time_is_the_greater_text_and_then_the_later_place(first, second, offset, other):
    def order(moment: int, at: int) -> str:
        return order_of(item_of(mark(event_time=moment), at, 0))

    assert (order(first, offset) < order(second, other)) == ((first, offset) < (second, other))


def test_a_higher_version_of_a_curve_is_newer_whatever_its_time():
    def order(version: int, moment: int) -> str:
        curve = Curve(event_id="e", curve="C", version=version, event_time=moment, definition="{}")
        return order_of(item_of(curve, 0, 0, topics.CURVES))

    assert order(2, 0) > order(1, 10**18)
    assert order(10, 0) > order(9, 0)


def test_after_a_log_was_moved_its_places_are_the_later_ones():
    before = item_of(mark(), 1_000, 0)
    assert order_of(before._replace(offset=3, generation=1)) > order_of(before)


def test_of_a_batch_the_newest_of_each_key_is_written():
    items: list[Item] = [
        item_of(mark("X", "1", at=5), 0, 10**18),
        item_of(mark("X", "2", at=4), 1, 10**18),
        item_of(mark("X", "3", at=5), 2, 10**18),
        item_of(mark("Y", None), 3, 10**18),
    ]
    entries = {entry.key: entry for entry in newest(items, 60, 10**18)}
    assert {key: entry.fields.get("price") for key, entry in entries.items()} == {
        mark_key("X"): "3",
        mark_key("Y"): None,
    }
    assert entries[mark_key("X")].expires_at == 10**12 + 60_000


def test_what_would_have_expired_is_not_written():
    items = [item_of(mark("X"), 0, 0), item_of(mark("Y"), 1, 5 * 10**9)]
    assert [entry.key for entry in newest(items, 60, 60 * 10**9)] == [mark_key("Y")]


def test_keys_are_those_of_the_specification():
    assert (mark_key("BTC"), curve_key("EUR"), blocked_key("j")) == (
        "md:mark:v1:BTC",
        "curve:EUR",
        "jwt:blocklist:j",
    )


@pytest.mark.parametrize("token_id", ["", "a\nb", "x" * 257])
def test_what_is_no_token_id_is_refused(token_id: str):
    with pytest.raises(ValueError, match="expected a token id"):
        blocked_key(token_id)
