"""`pks import` of quotes: into a folder without an owner, beside a running worker, and nothing of a malformed file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from tests.support import eventually
from topology.cli.application import run
from topology.cli.reading_options import opened_log_of
from topology.demo.stack import Stack
from topology.log_reading import read_events
from topology.settings import Settings

ROWS = [
    "X,2026-01-05T09:30:00.1Z,10,equity",
    "X,2026-01-05T09:30:00.9Z,11,equity",
    "Y,2026-01-05T09:30:00.5Z,-3,future",
    "X,2026-01-05T09:30:00.2Z,12,equity",  # late
    "X,2026-01-05T09:30:01Z,0,equity",
    "X,2036-01-05T09:30:01Z,10,equity",
    "X,2026-01-05T09:30:02Z,13,equity",
]


@pytest.fixture
def stack(tmp_path: Path, shared_memory_name: str) -> Iterator[Stack]:
    started = Stack(tmp_path / "data", 0, shared_memory_name)
    started.start()
    yield started
    started.stop()


def written(folder: Path, *rows: str, name: str = "m.csv") -> str:
    path = folder / name
    path.write_text("\n".join(["instrument,time,price,instrument_class", *rows]) + "\n")
    return str(path)


def imported(capsys: Any, folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    code = run(["import", *arguments, "--format", "csv-marks", "--data", str(folder / "data"), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


def marks_in(folder: Path) -> list[Any]:
    settings = Settings(data=folder / "data")
    with opened_log_of(settings) as log:
        return [
            event
            for partition in range(settings.partitions)
            for _, event in read_events(log, topics.MARKS, partition, 0)
        ]


def test_every_row_is_accounted_for(tmp_path: Path, capsys: Any):
    code, document, said = imported(capsys, tmp_path, written(tmp_path, *ROWS))
    assert code == 0
    assert document == {
        "read": 7, "marks": 5, "conflated": 0, "rejected": 2, "skipped": {}, "qualities": {"live": 5}, "instruments": 2,
    }  # fmt: skip
    assert "line 6: price: expected a price other than 0 of class equity, found 0" in said
    assert "line 7: event_time: expected a time up to 5 s after" in said
    found = marks_in(tmp_path)
    assert [str(mark.price) for mark in found if mark.instrument == "X"] == ["10", "11", "12", "13"]


def test_the_newest_marks_are_shown(tmp_path: Path, capsys: Any):
    imported(capsys, tmp_path, written(tmp_path, *ROWS))
    for arguments, expected in (([], ["X", "Y"]), (["--instrument", "Y"], ["Y"])):
        assert run(["marks", "--data", str(tmp_path / "data"), "--json", *arguments]) == 0
        found = json.loads(capsys.readouterr().out)["marks"]
        assert [mark["instrument"] for mark in found] == expected
    assert (found[0]["price"], found[0]["quality"], found[0]["event_time"]) == (
        "-3",
        "live",
        "2026-01-05T09:30:00.5Z",
    )
    assert run(["marks", "--data", str(tmp_path / "data")]) == 0
    # The late one and the refused ones are not the newest.
    [line] = [line for line in capsys.readouterr().out.splitlines() if " X " in line]
    assert " 13 " in line and "csv-marks:m.csv" in line


def test_conflation_keeps_the_newest_of_each_second(tmp_path: Path, capsys: Any):
    _, document, _ = imported(capsys, tmp_path, written(tmp_path, *ROWS), "--conflate", "1")
    assert (document["marks"], document["conflated"], document["read"]) == (3, 2, 7)
    assert sorted(str(mark.price) for mark in marks_in(tmp_path)) == ["-3", "11", "13"]


def test_files_are_put_in_the_order_of_their_times(tmp_path: Path, capsys: Any):
    first = written(tmp_path, ROWS[0], ROWS[6], name="a.csv")
    second = written(tmp_path, ROWS[1], name="b.csv")
    imported(capsys, tmp_path, first, second)
    assert [str(mark.price) for mark in marks_in(tmp_path)] == ["10", "11", "13"]


def test_more_files_than_spools_are_all_taken_in(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("topology.marks.importing.SPOOLS_MAX", 2)
    files = [
        written(tmp_path, f"X,2026-01-05T09:30:0{number}Z,{number + 1},equity", name=f"{number}.csv")
        for number in range(5)
    ]
    _, document, _ = imported(capsys, tmp_path, *files)
    assert document["marks"] == 5
    assert [str(mark.price) for mark in marks_in(tmp_path)] == ["1", "2", "3", "4", "5"]


def test_nothing_of_a_malformed_file_is_applied(tmp_path: Path, capsys: Any):
    bad = written(tmp_path, "X,2026-01-05T09:30:00Z,NaN,", "X,yesterday,1,", name="bad.csv")
    code, document, said = imported(capsys, tmp_path, written(tmp_path, *ROWS), bad)
    assert (code, document) == (2, {})
    assert len(said.splitlines()) == 2 and "bad.csv: line 2: price: expected" in said
    assert not (tmp_path / "data").exists()


def test_options_of_fills_are_refused(tmp_path: Path, capsys: Any):
    code, _, said = imported(capsys, tmp_path, written(tmp_path, *ROWS), "--book", "B1")
    assert code == 2 and said == "--book: expected none beside a format of marks, found 'B1'\n"


def test_beside_a_running_worker(stack: Stack, tmp_path: Path, capsys: Any):
    code, document, _ = imported(capsys, tmp_path, written(tmp_path, *ROWS))
    assert (code, document["marks"]) == (0, 5)
    eventually(lambda: len(marks_in(tmp_path)) == 5)
