"""Where an updated position goes: by the entity of its trade, and by what its instrument depends on."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents import position_routing
from schemas import events, topics
from schemas.frames import encode_event, wire
from schemas.murmur2 import partition_of_key
from schemas.units import LifecycleKind
from tests.stage_support import StageInMemory, written
from tests.support import MONDAY, Books, DayClosed, Instrument

PARTITIONS = 8
PositionUpdated = wire(events.PositionUpdated)


def of(key: str) -> int:
    return partition_of_key(key.encode(), PARTITIONS)


def update(trade_id: str = "t1", **fields: Any) -> Any:
    values = {"book": "B1", "instrument": "X", "revision": 1, "executed_at": MONDAY, "quantity": Decimal(1)}
    return PositionUpdated(event_id=f"e{trade_id}", trade_id=trade_id, source="test", **values | fields)


def amended(trade_id: str = "t1", **fields: Any) -> Any:
    return update(trade_id, **{"kind": LifecycleKind.AMEND, "trade_quantity": Decimal(2)} | fields)


def taken_out(trade_id: str = "t1", **fields: Any) -> Any:
    return update(trade_id, kind=LifecycleKind.CANCEL, trade_quantity=Decimal(0), **fields)


@pytest.fixture
def routing() -> StageInMemory:
    return StageInMemory(position_routing.stage(), PARTITIONS)


def went(step: Any, topic: Any) -> dict[int, list[bytes]]:
    return {
        partition: output.encoded for (name, partition), output in step.outputs.items() if name == topic.name
    }


def ledger(step: Any) -> set[int]:
    return set(went(step, topics.LEDGER_INPUT))


def valuation(step: Any) -> set[int]:
    return set(went(step, topics.VALUATION_INPUT))


def test_an_update_goes_as_it_came(routing: StageInMemory):
    found = update(entity="E1", trade_price=Decimal("1.50"), account="A")
    step = routing.step(found)
    assert went(step, topics.LEDGER_INPUT) == {of("E1"): [encode_event(found)]}
    assert went(step, topics.VALUATION_INPUT) == {of("X"): [encode_event(found)]}


def test_fields_of_a_later_version_go_along():
    encoded = encode_event(update())[:-1] + b',"of_a_later_version":[1,{"a":2}]}'
    stage = position_routing.stage()
    assert stage.codec is not None
    (passed,) = stage.codec.decode(b"[" + encoded + b"]")
    assert passed.encoded == encoded
    assert passed.source == "test"


def test_an_instrument_is_valued_with_what_its_definition_named_when_it_was_first_seen(
    routing: StageInMemory,
):
    routing.define(Instrument(event_id="i", instrument="X", underlying="U"))
    assert valuation(routing.step(update())) == {of("U")}
    routing.define(Instrument(event_id="i", instrument="X", underlying="V"))
    routing.restart()
    assert valuation(routing.step(update("t2"))) == {of("U")}, (
        "else one position would be valued in two places"
    )
    assert valuation(routing.step(update("t3", instrument="Y"))) == {of("Y")}
    routing.define(Instrument(event_id="i", instrument="Y", underlying="U"))
    assert valuation(routing.step(update("t4", instrument="Y"))) == {of("Y")}


def test_an_instrument_that_is_no_longer_active_stands_for_itself(routing: StageInMemory):
    routing.define(Instrument(event_id="i", instrument="X", underlying="U", active=False))
    assert valuation(routing.step(update())) == {of("X")}


def test_a_book_is_posted_where_its_first_trade_is_whatever_its_events_tell(routing: StageInMemory):
    """A position that is posted in parts could not be added up."""
    routing.step(update("t1", entity="E1"), update("t2", book="B2", entity=""))
    routing.restart()
    later = (update("t3", entity="E2"), taken_out("t1"), amended("t3", entity="E3"))
    assert [ledger(routing.step(event)) for event in later] == [{of("E1")}] * 3
    assert ledger(routing.step(update("t4", book="B2", entity="E2"))) == {of("")}


def test_the_end_of_a_day_goes_to_every_partition_that_values_and_to_the_book_s_entity(
    routing: StageInMemory,
):
    closed = DayClosed(event_id="d", book="B1", business_date="2026-01-05", event_time=MONDAY)
    everywhere = {partition: [encode_event(closed)] for partition in range(PARTITIONS)}
    first = routing.step(closed)
    assert went(first, topics.VALUATION_INPUT) == went(first, topics.LEDGER_INPUT) == everywhere
    routing.step(update("t1", entity="E1"), update("t3", entity="E3", book="B2"))
    second = routing.step(closed)
    assert went(second, topics.VALUATION_INPUT) == everywhere
    assert ledger(second) == {of("E1")}


def test_a_step_that_fails_leaves_nothing(routing: StageInMemory):
    routing.define(Instrument(event_id="i", instrument="X", underlying="U"))
    routing.step(update("t1", entity="E1"))
    routing.fail(update("t2", entity="E2", instrument="Y"), amended("t1", entity="E3"))
    routing.define(Instrument(event_id="i", instrument="Y", underlying="V"))
    again = StageInMemory(position_routing.stage(), PARTITIONS)
    again.define(Instrument(event_id="i", instrument="X", underlying="U"))
    again.step(update("t1", entity="E1"))
    again.define(Instrument(event_id="i", instrument="Y", underlying="V"))
    late = (update("t2", entity="E2", instrument="Y"), taken_out("t1"))
    assert written(routing.step(*late)) == written(again.step(*late))
    assert routing.counts() == again.counts() == (3, 3, 0, 0, 0)


def test_what_cannot_be_read_is_set_aside_and_the_others_go_on(tmp_path):
    with Books(tmp_path / "log", stages=(position_routing.stage(),), partitions=2) as books:
        good = encode_event(update(book="B1"))
        books.append(topics.POSITIONS, "B1", [b'[{"type":"PositionUpdated"},' + good + b"]", b"no JSON"])
        books.run()
        assert books.event_bytes(topics.LEDGER_INPUT) == [good]
        letters = books.dead_letters(topics.STAGE_DEAD_LETTERS)
        assert {bytes(letter.original) for letter in letters} == {b'{"type":"PositionUpdated"}', b"no JSON"}
        assert {letter.stage for letter in letters} == {position_routing.NAME}
        assert msgspec.json.decode(good)["trade_id"] == "t1"
