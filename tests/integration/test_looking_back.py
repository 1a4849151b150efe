"""Checkpoints, certificates and replays by the commands, also beside a worker under load that must not notice."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.open_position import SUMMARY
from tests.support import Books, eventually, fill
from topology.cli.application import run
from topology.demo.stack import Stack
from topology.history.checkpoints import FOLDER

Pks = Callable[..., Any]


@pytest.fixture
def pks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pks:
    """Run a command with --json on the folder of this test; its document, or its lines where `code` is 2 or 3."""

    def call(*arguments: str, code: int = 0, data: Path | None = None) -> Any:
        found = run([*arguments, "--data", str(data or tmp_path / "data"), "--json"])
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out) if out else err.splitlines()

    return call


def _fills(first: int, last: int) -> list[Any]:
    return [
        fill(f"t{number}", 5 - number % 9 or 1, 100 + number % 7, book=f"BOOK{number % 6}", at=number % 50)
        for number in range(first, last)
    ]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[list[int]]:
    """A log of ten batches in four partitions; the sequence after each."""
    sequences = []
    with Books(tmp_path / "data", partitions=4) as books:
        for batch in range(10):
            books.book(*_fills(30 * batch, 30 * batch + 30))
            sequences.append(books.log.sequence)
    return sequences


def test_checkpoints_show_the_same(
    pks: Pks, held: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    questions = [
        ("positions", "--known-at", str(held[6]), "--lots"),
        ("positions", "--known-at", str(held[6]), "--as-of", "2026-01-05T00:00:20Z", "--book", "BOOK1"),
        ("trades", "--known-at", str(held[3]), "--book", "BOOK2", "--instrument", "X"),
        ("book-hash", "--known-at", str(held[8])),
        ("replay", "--from", str(held[7])),
        ("replay", "--from", str(held[7]), "--processes", "2"),
    ]
    monkeypatch.setenv("PKS_CHECKPOINT_SPACING_BYTES", "0")
    [line] = pks("checkpoint", code=2)
    assert line.startswith("checkpoint_spacing_bytes: expected more than 0")
    without = [pks(*question) for question in questions]
    monkeypatch.setenv("PKS_CHECKPOINT_SPACING_BYTES", "4000")
    taken = pks("checkpoint")
    assert taken["taken"] == taken["kept"] > 10 and taken["sequence"] == held[-1]
    for question, expected in zip(questions, without, strict=True):
        found = pks(*question)
        for document in (found, expected):
            document.pop("seconds", None)
        assert found == expected
    assert without[4]["events"] == 60
    # Checkpoints of a changelog that is there no more are made again from the new one.
    pks("rebuild")
    assert pks(*questions[0])["positions"] == without[0]["positions"]
    again = pks("checkpoint")
    assert again["rebuilt"] == "of another log" and again["taken"] >= 1
    assert pks(*questions[0])["positions"] == without[0]["positions"]
    assert run(["checkpoint", "--data", str(tmp_path / "data")]) == 0


def test_damaged_checkpoints_are_said_and_left_out(
    pks: Pks,
    held: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("PKS_CHECKPOINT_SPACING_BYTES", "4000")
    expected = pks("positions", "--known-at", str(held[6]))
    pks("checkpoint")
    for file in (tmp_path / "data" / FOLDER / "positions").glob("MANIFEST*"):
        file.write_bytes(b"damaged")
    assert run(["positions", "--known-at", str(held[6]), "--data", str(tmp_path / "data"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == expected
    assert "checkpoints left out" in err and "pks checkpoint" in err
    assert pks("checkpoint")["taken"] > 10


def test_tables_that_cannot_be_read_are_a_fault_of_the_state(pks: Pks, held: list[int], tmp_path: Path):
    with Books(tmp_path / "data", partitions=4) as books:
        transaction = books.log.transaction()
        for (partition, key), _ in books.table("positions").items():
            if key[:1] == SUMMARY:
                transaction.put("positions", partition, key, b"\x91\x01")
        transaction.commit()
    for command in ("positions", "book-hash"):
        [line] = pks(command, code=3)
        assert "expected tables that this version can read, found" in line and "`pks rebuild`" in line
    pks("rebuild")
    assert len(pks("positions")["positions"]) == 6


# -- certificates -------------------------------------------------------------------------------------------------


def test_a_certificate_holds_until_something_is_changed(
    pks: Pks, held: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "certificate.json"
    made = pks("replay", "--certificate", str(path), "--processes", "2")
    assert made["book_hash"] == pks("book-hash")["book_hash"]
    found = pks("verify", "--certificate", str(path))
    assert found["ok"] and found["manifest_hash"] == made["manifest_hash"]
    assert [check["name"] for check in found["checks"]] == [
        "code",
        "settings",
        "inputs",
        "book hash",
        "counts",
    ]
    with Books(tmp_path / "data", partitions=4) as books:
        books.book(*_fills(900, 910))
    assert pks("verify", "--certificate", str(path), "--processes", "2")["ok"]
    capsys.readouterr()
    assert run(["verify", "--certificate", str(path), "--data", str(tmp_path / "data")]) == 0
    assert "book hash" in capsys.readouterr().out

    with Books(tmp_path / "other", partitions=4) as other:
        other.book(*_fills(1, 299))
    broken = pks("verify", "--certificate", str(path), data=tmp_path / "other", code=1)
    assert {check["name"] for check in broken["checks"] if not check["ok"]} >= {"inputs", "book hash"}

    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "book_hash": "0" * 64}))
    [line] = pks("verify", "--certificate", str(path), code=2)
    assert "manifest_hash: expected" in line and "changed after it was made" in line
    [line] = pks("verify", "--certificate", str(tmp_path / "data" / "watermark"), code=2)
    assert "expected a replay certificate, found" in line


def test_a_certificate_up_to_a_point(pks: Pks, held: list[int], tmp_path: Path):
    path = tmp_path / "certificate.json"
    made = pks("replay", "--to", str(held[4]), "--certificate", str(path))
    assert made["book_hash"] == pks("book-hash", "--known-at", str(held[4]))["book_hash"]
    assert pks("verify", "--certificate", str(path))["ok"]


@pytest.mark.parametrize("option", [["--from", "3"], ["--empty"], ["--stage", "trade_capture"]])
def test_a_certificate_is_of_all_bookings(pks: Pks, held: list[int], tmp_path: Path, option: list[str]):
    [line] = pks("replay", *option, "--certificate", str(tmp_path / "certificate.json"), code=2)
    assert line.startswith("--certificate: expected a replay of all bookings")
    assert not (tmp_path / "certificate.json").exists()


def test_where_a_certificate_cannot_be_written_or_checked(pks: Pks, held: list[int], tmp_path: Path):
    [line] = pks("replay", "--certificate", str(tmp_path / "none" / "certificate.json"), code=1)
    assert "expected a file to write, found: No such file" in line
    path = tmp_path / "certificate.json"
    pks("replay", "--certificate", str(path))
    assert pks("verify", "--quick", "--certificate", str(path), code=2)[0].startswith("--quick: expected")
    assert pks("replay", str(path), "--certificate", str(path), code=2)[0].startswith(
        "--certificate: expected"
    )


# -- beside a worker ----------------------------------------------------------------------------------------------


def test_a_replay_beside_a_worker_under_load_disturbs_nothing(
    pks: Pks, held: list[int], tmp_path: Path, shared_memory_name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PKS_CHECKPOINT_SPACING_BYTES", "2000")
    expected = pks("book-hash")["book_hash"]
    load = tmp_path / "load.jsonl"
    with load.open("w") as file:
        for number in range(5_000):
            row = {
                "trade_id": f"load{number}",
                "book": f"BOOK{number % 6}",
                "instrument": "X",
                "side": "SELL" if number % 3 else "BUY",
                "quantity": 1 + number % 11,
                "price": 100 + number % 13,
                "executed_at": f"2026-01-06T00:{number // 600 % 60:02d}:{number // 10 % 60:02d}Z",
            }
            file.write(json.dumps(row) + "\n")
    stack = Stack(tmp_path / "data", 0, shared_memory_name)
    stack.start()
    try:
        # The worker lets checkpoints be taken by itself, of what stands in the log at its start.
        newest = tmp_path / "data" / FOLDER / "positions" / "CURRENT"
        eventually(newest.exists, 60)
        command = [sys.executable, "-m", "topology", "replay", str(load), "--json"]
        with subprocess.Popen(command, env=stack.environment, stdout=subprocess.PIPE, text=True) as sender:
            beside = []
            while sender.poll() is None:
                beside.append(
                    pks(
                        "replay",
                        "--stage",
                        "positions",
                        "--from",
                        str(held[3]),
                        "--to",
                        str(held[-1]),
                        "--scratch",
                    )
                )
            out, _ = sender.communicate()
        sent = json.loads(out)
        assert (sent["applied"], sent["rejected"], sent["duplicates"]) == (5_000, 0, 0)
        assert {(one["book_hash"], one["events"]) for one in beside} == {(expected, 180)}
        # The worker's books are those of a run that nobody looked at, and nothing was written beside it.
        live = pks("book-hash")["book_hash"]
        assert stack.ask("verify", "--quick")["ok"]
        folders = {path.name for path in (tmp_path / "data").iterdir()}
        assert folders == {"log", "faust", "owner", "watermark", "control.sock", FOLDER}
    finally:
        stack.stop()
    with Books(tmp_path / "alone", partitions=4) as alone:
        alone.book(*_fills(0, 300))
    assert pks("replay", str(load), data=tmp_path / "alone")["book_hash"] == live
