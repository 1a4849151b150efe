"""What `python -m bench` and `pks bench` print and keep: the command as it can be run again, and lines that fit."""

from pathlib import Path

import pytest

from bench import __main__ as command
from bench import history
from bench.row import Row
from topology.cli.application import run

LONG = "of 400 watched fills; longest 19.36 ms; worker 100% busy, 12 us of it a fill; and what else there was"


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Figures that need no time, and a history of their own."""
    rows = [
        Row(
            "capture, W",
            123_456.0,
            "bookings/s",
            1_234_567.0,
            "bare decode and encode",
            26.31,
            note="99 by clock",
        ),
        Row("fill appended -> slot readable, 10k/s, p99", 1.5, "ms", 0.5, "round trip", note=LONG),
        Row("no figure", None, "ns", note="no compiler"),
    ]
    monkeypatch.setattr(command, "run", lambda names, fills, progress: rows)
    monkeypatch.setattr(history.keep, "__defaults__", (tmp_path,))
    monkeypatch.setattr(history.last, "__defaults__", (tmp_path,))
    monkeypatch.setattr(history.released, "__defaults__", (tmp_path / "releases",))
    return tmp_path


def test_the_command_is_kept_as_it_can_be_run_again(measured: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["bench", "lots", "--fills", "50000", "--compare"]) == 0
    assert "nothing to compare with" in capsys.readouterr().out
    found = history.last(measured)
    assert found is not None
    assert found.command == "python -m bench lots --fills 50000 --compare"
    assert run(["bench", "--compare"]) == 0
    assert f"measured {found.at} with: {found.command}" in capsys.readouterr().out


def test_a_figure_has_one_line_and_says_what_is_of_processor_time(capsys: pytest.CaptureFixture[str]):
    assert command.main(["capture"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("capture, W ")]
    assert line.split()[2:] == ["123,456", "bookings/s", "CPU", "1,234,567", "0.1", "26.3"]
    assert max(map(len, lines[:4])) <= command.WIDTH_MIN
    assert f"fill appended -> slot readable, 10k/s, p99: beside round trip; {LONG}" in lines
    [slot] = [line for line in lines if line.startswith("fill appended -> slot readable, 10k/s, p99 ")]
    assert "CPU" not in slot and "1.5 ms" in slot


def test_help_names_the_figures_and_says_what_counts_as_a_regression(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "stock-faust" in text and "more than 15% worse" in text
