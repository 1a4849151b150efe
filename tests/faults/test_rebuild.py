"""Tables gone, and kills while they are restored: the changelog makes them again, and the fills make both again."""

import subprocess
from pathlib import Path

import pytest

from agents import positions, trade_capture
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import RESTORED_KEY, decode_offset
from schemas.topics import FILLS
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import AFTER_WRITE, Worker
from tests.faults.test_faust_kill import outcome, start
from tests.faults.up_support import environment
from tests.support import Books

FILLS_NUMBER = 5_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole feed is applied."""
    folder = tmp_path_factory.mktemp("rebuild") / "data"
    stages_worker.run(folder, 7, FILLS_NUMBER, ahead=1)
    return folder


def copy(sound: Path, to: Path) -> Path:
    subprocess.run(["cp", "-r", str(sound), str(to)], check=True)
    return to


def delete_tables(folder: Path) -> None:
    """Remove every key of both tables, and how far they came into their changelogs."""
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        for stage in (trade_capture.NAME, positions.NAME):
            keys = list(books.table(stage))
            assert len(keys) > 20
            transaction = books.log.transaction()
            for partition, key in keys:
                transaction.delete(stage, partition, key)
            transaction.commit()


def test_deleted_tables_are_restored_from_the_changelog_at_the_start(sound: Path, tmp_path: Path):
    expected = outcome(copy(sound, tmp_path / "whole"))
    folder = copy(sound, tmp_path / "data")
    delete_tables(folder)
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.hash() != expected[0]
    with start(folder, 7, FILLS_NUMBER) as worker:
        worker.stdout.read()
    assert worker.returncode == 0
    assert outcome(folder) == expected


def unrestored(folder: Path) -> int:
    """Changelog records that the tables have not taken in yet."""
    with EmbeddedLog.owner(folder) as log:
        missing = 0
        for stage in (trade_capture.stage(), positions.stage()):
            restored = log.get(stage.table.name, 0, RESTORED_KEY)
            end = log.end_offset(stage.changelog, 0)
            missing += end - (0 if restored is None else decode_offset(restored) + 1)
        return missing


def tables(folder: Path) -> dict[str, dict[tuple[int, bytes], bytes]]:
    """Every key and value of both tables."""
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        return {stage: books.table(stage) for stage in (trade_capture.NAME, positions.NAME)}


def test_kills_while_tables_are_restored(sound: Path, tmp_path: Path):
    expected = tables(copy(sound, tmp_path / "whole"))
    folder = copy(sound, tmp_path / "data")
    delete_tables(folder)
    left = [unrestored(folder)]
    for halt in (("restoring", 4), ("restoring", 2), ("", 0), ("", 0)):
        with Worker(
            tmp_path / "marks", marked_worker.restoring, folder, environment=environment(), halt=halt
        ) as worker:
            if halt[0]:
                worker.until_halted()
            else:  # between what is written of one record and what comes after that
                worker.marks.set("halting", AFTER_WRITE)
                worker.until(lambda marks: marks.halted > 0)
            worker.kill()
        left.append(unrestored(folder))
    # Each kill fell into the restoring: some of it was done, and some was not.
    assert left == sorted(set(left), reverse=True) and left[-1] > 0, left
    with start(folder, 7, FILLS_NUMBER) as worker:
        worker.stdout.read()
    assert worker.returncode == 0 and unrestored(folder) == 0
    # Not only the books: what nobody has looked at since must be there as well.
    assert tables(folder) == expected


def test_the_fills_of_a_log_make_the_same_books_in_a_new_folder(sound: Path, tmp_path: Path):
    """Nothing but the fills is taken: neither tables nor changelog of the old folder."""
    expected = outcome(copy(sound, tmp_path / "whole"))
    folder = copy(sound, tmp_path / "data")
    with (
        Books(folder, partitions=stages_worker.PARTITIONS) as old,
        Books(tmp_path / "new", partitions=stages_worker.PARTITIONS, waiting_max=100_000) as new,
    ):
        for value in old.values(FILLS):
            new.append(FILLS, None, [value])
        new.run()
    assert outcome(tmp_path / "new") == expected
