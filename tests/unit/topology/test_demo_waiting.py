"""The demonstration waits for what is under way, not for ever, and says what for and what to do."""

import asyncio
from pathlib import Path

import pytest

from topology.demo import elsewhere
from topology.demo.elsewhere import Answer, Positions
from topology.demo.waiting import advice, outstanding
from topology.settings import Settings
from topology.sinks.status import SinkStatus, write_status

SHOWN = [{"book": "B", "instrument": "X", "quantity": "5", "realised_pnl": "0"}]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(elsewhere, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(elsewhere, "WAIT_SECONDS_MAX", 0.4)
    monkeypatch.setattr(elsewhere, "WAIT_NOTICED_SECONDS", 0.0)
    monkeypatch.setattr(elsewhere, "_PAUSE_SECONDS", 0.01)
    return Settings(data=tmp_path)


def asked(settings: Settings, right_after: int | None) -> tuple[Answer, int]:
    """The answer of a server that is right from one question on, and how often it was asked."""
    questions = 0

    async def ask(_: Settings, wanted: Positions) -> Positions:
        nonlocal questions
        questions += 1
        return wanted if right_after is not None and questions > right_after else {}

    answer = asyncio.run(elsewhere._ask("nats", settings, SHOWN, ask, lambda: "asked", 2))
    return answer, questions


def behind(settings: Settings, records: int) -> None:
    write_status(settings.data, SinkStatus("nats", state="running", lag_records=records))


def test_a_sink_that_is_behind_is_waited_for_longer_than_an_answer(settings: Settings):
    behind(settings, 7)
    answer, _ = asked(settings, 15)
    assert answer.equal
    assert answer.waited_for.endswith("its sink nats is running, 7 records behind")


def test_what_stays_under_way_is_given_up_and_what_is_not_under_way_sooner(settings: Settings):
    behind(settings, 7)
    late, questions = asked(settings, None)
    assert not late.equal and questions > 15
    behind(settings, 0)
    wrong, questions_of_wrong = asked(settings, None)
    assert not wrong.equal and questions_of_wrong < 15


def test_what_differs_says_what_is_known_and_what_to_do(settings: Settings):
    write_status(
        settings.data, SinkStatus("nats", state="open", failures=9, trouble="NATS: expected", refused=2)
    )
    assert asyncio.run(outstanding("nats", settings)) == (
        "its sink nats is open, 0 records behind, 2 refused (NATS: expected)"
    )
    told = advice("nats", settings)
    assert told.startswith(
        "nats differs: its sink nats is open, 0 records behind, 2 refused (NATS: expected). "
    )
    assert f"pks sinks --data {settings.data}" in told and "docs/operating/sink-down.md" in told
    assert "its sink redis never ran" in advice("redis", settings)
