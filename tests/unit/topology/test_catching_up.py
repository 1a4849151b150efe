"""Who reads figures of a later stage finds it at the log's end, or is told that it is not there."""

import threading
from contextlib import closing
from pathlib import Path

import pytest

from agents import mark_routing, position_routing, positions, trade_capture
from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from schemas.frames import encode_frames
from tests.support import booked, fill
from topology import catching_up
from topology.catching_up import behind_of, caught_up, step_to_the_end
from topology.control.entry import open_entry
from topology.log_reading import read_events
from topology.settings import Settings
from topology.stages import build_all, build_spine, build_stages, create_topics, stages_up_to


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", partitions=2)


def imported(settings: Settings, count: int = 5) -> None:
    with open_entry(settings) as entry:
        entry.submit([fill(f"t{number}", at=number) for number in range(count)])


def ledger_inputs(log: EmbeddedLog) -> int:
    return sum(1 for partition in range(2) for _ in read_events(log, topics.LEDGER_INPUT, partition))


def test_an_import_leaves_later_stages_alone_and_a_reader_brings_them_to_the_end(settings: Settings):
    imported(settings)
    with closing(EmbeddedLog.reader(settings.data)) as log:
        assert ledger_inputs(log) == 0
    told: list[str] = []
    seen: list[tuple[int, int]] = []
    with caught_up(
        settings, [position_routing.NAME], told.append, lambda *progress: seen.append(progress)
    ) as log:
        assert ledger_inputs(log) == 5
    assert told == []
    assert seen and seen[-1][0] == seen[-1][1] > 0
    seen.clear()
    with caught_up(
        settings, [position_routing.NAME], told.append, lambda *progress: seen.append(progress)
    ) as log:
        assert ledger_inputs(log) == 5
    assert (told, seen) == ([], []), "nothing is done twice"


def test_beside_an_owner_that_does_not_run_the_stage_this_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    imported(settings)
    monkeypatch.setattr(catching_up, "PATIENCE_SECONDS", 0.1)
    told: list[str] = []
    with (
        EmbeddedLog.owner(settings.data, sync="os"),
        caught_up(settings, [position_routing.NAME], told.append) as log,
    ):
        assert ledger_inputs(log) == 0
    (said,) = told
    assert said.startswith(
        "position_routing has not applied 1 records of its input: whoever owns the log does"
    )


def test_beside_an_owner_that_runs_the_stage_it_is_waited_for(settings: Settings):
    imported(settings)
    told: list[str] = []
    with EmbeddedLog.owner(settings.data, sync="os") as owner:
        stages = [stage for stage in build_stages(settings) if stage.name == position_routing.NAME]
        late = threading.Timer(0.3, step_to_the_end, (owner, stages, 2, settings))
        late.start()
        with caught_up(settings, [position_routing.NAME], told.append) as log:
            assert ledger_inputs(log) == 5
        late.join()
    assert told == []


def test_bookings_that_nobody_applied_are_applied_first(settings: Settings):
    with EmbeddedLog.owner(settings.data, sync="os") as log:
        create_topics(log, build_stages(settings), 2)
        transaction = log.transaction()
        transaction.append(topics.BOOKINGS.name, 0, None, encode_frames([booked()])[0])
        transaction.commit()
    with caught_up(settings, [position_routing.NAME], lambda _: None) as log:
        assert ledger_inputs(log) == 1
        stages = stages_up_to(build_all(settings), [position_routing.NAME])
        assert [behind_of(log, stage, 2) for stage in stages] == [0, 0, 0]


def test_where_there_is_no_log_none_is_made(settings: Settings):
    with pytest.raises(StateError), caught_up(settings, [position_routing.NAME], lambda _: None):
        pass
    assert not settings.data.exists()


def test_the_books_alone_where_the_settings_say_so(settings: Settings):
    books = settings.model_copy(update={"stages": "books"})
    assert [stage.name for stage in build_stages(books)] == [trade_capture.NAME, positions.NAME]
    assert [stage.name for stage in build_spine(settings)] == [trade_capture.NAME, positions.NAME]
    assert len(build_stages(settings)) > 2


def test_stages_are_built_behind_those_that_they_hang_on(settings: Settings):
    stages = build_all(settings)
    written: set[str] = set()
    for stage in stages:
        later = {topic.name for other in stages[stages.index(stage) :] for topic in other.outputs}
        needed = {stage.input.name, *(topic.name for topic in stage.broadcasts)}
        assert not needed & (later - written), f"{stage.name} reads what a stage behind it writes"
        written |= {topic.name for topic in stage.outputs}


def test_a_stage_brings_those_that_it_hangs_on(settings: Settings):
    stages = build_all(settings)
    assert [stage.name for stage in stages_up_to(stages, [position_routing.NAME])] == [
        trade_capture.NAME,
        positions.NAME,
        position_routing.NAME,
    ]
    assert [stage.name for stage in stages_up_to(stages, [mark_routing.NAME])] == [mark_routing.NAME]
