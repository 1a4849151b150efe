"""R1: the state of positions is gone; the snapshot in Postgres and the bookings from its offset on give the same books."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agents import positions
from connectors.embedded.log import EmbeddedLog
from connectors.postgres.snapshots import SnapshotsSink, read_snapshots
from schemas.units import Action
from tests.postgres_support import execute, fetch, value
from tests.sink_support import write_all
from tests.support import Books, booked, fill
from topology.cli.application import run
from topology.rebuilding import rebuild as rebuilding

BOOKS = ("ALPHA", "BETA", "DELTA", "EPSILON")
"""Two of each partition, where there are two."""


def trades(first: int, last: int) -> list[Any]:
    found = []
    for number in range(first, last):
        book = BOOKS[number % 4]
        found.append(fill(f"t{number}", 5 - number % 11 or 3, 10 + number % 7, at=number * 10, book=book))
        if number % 6 == 4:
            amended = {"action": Action.AMEND, "original_trade_id": f"t{number - 3}"}
            found.append(
                fill(f"a{number}", 2, 11, at=number * 10 - 31, book=BOOKS[(number - 3) % 4], **amended)
            )
    return found


def lose_positions(folder: Path, partitions: int) -> None:
    """Delete the table of positions and all of its changelog."""
    with EmbeddedLog.owner(folder, sync="os") as log:
        transaction = log.transaction()
        for partition in range(partitions):
            for key, _ in list(log.scan(positions.NAME, partition, b"")):
                transaction.delete(positions.NAME, partition, key)
        transaction.commit()


@pytest.fixture
def two(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        yield books


@pytest.mark.parametrize("more", [0, 30])
def test_the_same_books_from_the_snapshot_and_the_bookings_after_it(
    two: Books, postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: int
):
    two.book(*trades(0, 60))
    # Refused by positions, before the snapshot and after it: what was set aside then is not asked for again.
    two.bookings(booked("t1", 99, book="BETA"))
    two.run()
    write_all(SnapshotsSink(postgres), two.folder)
    if more:
        two.book(*trades(60, 60 + more))
        two.bookings(booked("t2", 98, book="DELTA"))
        two.run()
    expected, table = two.hash(), two.table(positions.NAME)
    two.close()
    lose_positions(two.folder, 2)
    monkeypatch.setenv("PKS_POSTGRES", postgres)
    monkeypatch.setenv("PKS_PARTITIONS", "2")
    arguments = ["rebuild", "--stage", "positions", "--from-snapshot", "--data", str(two.folder), "--json"]
    assert run(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["book_hash"] == expected
    two.open()
    assert two.hash() == expected
    rebuilt = {
        place: stored for place, stored in two.table(positions.NAME).items() if place[1][:1] != b"\x00"
    }
    assert rebuilt == {place: stored for place, stored in table.items() if place[1][:1] != b"\x00"}
    # It goes on as if nothing had been.
    two.book(fill("next", 1, 1, at=10_000))
    two.close()
    assert run(["verify", "--data", str(two.folder), "--json"]) == 0
    two.open()


def test_only_the_bookings_after_it_are_applied(two: Books, postgres: str, monkeypatch: pytest.MonkeyPatch):
    two.book(*trades(0, 40))
    write_all(SnapshotsSink(postgres), two.folder)
    for number in range(40, 44):
        two.book(*trades(number, number + 1))
    expected = two.hash()
    two.close()
    snapshots = asyncio.run(read_snapshots(postgres))
    applied = []
    with rebuilding.open_to_rebuild(two.folder, "os") as log:
        done = rebuilding.rebuild(log, [positions.stage()], applied.append, snapshots)
        left = sum(
            log.end_offset("backoffice.booking.v1", place) - snapshots[place].mark.consumed
            for place in snapshots
        )
    assert len(snapshots) == 2
    assert done.book_hash == expected
    assert sum(applied) == left == 4
    two.open()


def test_the_snapshot_is_the_table(two: Books, postgres: str):
    for first in range(0, 40, 8):
        two.book(*trades(first, first + 8))
        write_all(SnapshotsSink(postgres), two.folder, events_max=2)
    rows = fetch(postgres, "select * from back_office.position_snapshot")
    found = {(row["log_partition"], row["key"]): row["value"] for row in rows}
    table = {place: stored for place, stored in two.table(positions.NAME).items() if place[1][:1] != b"\x00"}
    assert found == table


def test_a_snapshot_of_another_log_is_refused(
    two: Books,
    tmp_path: Path,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    two.book(*trades(0, 20))
    write_all(SnapshotsSink(postgres), two.folder)
    with Books(tmp_path / "other", partitions=2) as other:
        other.book(*trades(0, 40))
        expected = other.hash()
    monkeypatch.setenv("PKS_POSTGRES", postgres)
    monkeypatch.setenv("PKS_PARTITIONS", "2")
    arguments = ["rebuild", "--stage", "positions", "--from-snapshot", "--data", str(tmp_path / "other")]
    assert run(arguments) == 3
    assert "the snapshot is another log's" in capsys.readouterr().err
    with Books(tmp_path / "other", partitions=2) as other:
        assert other.hash() == expected, "the old state stands"
    execute(postgres, "update back_office.position_snapshot_mark set consumed = 1000000")
    two.close()
    assert run([*arguments[:-1], str(two.folder)]) == 3
    assert "up to 1000000" in capsys.readouterr().err
    two.open()
    assert value(postgres, "select count(*) from back_office.position_snapshot") > 0
