"""Columns of valuations go out on NATS as the events of their rows, each on the subject of its book."""

from decimal import Decimal

from connectors.nats.sink import messages_of
from connectors.sink import Item
from schemas import topics
from schemas.frames import wire
from schemas.protobuf import decode_message
from schemas.subjects import EVENT, MESSAGE_ID
from schemas.valuation import PositionsValuated, PositionValuated

FRAME = wire(PositionsValuated)(
    event_id="f",
    underlying="BTC",
    event_time=7,
    book=("A", "B.1"),
    instrument=("X", "Y"),
    revision=(1, 2),
    quantity=(Decimal("1.50"), Decimal(0)),
    market_value=(Decimal(3), None),
    delta=(1.5, None),
    reason=("", "no mark of Y"),
)


def test_a_frame_is_told_row_by_row():
    item = Item(topics.VALUATIONS.name, 0, 5, 0, 9, 10**18, FRAME)
    first, second = messages_of([item], 10**18)
    assert [first.subject, second.subject] == [
        "bo.position.valuated.v1.A",
        "bo.position.valuated.v1.B%2E1",
    ]
    assert [each.headers[MESSAGE_ID] for each in (first, second)] == ["f.0", "f.1"]
    assert first.headers[EVENT] == "PositionValuated"
    row = decode_message(PositionValuated, second.payload)
    assert (row.book, row.market_value, row.delta, row.reason) == ("B.1", None, None, "no mark of Y")
    assert decode_message(PositionValuated, first.payload).quantity == Decimal("1.50")
