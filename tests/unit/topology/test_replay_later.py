"""A replay of a stage behind the books: the same span, the same table, and nothing of the log changed."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from agents import position_routing
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from tests.support import Instrument, fill
from topology.catching_up import caught_up
from topology.cli import application
from topology.control.entry import open_entry
from topology.replaying.later import replay_later, table_hash
from topology.replaying.outcome import Span
from topology.settings import Settings

PARTITIONS = 2


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder whose routing has come to the end, with a definition between the fills."""
    monkeypatch.setenv("PKS_PARTITIONS", str(PARTITIONS))
    found = Settings(data=tmp_path / "data")
    defined = [Instrument(event_id="i", instrument=name, underlying="U") for name in ("X", "Y")]
    for first in (0, 40):
        with open_entry(found) as entry:
            if first:
                entry.publish(topics.INSTRUMENTS, defined, lambda instrument: instrument.instrument)
            names = ["X", "Y"] if first else ["X"]
            entry.submit(
                fill(
                    f"t{number}",
                    at=number,
                    book=f"B{number % 7}",
                    instrument=names[number % len(names)],
                    entity=f"E{number % 3}",
                )
                for number in range(first, first + 40)
            )
        with caught_up(found, [position_routing.NAME], lambda _: None):
            pass
    return found


def test_it_comes_to_the_table_that_the_stage_has(settings: Settings):
    stage = position_routing.stage()
    with closing(EmbeddedLog.reader(settings.data)) as log:
        spans = [Span(place, 0, log.end_offset(topics.POSITIONS.name, place)) for place in range(PARTITIONS)]
        outcome, hashed = replay_later(log, PARTITIONS, spans, stage)
        assert (outcome.events, outcome.applied, outcome.rejected) == (80, 80, 0)
        assert hashed == table_hash(log, stage, PARTITIONS)
        part = [Span(span.partition, span.end // 2, span.end) for span in spans]
        again, same = replay_later(log, PARTITIONS, part, stage)
        assert same == hashed and 0 < again.events < 80
        other = [Span(span.partition, 0, span.end // 2) for span in spans]
        assert replay_later(log, PARTITIONS, other, stage)[1] != hashed


def test_the_command(settings: Settings, capsys: pytest.CaptureFixture[str]):
    command = ["replay", "--stage", position_routing.NAME, "--data", str(settings.data), "--json"]
    found = []
    for _ in range(2):
        assert application.run(command) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert {name: found[0][name] for name in ("events", "applied", "duplicates", "rejected", "waiting")} == {
        "events": 80, "applied": 80, "duplicates": 0, "rejected": 0, "waiting": 0,
    }  # fmt: skip
    assert found[0]["table_hash"] == found[1]["table_hash"]
    assert found[0]["book_hash"] is None


@pytest.mark.parametrize("command", ["replay", "rebuild"])
def test_a_stage_that_is_none_is_named(settings: Settings, capsys: pytest.CaptureFixture[str], command: str):
    assert application.run([command, "--stage", "ledgers", "--data", str(settings.data)]) == 2
    fault = capsys.readouterr().err
    assert "--stage: expected one of trade_capture, positions, position_routing" in fault.replace("\n", " ")
    assert "found 'ledgers'" in fault.replace("\n", " ")


def test_a_rebuild_makes_the_table_anew_where_it_is_asked_for(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    """By itself it makes only what does not hang on when definitions were read."""
    stage = position_routing.stage()
    with closing(EmbeddedLog.reader(settings.data)) as log:
        before = table_hash(log, stage, PARTITIONS)
    assert application.run(["rebuild", "--data", str(settings.data), "--json"]) == 0
    assert position_routing.NAME not in json.loads(capsys.readouterr().out)["stages"]
    command = ["rebuild", "--stage", position_routing.NAME, "--data", str(settings.data), "--json"]
    assert application.run(command) == 0
    assert json.loads(capsys.readouterr().out)["stages"][position_routing.NAME]["applied"] == 80
    with closing(EmbeddedLog.reader(settings.data)) as log:
        assert table_hash(log, stage, PARTITIONS) == before
    assert application.run(["verify", "--data", str(settings.data)]) == 0
