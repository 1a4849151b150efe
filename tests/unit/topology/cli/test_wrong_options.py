"""A wrong option or argument: one line that says which command, what was wrong and where help is; exit code 2."""

from pathlib import Path

import pytest

from topology.cli.application import run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lots", "--bogus"], "pks lots: No such option: --bogus (see pks lots --help)"),
        (["lots"], "pks lots: Missing argument 'file'. (see pks lots --help)"),
        (["dlq", "show"], "pks dlq show: Missing argument 'ID'. (see pks dlq show --help)"),
        (["nosuch"], "pks: No such command 'nosuch'. (see pks --help)"),
        (
            ["import", "x", "--format", "foo"],
            "--format: expected one of canonical, binance-stream, lean-tick, ibkr-flex, binance-quotes, lean-quotes, "
            "moex-iss-marks, alor-quotes, csv-marks, ecb-rates, found 'foo'",
        ),
        (
            ["import", "x", "--format", "canonical", "--out", "/none/of/these/x"],
            "--out: expected a file in a folder that is there and can be written, found /none/of/these, which is none",
        ),
    ],
)
def test_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", line + "\n")


def test_a_name_of_shared_memory_is_said_where_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PKS_SHARED_MEMORY", "mine")
    assert run(["shm", "stat"]) == 2
    assert capsys.readouterr().err.startswith("setting shared_memory: expected a name like /pks-positions-v1")
    assert run(["shm", "stat", "--name", "mine"]) == 2
    assert capsys.readouterr().err.startswith("--name: expected a name like /pks-positions-v1")


def test_fields_that_no_definition_has_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "instruments.csv"
    file.write_text("instrument,multiplyer\nX,50\n")
    assert run(["instrument-define", str(file), "--data", str(tmp_path / "data")]) == 0
    assert (
        f"{file}: 'multiplyer' is no field of a definition and was left out (1 of them)"
        in capsys.readouterr().err
    )
