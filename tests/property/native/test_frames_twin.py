"""The compiled reader of frames against msgspec: whatever stands in a frame, the same events, or none of its own.

Frames are as the encoder writes them, with every kind of value; and broken: a byte put in, taken out or changed.
"""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import native
from schemas import events
from schemas.frames import encode_event, wire
from schemas.passing import PartialCodec
from schemas.topics import BOOKINGS, FILLS
from schemas.units import Action, FeePolicy, LotMethod, Side
from tests.support import Fee, FillEvent, TradeBooked

READERS = {
    topic: native.frames(wire(event_class))
    for topic, event_class in ((FILLS, events.FillEvent), (BOOKINGS, events.TradeBooked))
}
PARTS = PartialCodec(
    {
        events.TradeBooked: (
            "event_id",
            "book",
            "quantity",
            "executed_at",
            "fees",
            "lot_method",
            "settlement_date",
        )
    },
    events.ClockTick,
)
PART = PARTS.head(events.TradeBooked)
pytestmark = pytest.mark.skipif(None in READERS.values(), reason=native.description())

TEXTS = st.sampled_from(
    ["", "a", "BOOK1", "12345678", "é", 'a "quoted" \\ \u2028\n\x01', "x" * 300, "1234567é"]
)
NUMBERS = st.sampled_from(
    ["0", "-0", "0.00", "-0.00", "1", "-1.50", "100.000", "1E+2", "0.000000001", "0.0000000000000001", "999999999999999999",
     "1234567890123456789", "-99999999999999999.9", "0.0000000000000000001", "123456789012345678901234567890.1234567890"]
).map(Decimal)  # fmt: skip
INTEGERS = st.sampled_from([0, 1, -1, 999_999_999_999_999_999, 10**18, -(10**18) + 1, (1 << 63) - 1, 1 << 63])
SHARED: dict[str, Any] = {
    "event_id": TEXTS,
    "source": TEXTS,
    "trade_id": TEXTS,
    "book": TEXTS,
    "instrument": TEXTS,
    "quantity": NUMBERS,
    "price": NUMBERS,
    "executed_at": INTEGERS,
}
RARELY: dict[str, Any] = {
    "correlation_id": TEXTS,
    "schema_version": INTEGERS,
    "source_sequence": INTEGERS,
    "recorded_at": INTEGERS,
    "settlement_date": TEXTS,
    "group_id": TEXTS,
    "multiplier": NUMBERS,
    "inverse": st.booleans(),
    "accrued_interest": NUMBERS,
    "fees": st.sampled_from([(), (Fee(amount=Decimal("0.1")),), (Fee(amount=Decimal(1), kind="a]},é"),) * 2]),
    "leg": INTEGERS,
}
FILL_ONLY = {"action": st.sampled_from(Action), "currency": TEXTS, "idempotency_hash": TEXTS}
BOOKED_ONLY = {
    "lot_method": st.sampled_from(LotMethod),
    "fee_policy": st.sampled_from(FeePolicy),
    "business_date": TEXTS,
}


def content(always: dict[str, Any], rarely: dict[str, Any]) -> Any:
    rare = st.lists(st.sampled_from(sorted(rarely)), max_size=3, unique=True)
    return st.tuples(
        st.fixed_dictionaries(always),
        rare.flatmap(lambda names: st.fixed_dictionaries({name: rarely[name] for name in names})),
    ).map(lambda found: found[0] | found[1])


CONTENTS = {
    FILLS: content(SHARED | {"side": st.sampled_from(Side)}, RARELY | FILL_ONLY),
    BOOKINGS: content(SHARED, RARELY | BOOKED_ONLY),
}
CLASSES = {FILLS: FillEvent, BOOKINGS: TradeBooked}


def compare(topic: Any, frame: bytes) -> bool:
    """Whether the compiled reader read the frame; what it read is what msgspec reads."""
    read = READERS[topic]
    assert read is not None
    found = read(frame)
    if found is None:
        return False
    expected = topic.codec.decode(frame)
    assert found == expected
    # Equal numbers may be spelled otherwise, and -0 is 0.
    assert [encode_event(event) for event in found] == [encode_event(event) for event in expected]
    assert repr(found) == repr(expected)
    return True


def compare_part(frame: bytes) -> bool:
    """The same of a booking that is read in part."""
    read = native.frames(PART, wire(events.TradeBooked))
    assert read is not None
    found = read(frame)
    assert found is None or repr(found) == repr(PARTS.decode(frame))
    return found is not None


@pytest.mark.parametrize("topic", [FILLS, BOOKINGS], ids=["fills", "bookings"])
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_what_the_encoder_writes(topic: Any, data: st.DataObject) -> None:
    made = [CLASSES[topic](**each) for each in data.draw(st.lists(CONTENTS[topic], min_size=1, max_size=4))]
    frame = b"[%b]" % b",".join(map(encode_event, made))
    try:
        topic.codec.decode(frame)
    except msgspec.MsgspecError:
        assert not compare(topic, frame)
    else:
        assert compare(topic, frame), "every frame of its events is read"
        assert compare_part(frame) == (topic is BOOKINGS)


@pytest.mark.parametrize("topic", [FILLS, BOOKINGS], ids=["fills", "bookings"])
@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_broken(topic: Any, data: st.DataObject) -> None:
    frame = b"[%b]" % encode_event(CLASSES[topic](**data.draw(CONTENTS[topic])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(frame)))
        put = data.draw(
            st.sampled_from(
                [b"", b" ", b'"', b"\\", b"0", b"-", b".", b"e", b"}", b"]", b",", b"\xc3", b"\x00", b"null"]
            )
        )
        frame = frame[:place] + put + frame[place + data.draw(st.integers(0, 2)) :]
    compare(topic, frame)
    compare_part(frame)


@given(st.binary(max_size=40))
@example(b"")
@example(b"[")
@example(b"[]")
@example(b'[{"type":"TradeBooked"')
@example(b'[{"type":"TradeBooked"}]')
def test_anything(frame: bytes) -> None:
    for topic in READERS:
        compare(topic, frame)
    compare_part(frame)
