"""Frames: inverse, capped, and one bad event alone."""

import json
from decimal import Decimal

import msgspec
import pytest

from schemas import events, topics
from schemas.frames import (
    FRAME_BYTES_MAX,
    FRAME_EVENTS_MAX,
    BadEvent,
    FrameCodec,
    FrameError,
    encode_event,
    encode_frames,
    to_wire,
    wire,
)
from tests.support import Fee, FillEvent, booked, fill

CODEC = topics.FILLS.codec


def test_a_frame_is_a_json_array_of_tagged_events_without_defaults():
    (frame,) = encode_frames([fill("t1", "1.50", source="")])
    (document,) = json.loads(frame)
    assert document["type"] == "FillEvent"
    assert document["quantity"] == "1.50"
    assert "accrued_interest" not in document and "fees" not in document


def test_nothing_makes_no_frame():
    assert encode_frames([]) == []


def test_caps_of_count_and_bytes_hold():
    many = [fill(f"t{number}") for number in range(2 * FRAME_EVENTS_MAX + 1)]
    wide = [fill(f"t{number}", trader="x" * 100_000) for number in range(30)]
    for sent in (many, wide):
        frames = encode_frames(sent)
        decoded = [CODEC.decode(frame) for frame in frames]
        assert max(map(len, decoded)) <= FRAME_EVENTS_MAX
        assert max(map(len, frames)) <= FRAME_BYTES_MAX
        assert [event for frame in decoded for event in frame] == sent


def test_an_event_too_large_for_a_frame_is_refused():
    with pytest.raises(FrameError, match=str(FRAME_BYTES_MAX)):
        encode_frames([fill("t1", trader="x" * FRAME_BYTES_MAX)])


@pytest.mark.parametrize(
    "bad",
    [
        b'{"type":"FillEvent"}',
        b'{"type":"NoSuchEvent","event_id":"x"}',
        b'{"event_id":"x"}',
        b"null",
        b"17",
        b'"text"',
        b"[]",
        b'{"type":"FillEvent","event_id":"x","trade_id":"t","instrument":"X","side":"HOLD","quantity":"1","price":"1","executed_at":0}',
        b'{"type":"FillEvent","event_id":"x","trade_id":"t","instrument":"X","side":"BUY","quantity":"one","price":"1","executed_at":0}',
        b'{"type":"FillEvent","event_id":"x","trade_id":"t","instrument":"X","side":"BUY","quantity":"1","price":"1","executed_at":"noon"}',
    ],
)
def test_one_bad_event_is_reported_alone(bad: bytes):
    first, last = fill("t1"), fill("t2")
    frame = b"[" + encode_event(first) + b"," + bad + b"," + encode_event(last) + b"]"
    with pytest.raises(msgspec.MsgspecError):
        CODEC.decode(frame)
    found = list(CODEC.decode_each(frame))
    assert found[0] == first and found[2] == last
    assert isinstance(found[1], BadEvent)
    assert (found[1].index, found[1].original) == (1, bad) and found[1].reason


@pytest.mark.parametrize(
    "bad",
    [
        b'{"type":"FillEvent","event_id":"\\ud800"}',
        b'{"type":"FillEvent","event_id":"\xff\xfe"}',
        b'{"type":"FillEvent","event_id":}',
        b'{"type":"FillEvent","event_id":"a]},\\"[{"',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"garbage",
        b"",
    ],
)
def test_an_event_that_no_reader_takes_is_reported_alone_too(bad: bytes):
    if bad.endswith(b'[{"'):
        bad += b"}"
    first, last = fill("t1"), fill("t2")
    found = list(
        CODEC.decode_each(b" [" + encode_event(first) + b" , " + bad + b"," + encode_event(last) + b"] ")
    )
    assert (found[0], found[2], len(found)) == (first, last, 3)
    assert isinstance(found[1], BadEvent)
    assert (found[1].index, found[1].original) == (1, bad)


@pytest.mark.parametrize("poison", [b'["' + b'\\"' * 250_000, b"[" + b"]," * 250_000, b'["a"' * 100_000])
def test_the_worst_of_poison_is_read_in_one_pass(poison: bytes):
    assert b"".join(event.original for event in CODEC.decode_each(poison)) == poison


def test_an_event_without_its_array_is_read():
    assert list(CODEC.decode_each(encode_event(fill("t1")))) == [fill("t1")]


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe", b"[", b"{", b"[1,2", b"[" * 100_000, b'[{"a":' * 50_000, b'["\xff"]']
)
def test_garbage_is_one_bad_event_with_its_bytes(garbage: bytes):
    (found,) = CODEC.decode_each(garbage)
    assert isinstance(found, BadEvent)
    assert found.original == garbage or found.original in garbage


def test_a_deeply_nested_event_does_not_hold_up_the_others():
    deep = b'{"type":"FillEvent","event_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found = list(CODEC.decode_each(b"[" + encode_event(fill("t1")) + b"," + deep + b"]"))
    assert any(isinstance(event, BadEvent) for event in found)


def test_the_twin_has_the_fields_and_defaults_of_its_class():
    validated = events.FillEvent(
        event_id="e",
        trade_id="t",
        instrument="X",
        side="BUY",
        quantity="1.5",
        price="-2",
        executed_at=1,
        fees=(events.Fee(amount=Decimal(1)),),
    )
    twin = to_wire(validated)
    assert type(twin) is FillEvent
    assert twin.fees == (Fee(amount=Decimal(1)),)
    assert FrameCodec(events.FillEvent).decode(encode_frames([twin])[0]) == [twin]


def test_a_twin_never_changes():
    with pytest.raises(AttributeError):
        fill("t1").trade_id = "t2"


def test_a_nested_event_keeps_its_class():
    trade = booked("t1", -3)
    event = wire(events.LifecycleEventApplied)(
        event_id="l",
        kind=events.LifecycleKind.AMEND,
        trade_id="c",
        original_trade_id="t1",
        book="B1",
        executed_at=1,
        trade=trade,
    )
    assert topics.BOOKINGS.codec.decode(encode_frames([event])[0]) == [event]


def test_unknown_fields_of_a_newer_version_are_passed_over():
    document = json.loads(encode_event(fill("t1"))) | {"field_of_tomorrow": {"a": [1]}}
    assert CODEC.decode(json.dumps([document]).encode()) == [fill("t1")]
