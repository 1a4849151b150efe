"""The commands that read, replay and verify, as another program calls them: beside a worker, and where none runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.units import Action
from tests.support import Books, eventually, fill
from topology.cli.application import run
from topology.demo.stack import Stack

HEADER = "trade_id,book,instrument,side,quantity,price,fee,executed_at,action,original_trade_id"
ROWS = """t1,B1,X,BUY,100,10,1,2026-01-05T00:00:01Z,,
t2,B1,X,BUY,50,10.2,1,2026-01-05T00:00:02Z,,
t3,B1,X,SELL,100,10.25,1,2026-01-05T00:00:03Z,,
c9,B1,X,SELL,1,1,0,2026-01-05T00:00:03Z,CANCEL,nowhere
c4,B2,Y,BUY,1,10.25,1,2026-01-05T00:00:02Z,CANCEL,t4
t4,B2,Y,BUY,1,10.25,1,2026-01-05T00:00:02Z,,
"""

Pks = Callable[..., Any]


@pytest.fixture
def pks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pks:
    """Run a command with --json on the folder of this test; its document, or its lines where `code` is not 0."""

    def call(*arguments: str, code: int = 0, data: Path | None = None) -> Any:
        folder = tmp_path / "data" if data is None else data
        found = run([*arguments, "--data", str(folder), "--json"])
        out, err = capsys.readouterr()
        assert found == code, err
        if code > 1:
            assert err and out == ""
        return json.loads(out) if out else err.splitlines()

    return call


@pytest.fixture
def trades(tmp_path: Path) -> str:
    path = tmp_path / "trades.csv"
    path.write_text(f"{HEADER}\n{ROWS}")
    return str(path)


def _counts(document: dict[str, Any]) -> tuple[int, int, int, int]:
    return tuple(document[name] for name in ("events", "applied", "duplicates", "rejected"))  # type: ignore[return-value]


# -- replays of files -----------------------------------------------------------------------------------------


def test_replay_of_a_file_and_again(pks: Pks, trades: str):
    first, second = pks("replay", trades), pks("replay", trades)
    assert _counts(first) == (6, 5, 0, 1)
    assert _counts(second) == (6, 0, 5, 1)
    assert first["book_hash"] == second["book_hash"] == pks("book-hash")["book_hash"]
    assert first["positions"] == 2 and first["seconds"] > 0
    [held] = pks("positions", "--book", "B1", "--lots")["positions"]
    assert (held["quantity"], held["realised_pnl"], held["lots"][0]["trade_id"]) == ("50", "25", "t2")


def test_scratch_leaves_nothing(pks: Pks, trades: str, tmp_path: Path):
    scratch = pks("replay", trades, "--scratch")
    assert not (tmp_path / "data").exists()
    assert scratch["book_hash"] == pks("replay", trades)["book_hash"]


def test_faults_of_all_files_are_told_and_nothing_is_applied(pks: Pks, trades: str, tmp_path: Path):
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{HEADER}\nt8,B1,X,BUY,0,x,1,2026-01-05T00:00:01Z,,\n")
    lines = pks("replay", trades, str(bad), str(tmp_path / "none.csv"), code=2)
    assert len(lines) == 3 and "line 2" in lines[0] and "none.csv" in lines[2]
    assert not (tmp_path / "data").exists()


def test_options_of_the_log_beside_a_file_are_refused(pks: Pks, trades: str):
    lines = pks("replay", trades, "--from", "1", "--stage", "positions", "--empty", code=2)
    assert [line.split(":")[0] for line in lines] == ["--from", "--stage", "--empty"]


def test_a_killed_replay_goes_on(pks: Pks, tmp_path: Path):
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for number in range(12_000):
            row = {
                "trade_id": f"t{number}",
                "book": f"B{number % 7}",
                "instrument": "X",
                "side": "SELL" if number % 3 else "BUY",
                "quantity": 1 + number % 11,
                "price": 100 + number % 13,
                "executed_at": f"2026-01-05T00:{number // 600 % 60:02d}:{number // 10 % 60:02d}Z",
            }
            file.write(json.dumps(row) + "\n")
    data = tmp_path / "data"
    command = (sys.executable, "-m", "topology", "replay", str(path), "--data", str(data))
    with subprocess.Popen(command, env={**os.environ, "PKS_SYNC": "os"}) as process:
        eventually(lambda: _log_size(data) > 200_000, 60)
        process.send_signal(signal.SIGKILL)
    resumed = pks("replay", str(path))
    assert resumed["events"] == 12_000 and resumed["rejected"] == 0
    assert resumed["duplicates"] == 12_000 - resumed["applied"]
    clean = pks("replay", str(path), "--scratch")
    assert clean["applied"] == 12_000
    assert resumed["book_hash"] == clean["book_hash"]
    assert pks("verify", "--quick")["ok"]


def test_what_was_appended_and_not_applied_is_not_counted_twice(pks: Pks, trades: str, tmp_path: Path):
    with Books(tmp_path / "data", partitions=4) as books:
        books.fills(*(fill(f"k{number}", source="canonical:trades.csv") for number in range(9)))
    assert _counts(pks("replay", trades)) == (6, 5, 0, 1)


def _log_size(data: Path) -> int:
    return sum(path.stat().st_size for path in (data / "log").glob("*.log")) if (data / "log").exists() else 0


# -- replays of the log -----------------------------------------------------------------------------------------


@pytest.fixture
def held(tmp_path: Path) -> Iterator[list[int]]:
    """A log of four batches in four partitions; the sequence after each."""
    sequences = []
    with Books(tmp_path / "data", partitions=4) as books:
        for batch in range(4):
            books.book(
                *(
                    fill(f"t{batch}.{number}", 5 - number % 9 or 1, 100, book=f"B{number % 6}", at=number)
                    for number in range(30)
                ),
                fill(f"c{batch}", at=3, action=Action.CANCEL, original_trade_id=f"t{batch}.3", book="B3"),
            )
            sequences.append(books.log.sequence)
    return sequences


def test_replay_of_the_log(pks: Pks, held: list[int]):
    kept = pks("book-hash")["book_hash"]
    whole = pks("replay")
    assert _counts(whole) == (124, 124, 0, 0) and whole["book_hash"] == kept
    assert pks("replay", "--stage", "trade_capture")["book_hash"] == kept
    assert pks("replay", "--processes", "2")["book_hash"] == kept


def test_from_and_to(pks: Pks, held: list[int]):
    first, second = (str(sequence) for sequence in held[:2])
    middle = pks("replay", "--from", first, "--to", second)
    assert middle["events"] == 31
    assert middle["book_hash"] == pks("book-hash", "--known-at", second)["book_hash"]
    alone = pks("replay", "--from", first, "--to", second, "--empty")
    assert alone["book_hash"] != middle["book_hash"]
    vector = "backoffice.booking.v1:0=0"
    assert pks("replay", "--from", vector)["events"] == 124
    assert pks("replay", "--to", "2020-01-01T00:00:00Z")["events"] == 0


def test_bad_points(pks: Pks, held: list[int]):
    [line] = pks("replay", "--from", str(held[1]), "--to", str(held[0]), code=2)
    assert line.startswith("--from: expected a point not after --to, found")
    assert pks("replay", "--to", "99999999", code=2)[0].startswith(
        "--to: expected a sequence number of at most"
    )
    assert pks("replay", "--from", "soon", code=2)[0].startswith("--from: expected")
    assert pks("replay", "--processes", "2", "--stage", "trade_capture", code=2)
    assert pks("positions", "--known-at", "a:0=1", code=2)[0].startswith(
        "--known-at: expected a partition of"
    )
    assert pks("trades", "--as-of", "2026-01-05", code=2)[0].startswith("--as-of: expected an ISO 8601 time")
    for start, end in (("2", "1"), ("2020-01-01T00:00:01Z", "2020-01-01T00:00:00Z")):
        # Both before the first booking: what they name is the same, but not what was meant.
        [line] = pks("replay", "--from", start, "--to", end, code=2)
        assert line == f"--from: expected a point not after --to, found {start!r} after {end!r}"
    for option in ("--from", "--to"):
        assert pks("replay", option, "pd.canonical:0=0", code=2)[0].startswith(
            f"{option}: expected offsets of backoffice.booking.v1"
        )
        assert pks("replay", "--stage", "trade_capture", option, "backoffice.booking.v1:0=0", code=2)[
            0
        ].startswith(f"{option}: expected offsets of pd.canonical")
    for command in ("positions", "trades", "book-hash"):
        assert pks(command, "--known-at", "pd.canonical:0=0,pd.canonical:1=0", code=2)[0].startswith(
            "--known-at: expected offsets of backoffice.booking.v1"
        )


def test_what_a_point_leaves_open_is_said(
    pks: Pks, held: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    topic = "backoffice.booking.v1"
    data = ("--data", str(tmp_path / "data"))

    def said(*arguments: str) -> str:
        assert run([*arguments, *data, "--json"]) == 0
        return capsys.readouterr().err

    assert said("positions", "--known-at", f"{topic}:0=0") == (
        f"--known-at: not named, so taken whole: {topic}:1, {topic}:2, {topic}:3\n"
    )
    assert f"taken from its first record on: {topic}:1, {topic}:2" in said("replay", "--from", f"{topic}:0=0")
    assert said("positions", "--known-at", "2999-01-01T00:00:00Z") == (
        "--known-at: 2999-01-01T00:00:00Z has not come yet; what is in the log now is taken\n"
    )
    assert "has not come yet" in said("replay", "--to", "2999-01-01T00:00:00Z")
    # What the command prints for people is what another command takes, and it leaves nothing open.
    assert run(["book-hash", *data]) == 0
    out, err = capsys.readouterr()
    pasted = err.partition("applied ")[2].strip()
    assert pasted.count("=") == 8
    assert said("book-hash", "--known-at", pasted) == ""
    assert pks("book-hash", "--known-at", pasted)["book_hash"] in out
    for stage in ("positions", "trade_capture"):
        assert said("replay", "--to", pasted, "--stage", stage) == ""


# -- reading ----------------------------------------------------------------------------------------------------


def test_reading_says_what_it_shows(pks: Pks, held: list[int]):
    found = pks("positions")
    assert found["sequence"] == held[-1] and found["records_behind"] == 0
    offsets = found["applied_offsets"]["backoffice.booking.v1"]
    vector = ",".join(f"backoffice.booking.v1:{partition}={offset}" for partition, offset in offsets.items())
    known = pks("positions", "--known-at", vector)
    assert known["positions"] == found["positions"]
    assert (known["sequence"], known["known_at"]) == (None, vector)
    [one] = pks("positions", "--book", "B1", "--matches", "--as-of", "2026-01-05T00:00:25Z")["positions"]
    assert sum(int(match["realised_pnl"]) for match in one["matches"]) == int(one["realised_pnl"])
    assert {match["closing_trade_id"].split(".")[1] for match in one["matches"]} <= {
        str(n) for n in range(26)
    }
    early = pks("positions", "--known-at", str(held[0]), "--as-of", "2026-01-05T00:00:10Z", "--book", "B1")
    assert (early["as_of"], early["sequence"]) == ("2026-01-05T00:00:10Z", held[0])
    assert [position["book"] for position in early["positions"]] == ["B1"]


def test_trades_by_filters(pks: Pks, held: list[int]):
    assert len(pks("trades")["trades"]) == 120
    assert len(pks("trades", "--known-at", str(held[0]))["trades"]) == 30
    assert len(pks("trades", "--as-of", "2026-01-05T00:00:09Z")["trades"]) == 40
    [one] = pks("trades", "--trade", "t2.3")["trades"]
    assert (one["state"], one["corrected_by"]) == ("cancelled", "c2")


def test_a_trade_that_positions_refused_is_shown_with_its_reason(
    pks: Pks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", currency="USD"), fill("t2", at=1, currency="EUR"))
    [one] = pks("trades", "--trade", "t2")["trades"]
    assert (one["state"], one["field"], one["found"]) == ("refused", "currency", "EUR")
    assert pks("dlq", "show", one["dead_letter_id"])["expected"] == one["expected"]
    assert run(["trades", "--trade", "t2", "--data", str(tmp_path / "data")]) == 0
    out, err = capsys.readouterr()
    assert "refused" in out
    assert "currency: expected USD, as the open position has it, found EUR; send an amend of it" in err
    node = pks("explain", "trade:t2")["explain"]
    assert (node["value"], node["unit"]) == (None, "X")
    assert "refused in B1" in node["how"] and one["dead_letter_id"] in node["how"]


def test_a_correction_that_waits_is_explained_by_the_trade_it_names(pks: Pks, tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1"), fill("c9", at=1, action=Action.CANCEL, original_trade_id="t77"))
    node = pks("explain", "trade:c9")["explain"]
    assert "CANCEL of trade t77, which has not come" in node["how"]


def test_what_a_late_trade_moved_of_an_earlier_one_is_explained_at_both(pks: Pks, tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        books.book(fill("t1", 10, 10, at=1, currency="USD"))
        books.book(fill("t3", -1, 11, at=2, currency="USD"))
        books.book(fill("late", 10, 8, currency="USD"))
    moved = {
        trade: [
            node["value"]
            for node in pks("explain", f"trade:{trade}")["explain"]["children"]
            if node["figure"] == "realised P&L posted elsewhere"
        ]
        for trade in ("t1", "t3", "late")
    }
    assert moved == {"t1": [], "t3": ["2"], "late": ["-2"]}


def test_known_at_a_time(pks: Pks, held: list[int]):
    assert pks("positions", "--known-at", "2020-01-01T00:00:00Z") == {
        "positions": [],
        "sequence": 0,
        "applied_offsets": {"backoffice.booking.v1": {"0": 0, "1": 0, "2": 0, "3": 0}},
        "records_behind": 0,
        "known_at": "2020-01-01T00:00:00Z",
    }
    assert (
        pks("book-hash", "--known-at", "2999-01-01T00:00:00Z")["book_hash"] == pks("book-hash")["book_hash"]
    )


@pytest.mark.parametrize("command", ["positions", "trades", "book-hash", "verify", "replay"])
def test_a_folder_without_a_log_is_a_fault_of_the_state(pks: Pks, command: str):
    [line] = pks(command, code=3)
    assert "expected a data folder with a log, found none" in line


@pytest.mark.parametrize("command", ["positions", "trades", "book-hash"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--known-at", "1"]])
def test_a_book_that_the_log_does_not_have_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, held: list[int], command: str, options: list[str]
):
    def said(book: str) -> str:
        assert run([command, "--book", book, "--data", str(tmp_path / "data"), *options]) == 0
        return capsys.readouterr().err

    assert "--book: the log has no book 'NOPE' with positions" in said("NOPE")
    assert ("no book" in said("B1")) is ("--known-at" in options)


def test_a_log_without_the_name_of_its_manifest_is_damaged_also_for_readers(
    pks: Pks, tmp_path: Path, held: list[int]
):
    (tmp_path / "data" / "log" / "CURRENT").unlink()
    for command in ("positions", "verify", "rebuild"):
        [line] = pks(command, code=3)
        assert "damaged-state.md" in line
    [finding] = [one for one in pks("doctor", code=1)["findings"] if one["part"] == "data folder"]
    assert "damaged" in finding["found"]


def test_tables_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path, held: list[int]):
    for command in (
        ["positions", "--lots"],
        ["trades"],
        ["book-hash"],
        ["replay"],
        ["verify"],
        ["dlq", "list"],
    ):
        assert run([*command, "--data", str(tmp_path / "data")]) == 0
        assert capsys.readouterr().out
    assert run(["positions", "--data", str(tmp_path / "data")]) == 0
    assert f"sequence {held[-1]}" in capsys.readouterr().err


def test_verify_exits_with_1_where_an_identity_is_broken(pks: Pks, held: list[int], tmp_path: Path):
    assert pks("verify")["ok"] is True
    with Books(tmp_path / "data", partitions=4) as books:
        transaction = books.log.transaction()
        for partition in range(4):
            transaction.commit_offset("positions", "backoffice.booking.v1", partition, 99)
        transaction.commit()
    broken = pks("verify", "--quick", code=1)
    assert broken["ok"] is False
    assert {check["name"] for check in broken["checks"] if not check["ok"]} == {"offsets"}


# -- dead letters -------------------------------------------------------------------------------------------------


def test_dead_letters(pks: Pks, trades: str):
    pks("replay", trades)
    [letter] = pks("dlq", "list")["dead_letters"]
    assert (letter["trade_id"], letter["status"], letter["kind"]) == ("c9", "open", "rejected")
    identity = letter["id"]
    assert '"trade_id":"c9"' in pks("dlq", "show", identity)["original"]
    assert pks("dlq", "drop", identity) == {"dropped": [identity], "already": []}
    assert pks("dlq", "drop", identity) == {"dropped": [], "already": [identity]}
    assert "dropped already" in pks("dlq", "retry", identity, code=1)[0]
    assert pks("dlq", "list", "--status", "open")["dead_letters"] == []


def test_retry(pks: Pks, tmp_path: Path):
    path = tmp_path / "routed.csv"
    path.write_text(
        "trade_id,instrument,side,quantity,price,executed_at\nt1,X,BUY,1,1,2026-01-05T00:00:01Z\n"
    )
    rule = tmp_path / "rule.csv"
    rule.write_text("rule,book\nall,B7\n")
    assert pks("replay", str(path))["rejected"] == 1
    [identity] = (letter["id"] for letter in pks("dlq", "list")["dead_letters"])
    assert pks("dlq", "retry", "--all")["rejected_again"] == 1
    pks("routing-define", str(rule))
    again = pks("dlq", "retry", "--all", "--kind", "rejected")
    assert again["rejected_again"] == 0 and again["retried"] != [identity]
    assert pks("dlq", "retry", identity) == {"retried": [], "already": [identity], "rejected_again": 0}
    assert [position["book"] for position in pks("positions")["positions"]] == ["B7"]
    assert pks("verify")["ok"] is True


def test_bad_ids(pks: Pks, trades: str):
    pks("replay", trades)
    lines = pks("dlq", "drop", "x", "y", code=2)
    assert [line.endswith(("'x'", "'y'")) for line in lines] == [True, True]
    assert pks("dlq", "show", "x", code=2)
    assert pks("dlq", "retry", code=2) and pks("dlq", "retry", "x", "--all", code=2)
    assert pks("dlq", "drop", "x", "--kind", "rejected", code=2)
    assert [letter["status"] for letter in pks("dlq", "list")["dead_letters"]] == ["open"]


# -- beside a worker ----------------------------------------------------------------------------------------------


def test_everything_beside_a_live_worker(pks: Pks, trades: str, tmp_path: Path, shared_memory_name: str):
    stack = Stack(tmp_path / "data", 0, shared_memory_name)
    stack.start()
    try:
        replayed = pks("replay", trades)
        # The correction of an unknown trade waits, since the worker's clock ticks by itself.
        assert _counts(replayed) == (5, 5, 0, 0) and replayed["waiting"] == 1
        assert replayed["book_hash"] == pks("book-hash")["book_hash"]
        assert pks("replay", trades, "--scratch")["book_hash"] == replayed["book_hash"]
        # A position whose only trade was cancelled is flat at any time.
        then = pks("positions", "--as-of", "2026-01-05T00:00:01Z")["positions"]
        assert [(position["book"], position["quantity"]) for position in then] == [("B1", "100"), ("B2", "0")]
        assert pks("replay")["book_hash"] == replayed["book_hash"]
        assert pks("verify")["ok"] is True
        sequence = str(pks("positions")["sequence"])
        more = tmp_path / "more.csv"
        more.write_text(
            f"{HEADER}\nt1,B1,X,BUY,100,10,9,2026-01-05T00:00:01Z,,\nt7,B1,X,BUY,1,1,0,2026-01-05T00:01:00Z,,\n"
        )
        assert _counts(pks("replay", str(more))) == (2, 1, 0, 1)
        [letter] = pks("dlq", "list")["dead_letters"]
        assert pks("dlq", "retry", letter["id"])["rejected_again"] == 1
        assert len(pks("dlq", "list", "--status", "open")["dead_letters"]) == 1
        assert pks("book-hash", "--known-at", sequence)["book_hash"] == replayed["book_hash"]
        assert pks("book-hash")["book_hash"] != replayed["book_hash"]
    finally:
        stack.stop()
