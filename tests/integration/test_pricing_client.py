"""The client of the pricing engine against real engines: what is tried again, what ends, when the circuit opens."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.breaker import CircuitBreaker, CircuitOpen
from connectors.pricing.client import EngineAddress, PricingClient, TooLate
from connectors.sink import Unavailable
from tests.kafka_certificates import Authority
from tests.pricing_engine_support import Engine, long_request, request, running_engine
from tests.proxy import Cut, proxied


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine() as running:
        yield running


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def address(port: int, **options: Any) -> EngineAddress:
    return EngineAddress(f"grpc://localhost:{port}", **{"call_seconds": 10.0, **options})


def ids(answers: list[str]) -> list[Any]:
    return [json.loads(answer)["id"] for answer in answers]


def run(client: PricingClient, *batches: list[str]) -> list[list[str]]:
    """Price batches one after the other."""

    async def work() -> list[list[str]]:
        try:
            return [await client.price(batch) for batch in batches]
        finally:
            await client.close()

    return asyncio.run(work())


def test_answers_come_in_order_over_many_calls(engine: Engine):
    client = PricingClient(address(engine.port, call_requests_max=300))
    documents = [request(number) for number in range(2_000)]
    (found,) = run(client, documents)
    assert ids(found) == list(range(2_000))
    assert run(PricingClient(address(engine.port)), []) == [[]]


def test_a_cut_connection_is_made_again(engine: Engine):
    with proxied(lambda: engine.port) as proxy:
        proxy.plan(Cut(bytes_sent=20_000))
        (found,) = run(PricingClient(address(proxy.port)), [request(number) for number in range(500)])
        assert ids(found) == list(range(500)) and proxy.cuts == 1


def test_an_answer_that_was_lost_is_asked_for_again(engine: Engine):
    with proxied(lambda: engine.port) as proxy:
        proxy.plan(Cut(text=b'"id": "lost"', answered=True))
        (found,) = run(PricingClient(address(proxy.port)), [request("lost")])
        assert ids(found) == ["lost"] and proxy.cuts == 1


def test_an_engine_that_is_not_there_opens_the_circuit():
    breaker = CircuitBreaker("engine", failures_max=4, seconds_first=60)
    client = PricingClient(address(free_port(), attempts=2), breaker)
    for _ in range(2):
        with pytest.raises(Unavailable, match="UNAVAILABLE"):
            run(client, [request()])
    with pytest.raises(CircuitOpen):
        run(client, [request()])
    assert breaker.failures == 4, "it was not tried"


def test_an_engine_that_comes_back_is_found_by_a_probe():
    port = free_port()
    breaker = CircuitBreaker("engine", failures_max=1, seconds_first=0.05, seconds_max=0.1)
    client = PricingClient(address(port, attempts=1), breaker)

    async def work() -> list[str]:
        with pytest.raises(Unavailable):
            await client.price([request()])
        with running_engine(port=port):
            while True:
                try:
                    return await client.price([request("again")])
                except Unavailable:
                    await asyncio.sleep(0.02)
                finally:
                    await client.close()

    assert ids(asyncio.run(work())) == ["again"]
    assert not breaker.is_open


def test_a_stopped_engine_is_given_up_in_time_and_calls_get_smaller():
    documents = [request(number) for number in range(256)]
    with running_engine(processes=1) as engine:
        client = PricingClient(address(engine.port, call_seconds=3))

        async def work() -> None:
            try:
                await client.price(documents)
                before = client._call_requests
                os.kill(engine.process.pid, signal.SIGSTOP)
                began = time.monotonic()
                with pytest.raises(TooLate):
                    await client.price(documents)
                assert time.monotonic() - began < 10
                assert client._call_requests == before // 2
            finally:
                os.kill(engine.process.pid, signal.SIGCONT)
                await client.close()

        asyncio.run(work())
        assert ids(run(PricingClient(address(engine.port)), documents)[0]) == list(range(256))


def test_one_request_that_takes_too_long_is_given_up_while_the_engine_serves(engine: Engine):
    client = PricingClient(address(engine.port, call_seconds=0.3))
    (found,) = run(client, [long_request()])
    assert "within 0.3 s" in json.loads(found[0])["error"]["expected"]
    assert client.breaker.failures == 0


def test_what_is_too_much_for_one_call_takes_several(engine: Engine):
    client = PricingClient(address(engine.port, call_seconds=1.5))
    (found,) = run(client, [long_request(number, paths=10_000) for number in range(60)])
    assert ids(found) == list(range(60)) and client._call_requests < 256


def test_tls(tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    server = authority.sign("engine")
    with running_engine(processes=1, certificate_file=server.certificate, key_file=server.key) as engine:
        where = f"grpcs://localhost:{engine.port}"
        trusting = EngineAddress(where, authority_file=authority.certificate, call_seconds=10)
        assert ids(run(PricingClient(trusting), [request("secret")])[0]) == ["secret"]
        stranger = EngineAddress(where, call_seconds=5, attempts=1)
        with pytest.raises(Unavailable):
            run(PricingClient(stranger), [request()])
        missing = EngineAddress(where, authority_file=tmp_path / "none.pem", attempts=1)
        with pytest.raises(Unavailable, match="expected a PEM file"):
            run(PricingClient(missing), [request()])
