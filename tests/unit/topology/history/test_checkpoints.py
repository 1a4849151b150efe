"""Checkpoints: when they are taken, how far apart, and that none is used that is damaged or of another log."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents import positions
from agents.open_position import SUMMARY
from agents.trade_index import index_key
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.history import TableHistory
from connectors.embedded.log import EmbeddedLog
from schemas.identity import position_key
from schemas.murmur2 import partition_of_key
from schemas.topics import BOOKINGS
from tests.support import Books, booked
from topology.documents.views import view_of
from topology.history import upkeep as checkpoint_upkeep
from topology.history.checkpoints import (
    FOLDER,
    changelog_bytes,
    lots_page,
    opened_checkpoints,
    take_checkpoints,
)
from topology.history.points import Point
from topology.replaying.outcome import Span
from topology.replaying.replay import origin_of, replay_bookings, replay_whole
from topology.settings import Settings
from topology.verifying.verify import verify

GIBIBYTE = 1 << 30


@pytest.fixture
def books(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as found:
        _trade(found, 0, 40)
        yield found


def _trade(books: Books, first: int, last: int) -> None:
    for number in range(first, last):
        quantity = -7 if number % 4 == 3 else 3
        books.bookings(booked(f"t{number}", quantity, 100 + number, book=f"BOOK{number % 3}", at=number))
        books.run()


def _offsets(books: Books) -> list[int]:
    with opened_checkpoints(books.log) as checkpoints:
        if checkpoints is None:
            return []
        return [
            checkpoints.before(partition, books.log.end_offset(BOOKINGS.name, partition))
            for partition in range(2)
        ]


def _known_at(books: Books, sequence: int) -> list:
    with (
        opened_checkpoints(books.log) as checkpoints,
        view_of(books.log, known_at=Point(sequence=sequence), checkpoints=checkpoints) as view,
    ):
        return view.positions_documents(lots=True, matched=True)


def test_they_are_taken_as_the_log_grows(books: Books):
    assert _offsets(books) == []
    first = take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    assert first.rebuilt == "none yet" and first.taken == first.kept > 10 and first.spacing_bytes == 500
    again = take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    assert (again.taken, again.kept, again.rebuilt) == (0, first.kept, "")
    before = _offsets(books)
    _trade(books, 40, 60)
    more = take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    assert more.taken > 0 and more.kept == first.kept + more.taken
    assert all(now > then for now, then in zip(_offsets(books), before, strict=True))


def test_a_replay_goes_on_from_the_last_one_before_its_start(books: Books):
    take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    ends = [books.log.end_offset(BOOKINGS.name, partition) for partition in range(2)]
    spans = [Span(partition, end - 2, end) for partition, end in enumerate(ends)]
    whole, _ = replay_bookings(books.log, 2, spans)
    with opened_checkpoints(books.log) as checkpoints, origin_of(books.log, spans, checkpoints) as origin:
        assert all(0 < origin.offsets[span.partition] <= span.start for span in spans)
        seen: list[int] = []
        quick, _ = replay_bookings(books.log, 2, spans, seen.append, origin)
    assert sum(seen) < sum(ends) / 2
    assert quick.book_hash.hexadecimal == whole.book_hash.hexadecimal == books.hash()
    assert (quick.events, quick.applied) == (whole.events, whole.applied) == (4, 4)
    empty = [Span(partition, end - 2, end, empty=True) for partition, end in enumerate(ends)]
    with opened_checkpoints(books.log) as checkpoints:
        assert replay_whole(books.log, 2, empty, checkpoints=checkpoints).positions <= 4


def test_they_stand_farther_apart_where_they_would_be_too_many_or_too_large(books: Books):
    assert take_checkpoints(books.log, 500, 16, GIBIBYTE).spacing_bytes == 1_000
    _trade(books, 40, 90)
    grown = take_checkpoints(books.log, 500, 16, GIBIBYTE)
    assert grown.rebuilt == "spacing of 2000 bytes in place of 1000" and max(grown.partitions.values()) <= 16
    wide = take_checkpoints(books.log, 100, 1_000, GIBIBYTE)
    assert wide.spacing_bytes == 100
    smaller = take_checkpoints(books.log, 100, 1_000, 1)
    assert smaller.rebuilt == "larger than 1 bytes" and smaller.spacing_bytes == 200
    while not smaller.full:
        smaller = take_checkpoints(books.log, 100, 1_000, 1)
    assert smaller.taken == 0 and _offsets(books)[0] > 0


@pytest.mark.parametrize("damage", ["CURRENT", "*.sst", "MANIFEST*", "no note", "newer"])
def test_damaged_ones_are_left_out_and_made_again(books: Books, damage: str):
    take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    expected = _known_at(books, 60)
    folder = books.folder / FOLDER / "positions"
    notes = {"no note": b"[]", "newer": b'{"format": 2, "asked": 500, "spacing": 500}'}
    if damage in notes:
        with TableHistory.writer(folder, lots_page) as history:
            history.set_note(notes[damage])
    else:
        for file in folder.glob(damage):
            file.write_bytes(b"\x00" * file.stat().st_size)
    told: list[str] = []
    with opened_checkpoints(books.log, told.append) as checkpoints:
        assert checkpoints is None
    assert len(told) == 1 and "expected" in told[0]
    assert _known_at(books, 60) == expected
    assert take_checkpoints(books.log, 500, 1_000, GIBIBYTE).rebuilt
    assert _offsets(books)[0] > 0 and _known_at(books, 60) == expected


def test_those_of_a_log_that_lost_its_end_are_not_used(books: Books, tmp_path: Path):
    books.close()
    shutil.copytree(books.folder, tmp_path / "earlier")
    books.open()
    _trade(books, 40, 60)
    take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    shutil.copytree(books.folder / FOLDER, tmp_path / "earlier" / FOLDER)
    with Books(tmp_path / "earlier", partitions=2) as other:
        _trade(other, 60, 80)
        for sequence in (other.log.sequence, other.log.sequence - 9):
            assert _known_at(other, sequence) == _known_at_without(other, sequence)
        assert _offsets(other) == [0, 0]
        assert take_checkpoints(other.log, 500, 1_000, GIBIBYTE).rebuilt == "of another log"
        assert _offsets(other)[0] > 0


def _known_at_without(books: Books, sequence: int) -> list:
    with view_of(books.log, known_at=Point(sequence=sequence)) as view:
        return view.positions_documents(lots=True, matched=True)


def test_a_first_run_that_is_ended_is_gone_on_with(books: Books):
    class Ended(Exception):
        pass

    seen: list[int] = []

    def end_after_half(records: int) -> None:
        seen.append(records)
        if len(seen) == 20:
            raise Ended

    with pytest.raises(Ended):
        take_checkpoints(books.log, 500, 1_000, GIBIBYTE, end_after_half)
    assert _offsets(books) == []
    expected = _known_at(books, 60)
    again = take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    assert again.rebuilt == "none yet" and 0 < again.taken < again.kept
    assert all(_offsets(books)) and _known_at(books, 60) == expected


def test_verify_holds_them_against_the_tables(books: Books):
    def checks() -> dict[str, list[str]]:
        return {check.name: check.findings for check in verify(books.log)}

    assert "checkpoints" not in checks()
    take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    assert checks()["checkpoints"] == []
    folder = books.folder / FOLDER / "positions"
    home = partition_of_key(b"BOOK1", 2)
    with TableHistory.writer(folder, lots_page) as history:
        note = history.last(home)
        assert note is not None
        key = SUMMARY + position_key("BOOK1", "X")
        summary = dict(history.at(home, note.offset).scan(b""))[key]
        history.add(home, note, {key: None, SUMMARY + position_key("BOOK1", "Y"): summary})
    assert checks()["checkpoints"] != []
    for file in folder.glob("MANIFEST*"):
        file.write_bytes(b"damaged")
    assert any("expected checkpoints that can be read" in line for line in checks()["checkpoints"])


def test_what_changed_a_key_is_found_between_two_checkpoints(books: Books):
    take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    home = partition_of_key(b"BOOK1", 2)
    end = books.log.end_offset(BOOKINGS.name, home)
    with opened_checkpoints(books.log) as checkpoints:
        assert checkpoints is not None
        [(start, after), tail] = checkpoints.changed(home, index_key("BOOK1", "t4"))
        assert checkpoints.changed(home, index_key("BOOK1", "none")) == [tail]
    assert after - start <= end // 4 and tail[1] == end and end - tail[0] <= end // 4
    found = [
        event.trade_id
        for record in books.log.read(BOOKINGS.name, home, start, after - start, 1 << 20)
        for event in BOOKINGS.codec.decode(record.value)
    ]
    assert "t4" in found


def test_one_process_takes_them(books: Books):
    from connectors.embedded.database import OwnerLock

    lock = OwnerLock(books.folder / FOLDER)
    try:
        with pytest.raises(OwnedElsewhereError):
            take_checkpoints(books.log, 500, 1_000, GIBIBYTE)
    finally:
        lock.release()
    assert take_checkpoints(books.log, 500, 1_000, GIBIBYTE).taken > 0


def test_the_process_of_a_worker_ends_with_it(books: Books, monkeypatch: pytest.MonkeyPatch):
    arguments = [str(books.folder), "-1", "500", "1000", str(GIBIBYTE)]
    assert checkpoint_upkeep.main(arguments) == 0
    assert _offsets(books) == []
    monkeypatch.setattr("os.getppid", lambda: -1)
    assert checkpoint_upkeep.main(arguments) == 0
    assert _offsets(books)[0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such priority elsewhere")
def test_the_process_stands_back_before_it_loads_anything():
    code = (
        "import os, runpy, sys, types; found = []; upkeep = types.ModuleType('topology.history.upkeep'); "
        "upkeep.main = lambda arguments: found.append((os.sched_getscheduler(0), os.nice(0), arguments)) or 0; "
        "sys.modules['topology.history.upkeep'] = upkeep; sys.argv = ['', 'a'];\n"
        "try: runpy.run_module('topology.history.background', run_name='__main__')\n"
        "except SystemExit as end: print(found, end.code, 'rocksdict' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[({os.SCHED_IDLE}, 19, ['a'])] 0 False"


def test_a_worker_without_processes_left_goes_on(
    books: Books, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    class Enough(Exception):
        pass

    refused: list[tuple] = []

    async def refuse(*arguments: object, **options: object) -> None:
        refused.append(arguments)
        raise OSError(24, "Too many open files")

    async def wait(seconds: float) -> None:
        raise Enough

    monkeypatch.setattr("asyncio.create_subprocess_exec", refuse)
    monkeypatch.setattr("asyncio.sleep", wait)
    settings = Settings(data=books.folder, partitions=2, checkpoint_spacing_bytes=500)
    worker = SimpleNamespace(settings=settings, log=books.log)
    with pytest.raises(Enough):
        asyncio.run(checkpoint_upkeep.keep_checkpoints(worker))
    assert len(refused) == 1 and str(books.folder) in refused[0]
    none = SimpleNamespace(
        settings=settings.model_copy(update={"checkpoint_spacing_bytes": 0}), log=books.log
    )
    asyncio.run(checkpoint_upkeep.keep_checkpoints(none))
    assert len(refused) == 1


def test_a_changelog_that_does_not_begin_at_its_beginning_makes_none(tmp_path: Path):
    with Books(tmp_path / "data") as books:
        books.bookings(booked("t1"))
        books.run()
        changelog = positions.stage().changelog
        with EmbeddedLog.owner(tmp_path / "other", sync="os") as other:
            for name in (BOOKINGS.name, changelog):
                other.create_topic(name, 1)
            transaction = other.transaction()
            transaction.append(changelog, 0, b"s key", b"value")
            transaction.commit()
            assert changelog_bytes(other) == 0
            assert take_checkpoints(other, 1, 1_000, GIBIBYTE).taken == 0


def test_lots_are_kept_by_position():
    assert lots_page(b"lB1\x00X\x00order") == b"lB1\x00X"
    assert lots_page(b"lB1\x00X\x00") == b"lB1\x00X"
    assert [lots_page(key) for key in (b"lB1\x00X", b"l", b"sB1\x00X\x00", b"")] == [None] * 4
