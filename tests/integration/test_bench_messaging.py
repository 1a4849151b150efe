"""The figures of NATS can be measured, and say beside what."""

import pytest

from bench import messaging, runner
from connectors.servers.nats import available


@pytest.mark.skipif(not available(), reason="expected the program nats-server, found none")
def test_figures_of_nats(monkeypatch):
    monkeypatch.setattr(messaging, "BATCH_EVENTS", 200)
    monkeypatch.setattr(messaging, "LATENCY_SECONDS", 0.02)
    published, delay = runner.run(["nats"], 400)
    assert published.value
    assert published.ratio
    assert delay.value
    assert "200 positions" in delay.note
