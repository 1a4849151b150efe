"""Columns of valuations: every field of a single event has one, and the rows come out as such events."""

import dataclasses
from decimal import Decimal

from schemas.frames import encode_event, wire
from schemas.topics import VALUATIONS
from schemas.units import MarkQuality, ValuedBy
from schemas.valuation import (
    COLUMNS,
    DEFAULTS,
    PositionsValuated,
    PositionValuated,
    column,
    single_events,
    told,
)

FRAME = wire(PositionsValuated)(
    event_id="f",
    source="s",
    underlying="BTC",
    event_time=7,
    book=("A", "B"),
    instrument=("X", "Y"),
    revision=(1, 2),
    quantity=(Decimal("1.50"), Decimal(0)),
    mark=(Decimal(3), None),
    delta=(1.5, None),
    reason=("", "no mark of Y"),
)


def test_a_frame_has_a_column_for_each_field_of_a_single_event():
    columns = {field.name for field in dataclasses.fields(PositionsValuated)}
    single = {field.name for field in dataclasses.fields(PositionValuated)}
    assert columns == single | {"changes"}
    assert set(COLUMNS) | {"underlying", "event_time"} < single
    for field in dataclasses.fields(PositionsValuated):
        if field.name in DEFAULTS and field.name in COLUMNS:
            assert field.default == ()


def test_an_empty_column_has_its_default_in_every_row():
    assert column(FRAME, "multiplier") == (Decimal(1), Decimal(1))
    assert column(FRAME, "valued_by") == (ValuedBy.NOTHING,) * 2
    assert column(FRAME, "mark") == (Decimal(3), None)


def test_the_rows_are_events_of_their_own():
    (frame,) = VALUATIONS.codec.decode(b"[" + encode_event(FRAME) + b"]")
    first, second = single_events(frame)
    expected = wire(PositionValuated)(
        event_id="f.0",
        source="s",
        book="A",
        instrument="X",
        underlying="BTC",
        event_time=7,
        revision=1,
        quantity=Decimal("1.50"),
        mark=Decimal(3),
        delta=1.5,
    )
    assert encode_event(first) == encode_event(expected)
    assert (second.event_id, second.mark, second.reason) == ("f.1", None, "no mark of Y")
    assert second.mark_quality is MarkQuality.MISSING
    assert [each.event_id for each in told(frame)] == ["f.0", "f.1"]
    assert list(told(first)) == [first]
