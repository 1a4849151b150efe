"""Whatever happens on the way to NATS, its streams end with what the log has, each event once."""

from collections.abc import Iterator

import pytest

from tests.faults.sinks.far_sides import NatsSide, until
from tests.proxy import Cut, Proxy, proxied
from tests.sink_support import following
from tests.support import eventually


@pytest.fixture
def proxy(nats_side: NatsSide) -> Iterator[Proxy]:
    with proxied(lambda: nats_side.server.port) as running:
        yield running


@pytest.mark.parametrize(
    "cut",
    [
        Cut(bytes_sent=40_000),
        Cut(text=b".c0.p0"),
        Cut(text=b"HPUB backoffice.booking.v1.LifecycleEventApplied"),
        Cut(text=b"HPUB bo.position", answered=True),
        Cut(text=b"STREAM.INFO.POSITIONS"),
    ],
    ids=["in bytes", "in an id", "in a correction", "before the answer", "on connecting"],
)
def test_a_connection_that_is_reset(nats_side: NatsSide, proxy: Proxy, cut: Cut):
    proxy.plan(cut)
    with following(nats_side.sink(proxy.port), nats_side.books.folder) as status:
        until(nats_side, lambda: proxy.cuts)
        eventually(lambda: status.state == "running", 60)
        nats_side.ties()
        assert status.refused == 0


def test_a_sink_that_was_killed_before_its_note_publishes_nothing_twice(nats_side: NatsSide):
    """The note of where it goes on is older than what it published."""
    folder, feeder = nats_side.books.folder, nats_side.feeder
    offsets = folder / "sinks" / "nats.offsets"
    feeder.step(100)
    with following(nats_side.sink(), folder):
        nats_side.ties()
        noted = eventually(lambda: offsets.exists() and offsets.read_bytes())
        feeder.step(100)
        nats_side.ties()
    offsets.write_bytes(noted)
    feeder.step(10)
    with following(nats_side.sink(), folder):
        nats_side.ties()
