"""`pks shm`: what it prints is what another process sees, and what it says where there is nothing."""

import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.shm.layout import DIRECTORY
from connectors.shm.mapping import Mapping
from connectors.shm.writer import PositionWriter
from schemas.fields import FIELDS
from schemas.murmur2 import partition_of_key
from tests.support import eventually
from topology.cli.application import run

ROOT = Path(__file__).parents[4]
WATCH = (
    # A shell that started the tests in the background made every child ignore Ctrl-C.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from topology.cli import main; main()"
)


@pytest.fixture
def writer(shared_memory_name, monkeypatch):
    monkeypatch.setenv("PKS_SHARED_MEMORY", shared_memory_name)
    opened = PositionWriter(shared_memory_name, slots=16, partitions=4)
    put(opened, "B2", "Y", 2)
    put(opened, "B1", "X", 1)
    opened.claim()
    yield opened
    opened.close(keep=False)


def put(writer, book, instrument, number, revision=7):
    figures = (
        Decimal(number),
        None,
        Decimal("1E+2"),
        Decimal("0.3").scaleb(-40) / 7,
        Decimal(0),
        Decimal("-1.50"),
    )
    partition = partition_of_key(book.encode(), 4)
    writer.write((book, instrument), partition, "USD", figures, (number, revision), (0, 1_500_000_000))


def document(capsys, *arguments):
    assert run(["shm", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_dump_has_the_fields_of_the_catalogue_as_plain_text(writer, shared_memory_name, capsys):
    found = document(capsys, "dump")
    assert found["name"] == shared_memory_name
    first, second = found["positions"]
    assert [first["book"], second["book"]] == ["B1", "B2"]
    assert set(first) >= {field.name for field in FIELDS}
    assert (first["quantity"], first["average_price"], first["cost_basis"], first["fees"]) == (
        "1",
        None,
        "100",
        "-1.5",
    )
    assert first["realised_pnl"].startswith("0.000") and "E" not in first["realised_pnl"]
    assert (first["lots_open"], first["revision"]) == (1, 7)
    assert (first["executed_at"], first["updated_at"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01.5Z")
    assert (first["currency"], first["status"], first["inexact"]) == ("USD", "live", [])
    assert first["owner_epoch"] == writer.epoch


def test_dump_of_one_book_or_instrument(writer, capsys):
    assert [each["book"] for each in document(capsys, "dump", "--book", "B2")["positions"]] == ["B2"]
    assert [each["book"] for each in document(capsys, "dump", "--instrument", "X")["positions"]] == ["B1"]
    assert document(capsys, "dump", "--book", "B1", "--instrument", "Y")["positions"] == []


def test_dump_says_what_is_not_live(writer, capsys):
    writer.release(range(4))
    assert {each["status"] for each in document(capsys, "dump")["positions"]} == {"not owned"}


def test_stat_shows_the_writer_and_its_room(writer, shared_memory_name, capsys):
    writer.committed(12)
    writer.heartbeat(11)
    found = document(capsys, "stat")
    assert (found["name"], found["live"]) == (shared_memory_name, True)
    assert (found["partitions"], found["partitions_without_owner"]) == (4, 0)
    [segment] = found["segments"]
    assert segment["name"] == f"{shared_memory_name}.0.1"
    assert (segment["slots_used"], segment["slot_count"], segment["state"]) == (2, 16, "active")
    assert (segment["committed_sequence"], segment["durable_sequence"]) == (12, 11)
    assert (segment["full"], segment["waiting"], segment["growths"]) == (False, 0, 0)


def test_tables_for_people(writer, shared_memory_name, capsys):
    for command in (["dump"], ["stat"], ["watch", "--seconds", "0"]):
        assert run(["shm", *command]) == 0
        captured = capsys.readouterr()
        assert captured.out.strip() and captured.err == ""


def test_a_dump_for_people_has_one_line_a_position(writer, capsys):
    figures = [Decimal(-1_234_567) / 7] * 6
    book, instrument = "A-BOOK-OF-SOME-LENGTH", "AN-INSTRUMENT-20260619-C-00500"
    writer.write(
        (book, instrument), partition_of_key(book.encode(), 4), "USD", figures, (1_234, 7), (0, 1_500_000_000)
    )
    assert run(["shm", "dump"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if book in line]
    assert instrument in line and "live" in line and line.count("-176366.71428571…") == 5


def test_watch_shows_every_position_once_and_then_changes(writer, shared_memory_name, tmp_path):
    output = tmp_path / "changes.json"
    with output.open("w") as stdout:
        watching = subprocess.Popen(
            [sys.executable, "-c", WATCH, "shm", "watch", "--name", shared_memory_name],
            cwd=ROOT,
            stdout=stdout,
        )
    try:
        eventually(lambda: len(output.read_text().splitlines()) >= 2, 30)
        put(writer, "B1", "X", 5, revision=8)
        put(writer, "B3", "Z", 6)
        eventually(lambda: "B3 Z" in output.read_text() and "B1 X  5" in output.read_text(), 30)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        watching.wait()


def test_watch_as_one_document(writer, capsys):
    found = document(capsys, "watch", "--seconds", "0")
    assert sorted(each["book"] for each in found["changes"]) == ["B1", "B2"]
    assert found["dropped"] == 0


@pytest.mark.parametrize("command", ["dump", "stat", "watch"])
def test_where_nothing_runs_it_says_so(command, shared_memory_name, capsys):
    assert run(["shm", command, "--name", shared_memory_name]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "pks up" in captured.err


@pytest.mark.parametrize("name", ["", "x", "/", "/a/b"])
def test_a_name_that_is_none_is_bad_input(name, capsys):
    assert run(["shm", "dump", "--name", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "--name" in captured.err


def test_memory_of_another_version_is_a_matter_of_state(writer, shared_memory_name, capsys):
    mapping = Mapping.open(shared_memory_name)
    mapping.set(DIRECTORY["layout_version"], 9)
    assert run(["shm", "stat"]) == 3
    assert "layout version" in capsys.readouterr().err
    mapping.set(DIRECTORY["layout_version"], 1)
    mapping.close()
