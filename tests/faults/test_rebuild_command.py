"""`pks rebuild`: what was deleted or changed is made anew from fills and bookings, and nothing that was sent moves."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rocksdict import WriteBatch

from agents import positions, trade_capture
from agents.stage import Stage
from connectors.embedded import layout
from connectors.embedded.replacing import new_name
from schemas import topics
from schemas.units import Action
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import Worker
from tests.faults.up_support import running
from tests.support import Book, Books, Instrument, RoutingRule, fill, soak_kills
from topology.cli import application

PARTITIONS = 2
STAGES = (trade_capture.stage(), positions.stage())
LETTERS = (topics.FILL_DEAD_LETTERS, topics.BOOKING_DEAD_LETTERS)
PUBLISHED = tuple(topic for topic in topics.TOPICS if topic is not topics.FILLS)


def books_of(folder: Path) -> Books:
    return Books(folder, partitions=PARTITIONS, waiting_max=1_000)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKS_PARTITIONS", str(PARTITIONS))
    monkeypatch.setenv("PKS_WAITING_CORRECTIONS_MAX", "1000")


def definition(**fields: Any) -> Any:
    return Instrument(event_id=f"i{len(fields)}", instrument="X", multiplier=10, currency="USD", **fields)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything in it."""
    return write_everything(tmp_path_factory.mktemp("sound") / "data")


def write_everything(folder: Path, stages: Sequence[Stage] | None = None) -> Path:
    """Definitions between fills, refusals, corrections that wait, ticks, what cannot be read."""
    with Books(folder, partitions=PARTITIONS, waiting_max=1_000, stages=stages) as books:
        batches = stages_worker.batches(17, 3_000)
        for batch in batches[:6]:
            books.book(*batch)
        books.book(fill("unrouted", 1, 1, book=None))
        books.define(definition(), RoutingRule(event_id="r", rule="r", book="ROUTED"))
        books.book(fill("routed", 1, 1, book=None))
        books.book(fill("t0", 99, 1), fill("wait", 1, 1, action=Action.CANCEL, original_trade_id="none"))
        books.tick(times=2)
        for batch in batches[6:]:
            books.fills(*batch)
        books.run()
        books.define(Book(event_id="b", book="B3", entity="E"))
        books.append(topics.FILLS, "x", [b"[not json"])
        books.run()
    return folder


class State:
    """What a folder holds that a rebuild makes anew, and what it must not touch."""

    def __init__(self, folder: Path) -> None:
        with books_of(folder) as books:
            self.hash = books.hash()
            self.counts = [books.counts(stage.name) for stage in STAGES]
            self.published = {topic.name: books.values(topic) for topic in PUBLISHED}
            self.offsets = [
                books.log.committed(stage.name, stage.input.name, partition)
                for stage in STAGES
                for partition in range(PARTITIONS)
            ]

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, State)
        return self.published == other.published and (self.hash, self.counts, self.offsets) == (
            other.hash,
            other.counts,
            other.offsets,
        )

    __hash__ = None


@contextmanager
def damaging(folder: Path) -> Iterator[tuple[Books, WriteBatch]]:
    with books_of(folder) as books:
        batch = WriteBatch(raw_mode=True)
        yield books, batch
        books.log.write(batch)


def without_changelogs(folder: Path) -> None:
    with damaging(folder) as (books, batch):
        for stage in STAGES:
            number = books.log.topics()[stage.changelog].number
            batch.delete_range(layout.log_prefix(number, 0), layout.log_prefix(number + 1, 0))


def without_tables(folder: Path) -> None:
    with damaging(folder) as (books, batch):
        for stage in STAGES:
            number = books.log.tables()[stage.table.name]
            batch.delete_range(layout.table_prefix(number, 0), layout.table_prefix(number + 1, 0))


def without_both(folder: Path) -> None:
    without_tables(folder)
    without_changelogs(folder)


def with_a_wrong_lot(folder: Path) -> None:
    """Half of the positions' table is gone, as no reader would notice."""
    with damaging(folder) as (books, batch):
        number = books.log.tables()[positions.NAME]
        keys = [(partition, key) for partition, key in books.table(positions.NAME) if key[:1] != b"\0"]
        assert len(keys) > 100
        for partition, key in keys[::2]:
            batch.delete(layout.table_prefix(number, partition) + key)


