"""Messages: encode and decode are inverse, and no bytes whatever break the reader."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas import events
from schemas.frames import to_wire
from schemas.protobuf import MessageError, decode_message, encode_message
from schemas.units import Action, LifecycleKind, Side
from tests.support import Fee, FillEvent

numbers = st.builds(
    lambda whole, places: Decimal(f"{whole}E-{places}"), st.integers(-(10**40), 10**40), st.integers(0, 20)
)
positive = numbers.filter(lambda number: number > 0)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
identifiers = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
int64 = st.integers(-(2**63), 2**63 - 1)
fills = st.builds(
    FillEvent,
    event_id=texts,
    trade_id=identifiers,
    instrument=identifiers,
    side=st.sampled_from(Side),
    action=st.sampled_from(Action),
    kind=st.none() | st.sampled_from(LifecycleKind),
    quantity=positive,
    price=numbers,
    executed_at=int64,
    source_sequence=int64,
    fees=st.lists(st.builds(Fee, amount=numbers, kind=texts, currency=texts), max_size=3).map(tuple),
    book=st.none() | identifiers,
    inverse=st.none() | st.booleans(),
    multiplier=st.none() | positive,
    currency=st.none() | texts,
    schema_version=st.integers(0, 3),
)


@given(fills)
def test_encode_and_decode_are_inverse(sent):
    payload = encode_message(sent)
    found = decode_message(events.FillEvent, payload)
    assert to_wire(found) == sent
    assert encode_message(found) == payload


@given(st.binary(max_size=200) | st.tuples(fills, st.integers(0, 400), st.integers(0, 255)))
def test_any_bytes_are_read_or_named(given):
    if isinstance(given, bytes):
        payload = given
    else:
        sent, at, byte = given
        damaged = bytearray(encode_message(sent))
        damaged[at % len(damaged)] = byte
        payload = bytes(damaged)
    try:
        found = decode_message(events.FillEvent, payload)
    except MessageError as error:
        fault = error
    else:
        fault = None
    assert found.quantity > 0 if fault is None else fault.expected and fault.found
