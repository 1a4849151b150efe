"""Twins constructed by position are the same message."""

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from schemas import events
from schemas.frames import encode_event, positional, wire
from tests.support import MONDAY, Fee, booked


def _values(event_class: Any, given: dict[str, Any]) -> list[Any]:
    defaults = {field.name: field.default for field in dataclasses.fields(event_class)}
    return [given.get(name, default) for name, default in defaults.items()]


@pytest.mark.parametrize(
    ("event_class", "given"),
    [
        (
            events.PositionUpdated,
            {
                "event_id": "e",
                "book": "B",
                "instrument": "X",
                "trade_id": "t",
                "revision": 3,
                "executed_at": MONDAY,
                "quantity": Decimal("1.50"),
                "fees": Decimal(0),
                "rematched": (wire(events.RematchedTrade)(trade_id="o", realised_pnl_delta=Decimal(1)),),
            },
        ),
        (
            events.TradeBooked,
            {
                "event_id": "e",
                "trade_id": "t",
                "book": "B",
                "instrument": "X",
                "quantity": Decimal(-1),
                "price": Decimal("2.5"),
                "executed_at": MONDAY,
                "fees": (Fee(amount=Decimal(1)),),
                "multiplier": Decimal(1),
            },
        ),
    ],
)
def test_by_position_encodes_as_by_keyword(event_class: Any, given: dict[str, Any]) -> None:
    by_keyword = wire(event_class)(**given)
    assert encode_event(positional(event_class)(*_values(event_class, given))) == encode_event(by_keyword)


def test_inside_another_event_it_is_the_same_too() -> None:
    trade = booked()
    twin = positional(events.TradeBooked)(
        *(getattr(trade, field.name) for field in dataclasses.fields(events.TradeBooked))
    )
    outer = {
        "event_id": "e",
        "kind": events.LifecycleKind.AMEND,
        "trade_id": "a",
        "original_trade_id": "t",
        "book": "B",
        "executed_at": MONDAY,
    }
    make = wire(events.LifecycleEventApplied)
    assert encode_event(make(**outer, trade=twin)) == encode_event(make(**outer, trade=trade))