def rebuild(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert application.run(["rebuild", "--data", str(folder), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("damage", [without_changelogs, without_tables, without_both, with_a_wrong_lot])
def test_what_is_lost_is_made_anew_and_what_was_sent_stays(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
):
    expected, folder = State(sound), tmp_path / "data"
    shutil.copytree(sound, folder)
    damage(folder)
    found = rebuild(folder, capsys)
    assert found["book_hash"] == expected.hash
    assert (found["book_hash_before"] == expected.hash) is (damage is without_changelogs)
    assert found["stages"]["trade_capture"]["rejected"] >= 3
    assert State(folder) == expected
    assert application.run(["verify", "--data", str(folder), "--json"]) == 0
    # And the next step finds all that it would have found.
    shutil.copytree(sound, tmp_path / "clean")
    for place in (folder, tmp_path / "clean"):
        with books_of(place) as books:
            books.book(*stages_worker.batches(18, 500)[0], *stages_worker.batches(17, 1_000)[3])
    assert State(folder) == State(tmp_path / "clean")


def test_one_stage_alone(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    expected, folder = State(sound), tmp_path / "data"
    shutil.copytree(sound, folder)
    without_both(folder)
    found = rebuild(folder, capsys, "--stage", "positions")
    assert list(found["stages"]) == ["positions"] and found["book_hash"] == expected.hash
    assert State(folder).counts[0].read == 0
    rebuild(folder, capsys, "--stage", "trade_capture")
    assert State(folder) == expected


def test_what_the_stages_had_not_applied_is_left_to_them(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    with books_of(folder) as books:
        books.fills(*stages_worker.batches(18, 500)[0])
    shutil.copytree(folder, tmp_path / "clean")
    rebuild(folder, capsys)
    for place in (folder, tmp_path / "clean"):
        with books_of(place) as books:
            assert books.run() > 0
    assert State(folder) == State(tmp_path / "clean")


def test_letters_that_were_sent_again_were_not_sent_by_a_stage(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    with books_of(folder) as books:
        letters = [
            one.event_id for topic in LETTERS for one in books.dead_letters(topic) if one.kind == "rejected"
        ]
        bookings = len(books.events(topics.BOOKINGS))
    for letter in (letters[0], letters[-1], letters[-2]):
        assert application.run(["dlq", "retry", letter, "--data", str(folder)]) == 0
    capsys.readouterr()
    before = State(folder)
    with books_of(folder) as books:
        assert len(books.events(topics.BOOKINGS)) == bookings + 2
    rebuild(folder, capsys)
    assert State(folder) == before


def test_a_rebuild_that_would_not_send_what_was_sent_is_refused(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The settings are not those under which corrections waited: another state would come out, so the old one stands."""
    expected, folder = State(sound), tmp_path / "data"
    shutil.copytree(sound, folder)
    monkeypatch.setenv("PKS_WAITING_CORRECTIONS_MAX", "1")
    assert application.run(["rebuild", "--data", str(folder)]) == 3
    assert "rebuild.md" in capsys.readouterr().err
    assert State(folder) == expected
    monkeypatch.setenv("PKS_WAITING_CORRECTIONS_MAX", "1000")
    rebuild(folder, capsys)
    assert State(folder) == expected


def test_a_folder_that_a_worker_owns_is_left_alone(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    with running(folder, PKS_PARTITIONS=str(PARTITIONS)) as process:
        assert application.run(["rebuild", "--data", str(folder)]) == 3
        told = capsys.readouterr()
        assert told.out == "" and f"found process {process.pid} owning it; stop that process" in told.err
    assert application.run(["rebuild", "--data", str(tmp_path / "nothing")]) == 3
    assert not (tmp_path / "nothing").exists()


def kill_rebuild(folder: Path, marks: Path, phase: str, times: int) -> None:
    with Worker(
        marks, marked_worker.command, "rebuild", "--data", str(folder), halt=(phase, times)
    ) as worker:
        worker.until_halted()
        worker.kill()


def half_made(folder: Path) -> dict[str, int]:
    """How many records the new changelogs have that are not exchanged yet."""
    with books_of(folder) as books:
        return {
            stage.name: sum(
                books.log.end_offset(new_name(stage.changelog), partition) for partition in range(PARTITIONS)
            )
            for stage in STAGES
        }


def test_kills_in_a_rebuild_leave_the_old_state_or_the_new_one(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    expected, folder = State(sound), tmp_path / "data"
    shutil.copytree(sound, folder)
    for phase, times in (("rebuilding", 2), ("rebuilding", 3), ("exchanging", 1)):
        kill_rebuild(folder, tmp_path / "marks", phase, times)
        assert half_made(folder)["trade_capture"] > 0
        assert State(folder) == expected
    without_tables(folder)
    kill_rebuild(folder, tmp_path / "marks", "exchanging", 2)
    # Capture has its new state; positions have still none.
    made = half_made(folder)
    assert made["trade_capture"] == 0 and made["positions"] > 0
    state = State(folder)
    assert state.counts[0] == expected.counts[0] and state.counts[1].read == 0
    assert rebuild(folder, capsys)["book_hash"] == expected.hash
    assert State(folder) == expected
    with books_of(folder) as books:
        for stage in STAGES:  # no hole, which a reader of the changelog would take for records that are lost
            assert books.log.start_offset(stage.changelog, 0) == 0
        names = [*books.log.topics(), *books.log.tables()]
    assert not [name for name in names if name.endswith(new_name(""))]


def test_a_kill_in_the_exchange_is_before_or_after_it(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    expected, folder = State(sound), tmp_path / "data"
    shutil.copytree(sound, folder)
    without_changelogs(folder)
    with Worker(tmp_path / "marks", marked_worker.command, "rebuild", "--data", str(folder)) as worker:
        worker.until(lambda marks: marks.exchanging > 0, closely=True)
        worker.kill()
    assert State(folder) == expected
    rebuild(folder, capsys)
    assert State(folder) == expected


@pytest.mark.soak
def test_a_million_fills_and_no_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Tables and changelogs deleted, and rebuilds killed: the same books."""
    folder = tmp_path / "data"
    with books_of(folder) as books:
        for batch in stages_worker.batches(5, min(1_000_000, soak_kills() * 10_000)):
            books.fills(*batch)
            books.run()
    expected = State(folder)
    without_both(folder)
    for times in range(1, 1 + min(20, soak_kills())):
        kill_rebuild(folder, tmp_path / "marks", "rebuilding", times)
    assert rebuild(folder, capsys)["book_hash"] == expected.hash
    assert State(folder) == expected
