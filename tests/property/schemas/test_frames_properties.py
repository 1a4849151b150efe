"""Encode and decode are inverse, and no bytes whatever break the reader."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.frames import BadEvent, encode_frames
from schemas.units import Action, Side
from tests.support import Fee, FillEvent

numbers = st.builds(
    lambda whole, places: Decimal(f"{whole}E-{places}"), st.integers(-(10**40), 10**40), st.integers(0, 20)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
fills = st.builds(
    FillEvent,
    event_id=texts,
    trade_id=texts,
    instrument=texts,
    side=st.sampled_from(Side),
    action=st.sampled_from(Action),
    quantity=numbers,
    price=numbers,
    executed_at=st.integers(-(2**63), 2**63 - 1),
    fees=st.lists(st.builds(Fee, amount=numbers, kind=texts), max_size=3).map(tuple),
    book=st.none() | texts,
    inverse=st.none() | st.booleans(),
    multiplier=st.none() | numbers,
)


@given(st.lists(fills, max_size=8))
def test_encode_and_decode_are_inverse(sent: list):
    frames = encode_frames(sent)
    assert [event for frame in frames for event in topics.FILLS.codec.decode(frame)] == sent
    again = encode_frames([event for frame in frames for event in topics.FILLS.codec.decode_each(frame)])
    assert again == frames


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_reported(garbage: bytes):
    for event in topics.FILLS.codec.decode_each(garbage):
        assert isinstance(event, BadEvent) or event.event_id is not None


@given(st.lists(fills, min_size=1, max_size=3), st.data())
def test_a_damaged_frame_is_read_or_reported(sent: list, data: st.DataObject):
    frame = bytearray(encode_frames(sent)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    found = list(topics.FILLS.codec.decode_each(bytes(frame)))
    assert all(isinstance(event, BadEvent) or event.event_id is not None for event in found)
