"""Where a mark goes: to whatever partition may hold a position in its instrument, and to the rates."""

from decimal import Decimal
from typing import Any

import pytest

from agents import mark_routing
from schemas import market_data, topics
from schemas.frames import encode_event, wire
from schemas.murmur2 import partition_of_key
from schemas.units import MarkQuality
from tests.stage_support import StageInMemory, emitted, written
from tests.support import MONDAY, Books, Instrument

PARTITIONS = 8
Mark = wire(market_data.Mark)


def of(key: str) -> int:
    return partition_of_key(key.encode(), PARTITIONS)


def mark(instrument: str = "X", price: str | None = "100", at: int = 0, **fields: Any) -> Any:
    quality = MarkQuality.MISSING if price is None else MarkQuality.LIVE
    values = {
        "quality": quality,
        "price": None if price is None else Decimal(price),
        "source": "test",
    } | fields
    return Mark(event_id=f"{instrument}@{at}", instrument=instrument, event_time=MONDAY + at, **values)


@pytest.fixture
def routing() -> StageInMemory:
    return StageInMemory(mark_routing.stage(), PARTITIONS)


def went(step: Any) -> dict[int, list[bytes]]:
    return {
        partition: output.encoded
        for (name, partition), output in step.outputs.items()
        if name == topics.VALUATION_INPUT.name
    }


def rates(step: Any) -> list[tuple[str, str, str]]:
    found = emitted(step, topics.FX_RATES.name)
    return [(rate["base_currency"], rate["quote_currency"], rate["rate"]) for rate in found]


def test_a_mark_goes_as_it_came_to_its_instrument_and_to_all_that_this_ever_depended_on(
    routing: StageInMemory,
):
    found = mark(bid=Decimal("99.50"), underlying="not asked")
    assert went(routing.step(found)) == {of("X"): [encode_event(found)]}
    routing.define(Instrument(event_id="i", instrument="X", underlying="U"))
    routing.define(Instrument(event_id="i", instrument="X", underlying="V"))
    routing.restart()
    assert went(routing.step(found)) == {
        partition: [encode_event(found)] for partition in (of("X"), of("U"), of("V"))
    }


@pytest.mark.parametrize(
    ("fields", "pair"),
    [
        ({"instrument_class": "FX", "underlying": "EUR", "currency": "USD"}, ("EUR", "USD")),
        ({"instrument": "GBPUSD.IBKR", "instrument_class": "spot_fx"}, ("GBP", "USD")),
        ({"instrument": "GBP/USD", "instrument_class": "FX"}, ("GBP", "USD")),
        ({"instrument": "GBPUSD", "instrument_class": "FX", "currency": "USDT"}, ("GBP", "USDT")),
        ({"instrument": "GBPUSD"}, None),
        ({"instrument": "GBPGBP", "instrument_class": "FX"}, None),
        ({"instrument": "X", "instrument_class": "FX"}, None),
    ],
)
def test_a_mark_of_a_currency_pair_is_a_rate(
    routing: StageInMemory, fields: dict[str, Any], pair: tuple[str, str] | None
):
    step = routing.step(mark(price="1.0850", **fields))
    assert rates(step) == ([] if pair is None else [(*pair, "1.0850")])


def test_a_definition_says_it_before_the_mark_does(routing: StageInMemory):
    routing.define(
        Instrument(event_id="i", instrument="X", instrument_class="FX", underlying="CHF", currency="JPY")
    )
    assert rates(routing.step(mark(underlying="EUR", currency="USD"))) == [("CHF", "JPY", "100")]


@pytest.mark.parametrize("price", [None, "0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1E+308"])
def test_what_is_no_price_is_no_rate(routing: StageInMemory, price: str | None):
    step = routing.step(mark("EURUSD", price, instrument_class="FX"))
    assert rates(step) == [] and len(went(step)) == 1


def test_an_older_mark_does_not_replace_the_rate(routing: StageInMemory):
    terms = {"instrument_class": "FX"}
    routing.step(mark("EURUSD", "1.1", at=5, source_sequence=3, **terms))
    routing.restart()
    assert rates(routing.step(mark("EURUSD", "1.2", at=4, **terms))) == []
    assert rates(routing.step(mark("EURUSD", "1.3", at=5, source_sequence=2, **terms))) == []
    assert rates(routing.step(mark("EURUSD", "1.4", at=5, source_sequence=3, **terms))) == [
        ("EUR", "USD", "1.4")
    ]


def test_a_rate_is_one_record_a_pair_and_step(tmp_path):
    with Books(tmp_path / "log", stages=(mark_routing.stage(),), partitions=2) as books:
        quoted = (("EURUSD", "1.1"), ("GBPUSD", "1.3"), ("EURUSD", "1.2"))
        marks = [mark(name, price, at, instrument_class="FX") for at, (name, price) in enumerate(quoted)]
        for each in marks:
            books.append(topics.MARKS, each.instrument, [b"[" + encode_event(each) + b"]"])
        books.run()
        assert {
            (rate.base_currency, rate.rate, rate.event_id, rate.causation_id, rate.source)
            for rate in books.events(topics.FX_RATES)
        } == {
            ("EUR", Decimal("1.2"), "EURUSD@2.fx0", "EURUSD@2", "test"),
            ("GBP", Decimal("1.3"), "GBPUSD@1.fx0", "GBPUSD@1", "test"),
        }
        keys = [record.key for record in books.log.read(topics.FX_RATES.name, 0, 0, 10, 1 << 20)]
        assert sorted(keys) == [b"EUR/USD", b"GBP/USD"]


def test_a_step_that_fails_leaves_nothing(routing: StageInMemory):
    routing.fail(mark("EURUSD", "1.1", at=5, instrument_class="FX"))
    again = StageInMemory(mark_routing.stage(), PARTITIONS)
    earlier = mark("EURUSD", "1.0", at=1, instrument_class="FX")
    assert written(routing.step(earlier)) == written(again.step(earlier))
    assert rates(routing.step(earlier)) == [("EUR", "USD", "1.0")]
