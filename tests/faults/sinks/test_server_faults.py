"""Whatever happens to a server, it ends with what the log has, each event once, and the books go on meanwhile."""

import signal
import time

import pytest

from tests.faults.sinks.far_sides import FarSide, until
from tests.sink_support import following
from tests.support import eventually


@pytest.fixture(params=["postgres_side", "nats_side", "questdb_side", "redis_side"])
def side(request: pytest.FixtureRequest) -> FarSide:
    return request.getfixturevalue(request.param)


def test_killed_and_started_again(side: FarSide):
    with following(side.sink(), side.books.folder) as status:
        for _ in range(2):
            written = status.written
            until(side, lambda before=written: status.written > before + 50)
            side.server.kill()
            until(side, lambda: status.failures)
            side.server.start()
        side.ties()
        assert status.refused == 0


def test_stopped_and_started_again_in_order(side: FarSide):
    with following(side.sink(), side.books.folder) as status:
        until(side, lambda: status.written > 50)
        side.server.stop()
        until(side, lambda: status.failures)
        side.server.start()
        side.ties()
        assert status.refused == 0


@pytest.mark.parametrize(
    "seconds",
    [
        5.0,
        pytest.param(60.0, marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
        # Beyond the two minutes for which NATS remembers ids.
        pytest.param(360.0, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_server_that_hangs(side: FarSide, seconds: float):
    with following(side.sink(), side.books.folder) as status:
        until(side, lambda: status.written > 50)
        side.server.signal(signal.SIGSTOP)
        hangs_until = time.monotonic() + seconds
        try:
            side.step()
            before = side.books.log.sequence
            eventually(lambda: time.monotonic() > hangs_until, timeout=seconds + 5)
            side.step()
            assert side.books.log.sequence > before, "the books go on"
        finally:
            side.server.signal(signal.SIGCONT)
        side.ties()
        assert status.refused == 0
