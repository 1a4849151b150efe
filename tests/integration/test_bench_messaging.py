"""The figures of sinks can be measured, and say beside what."""

import pytest

from bench import connectors, messaging, runner, stopped_sink
from connectors.servers import nats, postgres
from tests.questdb_support import need_questdb


@pytest.mark.skipif(not nats.available(), reason="expected the program nats-server, found none")
def test_figures_of_nats(monkeypatch):
    monkeypatch.setattr(messaging, "BATCH_EVENTS", 200)
    monkeypatch.setattr(messaging, "LATENCY_SECONDS", 0.02)
    published, delay = runner.run(["nats"], 400)
    assert published.value
    assert published.ratio
    assert delay.value
    assert "200 positions" in delay.note


def test_figures_of_questdb(monkeypatch):
    need_questdb()
    monkeypatch.setattr(messaging, "BATCH_EVENTS", 200)
    monkeypatch.setattr(messaging, "QUESTDB_SECONDS", 0.05)
    confirmed, written = runner.run(["questdb"], 400)
    assert confirmed.value and confirmed.reference
    assert "of 250 bookings" in confirmed.note
    assert written.ratio


@pytest.mark.skipif(not postgres.available(), reason="expected the programs of PostgreSQL, found none")
def test_figures_of_postgres(monkeypatch):
    monkeypatch.setattr(connectors, "ROUNDS", 1)
    monkeypatch.setattr(connectors, "WARM_SECONDS", 0.1)
    monkeypatch.setattr(connectors, "PACED_SECONDS", 0.3)
    caught_up, committed = runner.run(["connectors"], 3_000)
    assert caught_up.ratio
    assert committed.ratio


@pytest.mark.skipif(not postgres.available(), reason="expected the programs of PostgreSQL, found none")
def test_figures_of_a_stopped_sink(monkeypatch):
    monkeypatch.setattr(stopped_sink, "WARM_SECONDS", 0.2)
    monkeypatch.setattr(stopped_sink, "PART_SECONDS_MIN", 0.2)
    stopped, sent, catching_up, sent_meanwhile = runner.run(["stopped-sink"], 400)
    assert all(row.ratio for row in (stopped, sent, catching_up, sent_meanwhile))
    # Four quarters and what warms up: it ties only where Postgres has them all.
    assert "5,000 fills sent, as many in Postgres" in catching_up.note
