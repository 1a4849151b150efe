"""Tables gone, and kills while they are restored: the changelog makes them again, and the fills make both again."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from agents import positions, trade_capture
from schemas.topics import FILLS
from tests.faults import stages_worker
from tests.faults.test_faust_kill import outcome, start
from tests.support import Books

FILLS_NUMBER = 5_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole feed is applied."""
    folder = tmp_path_factory.mktemp("rebuild") / "data"
    stages_worker.run(folder, 7, FILLS_NUMBER)
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


def test_kills_while_tables_are_restored(sound: Path, tmp_path: Path):
    expected = outcome(copy(sound, tmp_path / "whole"))
    folder = copy(sound, tmp_path / "data")
    delete_tables(folder)
    choose = random.Random(3)
    killed = 0
    for _ in range(5):
        with start(folder, 7, FILLS_NUMBER) as worker:
            try:
                worker.wait(choose.uniform(0.3, 0.9))
            except subprocess.TimeoutExpired:
                os.kill(worker.pid, signal.SIGKILL)
                killed += 1
    with start(folder, 7, FILLS_NUMBER) as worker:
        worker.stdout.read()
    assert worker.returncode == 0 and killed > 0
    assert outcome(folder) == expected


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
