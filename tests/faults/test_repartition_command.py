"""`pks topology repartition`: kills leave the old state or the new one, and a worker goes on with the new number."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.replacing import new_name
from connectors.embedded.retention import Retention
from schemas import topics
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import Worker
from tests.faults.test_rebuild_command import PARTITIONS, write_everything
from tests.faults.up_support import running
from tests.ledger_support import day_closed, movement
from tests.property.topology.test_repartition_later import figures
from tests.support import MONDAY, SECOND, Books, fill, soak_kills
from tests.valuation_support import mark
from topology.cli import application
from topology.settings import Settings
from topology.stages import build_all

NEW = 5
STAGES = build_all(Settings(waiting_corrections_max=1_000))


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKS_WAITING_CORRECTIONS_MAX", "1000")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two partitions with everything in it, which every stage has read."""
    folder = write_everything(tmp_path_factory.mktemp("sound") / "data", STAGES)
    with all_stages(folder, PARTITIONS) as books:
        marks = [mark(name, str(90 + number), MONDAY) for number, name in enumerate(("X", "Y", "EUR/USD"))]
        books.append_events(topics.MARKS, marks, topics.MARKS.key_of)
        moved = [movement(f"m{number}", "100", entity=f"E{number}", book="B1") for number in range(5)]
        books.append_events(topics.LEDGER_INPUT, moved, topics.entity_key)
        books.run()
        ends = [day_closed(f"B{number}", "2026-01-05") for number in range(4)]
        books.append_events(topics.BOOKINGS, ends, topics.BOOKINGS.key_of)
        books.run()
    return folder


def all_stages(folder: Path, partitions: int) -> Books:
    return Books(folder, partitions=partitions, stages=STAGES)


def later_figures(folder: Path, partitions: int) -> dict[str, Any]:
    """What the stages behind the books have come to."""
    with all_stages(folder, partitions) as books:
        return figures(books)


def books_of(folder: Path, partitions: int) -> Books:
    return Books(folder, partitions=partitions, waiting_max=1_000)


def book_hash(folder: Path, partitions: int) -> str:
    with books_of(folder, partitions) as books:
        return books.hash()


