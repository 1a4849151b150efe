"""The pricing engine and the bridge to it, killed, slow, cut off and flapping: every price request has its answer in the
end, and nobody waits for it. All of them are real processes: the worker, the sink that it supervises, the engine."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.log import EmbeddedLog
from schemas import topics, valuation
from schemas.frames import wire
from tests.faults import stages_worker
from tests.faults.up_support import started
from tests.pricing_engine_support import Engine, long_request, request, running_engine
from tests.proxy import Cut, Proxy, proxied
from tests.support import eventually
from topology.control.entry import records_of
from topology.control.protocol import ControlClient, Request
from topology.sinks.status import read_statuses

PriceRequested = wire(valuation.PriceRequested)
PATIENCE_SECONDS = 60.0


class Stand:
    """A worker with the bridge, an engine behind a proxy, and what was asked of it."""

    def __init__(self, data: Path, port: Callable[[int], None]) -> None:
        self.data = data
        self.asked: list[str] = []
        self._port = port
        self._engines = ExitStack()
        self.engine: Engine | None = None

    def start_engine(self) -> None:
        self.engine = self._engines.enter_context(running_engine(processes=1))
        self._port(self.engine.port)

    def kill_engine(self) -> None:
        assert self.engine is not None
        self.engine.process.kill()
        self.engine.process.wait()

    def close(self) -> None:
        self._engines.close()

    def ask(self, count: int, paths: int = 0) -> None:
        """Ask for prices of new instruments; with `paths`, simulations."""
        numbers = range(len(self.asked), len(self.asked) + count)
        found = [
            PriceRequested(
                event_id=f"r{number}",
                instrument=f"I{number}",
                underlying=f"U{number % 7}",
                event_time=number,
                request=long_request(f"r{number}", paths) if paths else request(f"r{number}"),
            )
            for number in numbers
        ]
        self.asked += [event.event_id for event in found]
        client = ControlClient(self.data)
        records = records_of(
            topics.PRICE_REQUESTS, found, lambda event: event.instrument, stages_worker.PARTITIONS
        )
        client.ask(Request("append", records=records))
        client.close()

    def answers(self) -> dict[str, Any]:
        """What stands in the log, by id."""
        log = EmbeddedLog.reader(self.data)
        try:
            topic = topics.VALUATION_INPUT
            return {
                event.event_id: event
                for partition in range(stages_worker.PARTITIONS)
                for record in log.read(topic.name, partition, 0, 1_000_000, 1 << 40)
                for event in topic.codec.decode(record.value)
                if isinstance(event, wire(valuation.PriceAnswered))
            }
        finally:
            log.close()

    def answered(self) -> int:
        return sum(1 for name in self.answers() if name.endswith("/answer"))

    def ties(self) -> None:
        """Wait until every request has its real answer."""
        wanted = {f"{name}/answer" for name in self.asked}
        eventually(lambda: wanted <= self.answers().keys(), timeout=PATIENCE_SECONDS)
        for name, event in self.answers().items():
            answer = json.loads(event.answer)
            assert event.causation_id == name.rpartition("/")[0]
            if name.endswith("/answer"):
                assert answer["id"] == event.causation_id and "price" in answer
        eventually(lambda: self.status().state == "running" and not self.status().lag_records)

    def status(self) -> Any:
        return next(status for status in read_statuses(self.data) if status.name == "pricing")


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stand, Proxy]]:
    data = tmp_path_factory.mktemp("pricing") / "data"
    target = [1]
    with proxied(lambda: target[0]) as proxy:
        settings = {
            "PKS_PRICING_ENGINE": f"grpc://localhost:{proxy.port}",
            "PKS_PRICING_ENGINE_SECONDS": "1.5",
            "PKS_STAGES": "books",
        }
        with started(data, **settings):
            stand = Stand(data, lambda port: target.__setitem__(0, port))
            stand.start_engine()
            try:
                yield stand, proxy
            finally:
                stand.close()


def test_requests_of_the_log_are_answered(stand: tuple[Stand, Proxy]):
    stand[0].ask(300)
    stand[0].ties()
    assert not any(name.endswith("/away") for name in stand[0].answers())


def test_an_engine_that_is_killed_in_the_middle(stand: tuple[Stand, Proxy]):
    here = stand[0]
    before = here.answered()
    here.ask(40, paths=2_000)
    eventually(lambda: here.answered() > before, timeout=PATIENCE_SECONDS)
    here.kill_engine()
    eventually(lambda: here.status().state == "open", timeout=PATIENCE_SECONDS)
    # Who waits hears that nobody answers, and the request stands.
    eventually(lambda: any(name.endswith("/away") for name in here.answers()), timeout=PATIENCE_SECONDS)
    here.ask(50)
    here.start_engine()
    here.ties()


def test_an_engine_that_stands_still(stand: tuple[Stand, Proxy]):
    here = stand[0]
    assert here.engine is not None
    os.kill(here.engine.process.pid, signal.SIGSTOP)
    here.ask(40)
    eventually(lambda: here.status().failures > 0, timeout=PATIENCE_SECONDS)
    os.kill(here.engine.process.pid, signal.SIGCONT)
    here.ties()


def test_a_connection_that_is_cut(stand: tuple[Stand, Proxy]):
    here, proxy = stand
    cuts = proxy.cuts
    for answered in (False, True):
        proxy.plan(Cut(text=f'"id": "r{len(here.asked)}"'.encode(), answered=answered))
        here.ask(30)
        here.ties()
    assert proxy.cuts == cuts + 2


def test_an_engine_that_flaps(stand: tuple[Stand, Proxy]):
    here = stand[0]
    for _ in range(2):
        here.ask(20, paths=1_000)
        here.kill_engine()
        here.ask(10)
        here.start_engine()
    here.ties()


def test_the_bridge_is_killed_in_the_middle(stand: tuple[Stand, Proxy]):
    here = stand[0]
    before = here.answered()
    here.ask(40, paths=2_000)
    eventually(lambda: here.answered() > before, timeout=PATIENCE_SECONDS)
    os.kill(here.status().process, signal.SIGKILL)
    here.ties()
