"""The bridge from price requests of the log to the engine: newest wins, answers by their ids, and what it says of an engine
that is away."""

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from connectors.breaker import CircuitBreaker
from connectors.pricing.bridge import PriceRequestsSink
from connectors.pricing.client import EngineAddress, PricingClient
from connectors.sink import Batch, Item, Unavailable
from schemas import topics, valuation
from schemas.frames import wire
from tests.pricing_engine_support import Engine, request, running_engine

PriceRequested = wire(valuation.PriceRequested)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(processes=1) as running:
        yield running


def item(number: int, instrument: str, document: str | None = None) -> Item:
    event = PriceRequested(
        event_id=f"r{number}",
        correlation_id="mark",
        instrument=instrument,
        underlying="U",
        event_time=number,
        request=document or request(f"r{number}"),
    )
    return Item(topics.PRICE_REQUESTS.name, 0, number, 0, 0, 0, event)


class Log:
    """Takes answers, and fails once when it has some number of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.answers: list[Any] = []
        self._fails_at = fails_at

    def append(self, answers: Sequence[Any]) -> None:
        if len(self.answers) == self._fails_at:
            self._fails_at = None
            raise Unavailable("the log is away")
        self.answers += answers

    def ids(self) -> list[str]:
        return [answer.event_id for answer in self.answers]


def written(engine: EngineAddress, log: Log, *batches: list[Item], failures_max: int = 1) -> list[bool]:
    """Write batches one after the other; whether each was confirmed."""
    breaker = CircuitBreaker("engine", failures_max=failures_max, seconds_first=60)
    sink = PriceRequestsSink(lambda: PricingClient(engine, breaker), log.append)

    async def write() -> list[bool]:
        confirmed = []
        for items in batches:
            await sink.open()
            try:
                await sink.write(Batch(items))
                confirmed.append(True)
            except Unavailable:
                await sink.close()
                confirmed.append(False)
        await sink.close()
        return confirmed

    return asyncio.run(write())


def address(engine: Engine, **options: Any) -> EngineAddress:
    return EngineAddress(f"grpc://localhost:{engine.port}", **{"call_seconds": 10.0, **options})


def test_the_newest_request_of_an_instrument_is_answered(engine: Engine):
    log = Log()
    batch = [item(1, "A"), item(2, "B"), item(3, "A"), item(4, "C", "no request")]
    assert written(address(engine), log, batch) == [True]
    assert log.ids() == ["r3/answer", "r2/answer", "r4/answer"]
    first = log.answers[0]
    assert (first.instrument, first.underlying, first.event_time) == ("A", "U", 3)
    assert (first.causation_id, first.correlation_id) == ("r3", "mark")
    assert json.loads(first.answer)["id"] == "r3" and json.loads(first.answer)["price"] > 0
    assert json.loads(log.answers[2].answer)["error"]["field"] == "request"


def test_answers_go_by_the_underlying_to_those_who_value_it(engine: Engine):
    log = Log()
    written(address(engine), log, [item(1, "A")])
    assert topics.underlying_key(log.answers[0]) == "U"


def test_what_was_answered_before_a_failure_is_not_asked_again(engine: Engine):
    log = Log(fails_at=3)
    batch = [item(number, f"I{number}") for number in range(6)]
    assert written(address(engine, call_requests_max=1), log, batch, batch) == [False, True]
    assert log.ids() == [f"r{number}/answer" for number in range(6)]


def test_an_engine_that_is_away_is_told_of_once_a_request():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        away = EngineAddress(f"grpc://localhost:{listener.getsockname()[1]}", attempts=1, call_seconds=2)
        log = Log()
        batch = [item(1, "A"), item(2, "B")]
        later = [*batch, item(3, "A")]
        assert written(away, log, batch, batch, later, later) == [False] * 4
    assert log.ids() == ["r1/away", "r2/away", "r3/away"]
    error = json.loads(log.answers[0].answer)["error"]
    assert error["field"] == "" and "away" in error["found"]


def test_one_failure_is_not_yet_an_engine_that_is_away():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        away = EngineAddress(f"grpc://localhost:{listener.getsockname()[1]}", attempts=1, call_seconds=2)
        log = Log()
        assert written(away, log, [item(1, "A")], failures_max=3) == [False]
    assert log.ids() == []