def move(folder: Path, partitions: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    command = ["topology", "repartition", "--partitions", str(partitions), "--data", str(folder), "--json"]
    assert application.run(command) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_moves_a_log_and_says_so(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(sound, tmp_path / "data"))
    expected = book_hash(folder, PARTITIONS)
    later = later_figures(folder, PARTITIONS)
    found = move(folder, NEW, capsys)
    assert later_figures(folder, NEW) == later
    assert (found["partitions_before"], found["partitions"]) == (PARTITIONS, NEW)
    assert found["book_hash_before"] == found["book_hash"] == expected
    for command in ("verify", "rebuild"):
        monkeypatch.setenv("PKS_PARTITIONS", str(NEW))
        assert application.run([command, "--data", str(folder)]) == 0
    with books_of(folder, NEW) as books:
        names = [*books.log.topics(), *books.log.tables()]
        assert not [name for name in names if name.endswith(new_name(""))]
        places = {(topic, partition) for _, topic, partition in books.log.commits()}
        assert max(partition for topic, partition in places if topic == topics.FILLS.name) == NEW - 1
    # The old number is no longer that of the log, and the error says what to do.
    capsys.readouterr()
    monkeypatch.setenv("PKS_PARTITIONS", str(PARTITIONS))
    # A worker that somebody has on this machine has the default name.
    monkeypatch.setenv("PKS_SHARED_MEMORY", "")
    assert application.run(["up", "--data", str(folder), "--web-port", "0"]) == 3
    assert "pks topology repartition" in capsys.readouterr().err


def test_kills_in_a_move_leave_the_old_state_or_the_new_one(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(sound, tmp_path / "data"))
    expected, later = book_hash(folder, PARTITIONS), later_figures(folder, PARTITIONS)
    for number, place in enumerate(
        [("copying", 1), ("copying", 40), ("rebuilding", 2), ("carrying", 1), ("carrying", 9), ("moving", 1)]
    ):
        # Another number each time: what a killed attempt has left must not stand in the way of any.
        command = ("topology", "repartition", "--partitions", str(NEW + number), "--data", str(folder))
        with Worker(tmp_path / "marks", marked_worker.command, *command, halt=place) as worker:
            worker.until_halted()
            worker.kill()
        assert book_hash(folder, PARTITIONS) == expected
        assert later_figures(folder, PARTITIONS) == later
        monkeypatch.setenv("PKS_PARTITIONS", str(PARTITIONS))
        assert application.run(["verify", "--data", str(folder), "--quick"]) == 0
    # A kill at the exchange itself: one or the other.
    command = ("topology", "repartition", "--partitions", str(NEW), "--data", str(folder))
    with Worker(tmp_path / "marks", marked_worker.command, *command) as worker:
        worker.until(lambda marks: marks.moving > 0, closely=True)
        worker.kill()
    capsys.readouterr()
    monkeypatch.delenv("PKS_PARTITIONS")
    assert application.run(["book-hash", "--data", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["book_hash"] == expected
    assert move(folder, NEW + 1, capsys)["book_hash"] == expected
    assert later_figures(folder, NEW + 1) == later
    monkeypatch.setenv("PKS_PARTITIONS", str(NEW + 1))
    assert application.run(["verify", "--data", str(folder)]) == 0


def test_a_worker_goes_on_where_the_log_was_moved(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(sound, tmp_path / "data"))
    twin = Path(shutil.copytree(sound, tmp_path / "twin"))
    with running(folder, PKS_PARTITIONS=str(PARTITIONS)) as process:
        command = ["topology", "repartition", "--partitions", "3", "--data", str(folder)]
        assert application.run(command) == 3
        assert f"found process {process.pid} owning it" in capsys.readouterr().err
    move(folder, 3, capsys)
    monkeypatch.setenv("PKS_PARTITIONS", "3")
    file = tmp_path / "more.csv"
    file.write_text(
        "trade_id,book,instrument,side,quantity,price,executed_at\n"
        + "".join(f"m{n},B{n % 9},X,BUY,{n + 1},7,2026-02-01T00:00:00Z\n" for n in range(50))
    )
    with running(folder, PKS_PARTITIONS="3"):
        assert application.run(["import", str(file), "--format", "canonical", "--data", str(folder)]) == 0
    monkeypatch.setenv("PKS_PARTITIONS", str(PARTITIONS))
    assert application.run(["import", str(file), "--format", "canonical", "--data", str(twin)]) == 0
    assert book_hash(folder, 3) == book_hash(twin, PARTITIONS)
    for place, partitions in ((folder, 3), (twin, PARTITIONS)):
        with all_stages(place, partitions) as books:
            books.run()
    assert later_figures(folder, 3)["ledger"] == later_figures(twin, PARTITIONS)["ledger"]
    monkeypatch.setenv("PKS_PARTITIONS", "3")
    assert application.run(["verify", "--data", str(folder)]) == 0


def test_letters_keep_their_ids_and_are_sent_again_to_the_partition_of_their_key(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(sound, tmp_path / "data"))
    with books_of(folder, PARTITIONS) as books:
        letters = {letter.event_id: letter for letter in books.dead_letters() if letter.kind == "rejected"}
    move(folder, 1, capsys)
    monkeypatch.setenv("PKS_PARTITIONS", "1")
    for identity in letters:
        assert application.run(["dlq", "retry", identity, "--data", str(folder)]) == 0
    with books_of(folder, 1) as books:
        again = [letter.event_id for letter in books.dead_letters() if hasattr(letter, "original")]
    # Those that were refused again have new ids: their places are of another generation.
    assert len(again) == len(set(again)) and letters.keys() < set(again)
    assert application.run(["verify", "--data", str(folder)]) == 0
    assert application.run(["rebuild", "--data", str(folder)]) == 0
    capsys.readouterr()


def test_what_retention_took_stays_known_as_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "data"
    now = MONDAY
    with Books(folder, partitions=PARTITIONS, clock=lambda: now) as books:
        for number in range(40):
            books.book(fill(f"t{number}", 1, 1, book=f"B{number % 4}"))
        now += 8 * 86_400 * SECOND
        for number in range(40, 50):
            books.book(fill(f"t{number}", 1, 1, book=f"B{number % 4}"))
        assert Retention(books.log, lambda: now).run_round() > 0
        trimmed = [books.log.start_offset(topics.POSITIONS.name, place) for place in range(PARTITIONS)]
        assert max(trimmed) > 0
    move(folder, 7, capsys)
    monkeypatch.setenv("PKS_PARTITIONS", "7")
    assert application.run(["verify", "--data", str(folder)]) == 0


def test_a_move_to_the_number_that_is_there_or_of_nothing_is_refused(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = Path(shutil.copytree(sound, tmp_path / "data"))
    for partitions, place, told in (
        (PARTITIONS, folder, "one with 2 already"),
        (4, tmp_path / "nothing", "expected a data folder with a log"),
    ):
        command = ["topology", "repartition", "--partitions", str(partitions), "--data", str(place)]
        assert application.run(command) == 3
        assert told in capsys.readouterr().err
    assert application.run(["topology", "repartition", "--partitions", "0", "--data", str(folder)]) == 2


def test_a_log_in_which_one_id_corrects_two_trades_is_not_moved_to_where_they_meet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Capture knows ids by partition: there the second would have been refused, and its booking stands."""
    from schemas.units import Action

    folder = tmp_path / "data"
    with books_of(folder, 4) as books:
        books.book(*(fill(f"t{number}", 1, 1) for number in range(8)))
        for number in range(8):
            books.book(fill("same", 2, 1, action=Action.AMEND, original_trade_id=f"t{number}"))
        expected = books.hash()
        assert books.counts().refused not in (0, 7)
    command = ["topology", "repartition", "--partitions", "1", "--data", str(folder)]
    assert application.run(command) == 3
    assert "repartition.md" in capsys.readouterr().err
    assert book_hash(folder, 4) == expected


@pytest.mark.soak
def test_a_million_fills_moved_and_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "data"
    with books_of(folder, 4) as books:
        for batch in stages_worker.batches(5, min(1_000_000, soak_kills() * 10_000)):
            books.fills(*batch)
            books.run()
        expected = books.hash()
    for times in range(1, 1 + min(20, soak_kills())):
        command = ("topology", "repartition", "--partitions", str(4 + times), "--data", str(folder))
        with Worker(tmp_path / "marks", marked_worker.command, *command, halt=("copying", times)) as worker:
            worker.until_halted()
            worker.kill()
    for partitions in (16, 3, 8):
        assert move(folder, partitions, capsys)["book_hash"] == expected
