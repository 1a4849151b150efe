"""Tables for people: names stay readable beside figures of any length, and a figure that is cut says so."""

import pytest

from topology.cli.output import print_table

COLUMNS = ("entity", "account", "currency", "trade date balance", "settled balance", "projected balance")


def lines_of(capsys: pytest.CaptureFixture[str], width: int, *rows: list[str]) -> list[list[str]]:
    print_table("Cash", COLUMNS, rows, file_width=width)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line[:1] == "│"]


@pytest.mark.parametrize("width", [80, 160])
def test_names_stay_whole_beside_long_figures(width: int, capsys: pytest.CaptureFixture[str]):
    number = "1234567890" * 6
    first, second = lines_of(
        capsys, width, ["E1", "ACC", "USD", number, f"-{number}", "1"], ["E2", "B", "CHF", "1", "2", "3"]
    )
    assert first[:3] == ["E1", "ACC", "USD"] and second == ["E2", "B", "CHF", "1", "2", "3"]
    assert all(cell.endswith("…") and number.startswith(cell.strip("-…")) for cell in first[3:5])


def test_figures_that_fit_are_whole(capsys: pytest.CaptureFixture[str]):
    number = "1234567890" * 3
    [only] = lines_of(capsys, 160, ["E1", "ACC", "USD", number, "1.5", "2"])
    assert only == ["E1", "ACC", "USD", number, "1.5", "2"]
