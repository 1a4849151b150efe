"""Settings: the command line over the environment over the file, each checked."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from topology.cli.application import run
from topology.cli.options import load_settings
from topology.cli.output import CommandError
from topology.setting_faults import unknown_variables
from topology.settings import Settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in list(os.environ):
        if name.startswith("PKS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults():
    settings = Settings()
    assert (settings.data, settings.sync, settings.partitions) == (Path(".pks"), "group", 4)


def test_the_order_of_precedence(nothing_set: Path, monkeypatch: pytest.MonkeyPatch):
    (nothing_set / "pks.toml").write_text('partitions = 2\nsync = "os"\nweb_port = 7000\n')
    assert (Settings().partitions, Settings().sync) == (2, "os")
    monkeypatch.setenv("PKS_PARTITIONS", "8")
    assert (Settings().partitions, Settings().sync) == (8, "os")
    assert (Settings(partitions=16).partitions, Settings(partitions=16).web_port) == (16, 7000)


def test_another_file_may_be_named(nothing_set: Path, monkeypatch: pytest.MonkeyPatch):
    (nothing_set / "other.toml").write_text("partitions = 3\n")
    monkeypatch.setenv("PKS_SETTINGS", str(nothing_set / "other.toml"))
    assert Settings().partitions == 3


@pytest.mark.parametrize(
    "line",
    [
        "partitions = 0",
        'sync = "sometimes"',
        "no_such_setting = 1",
        "web_port = 70000",
        "step_events_max = 0",
    ],
)
def test_what_is_wrong_is_refused(nothing_set: Path, line: str):
    (nothing_set / "pks.toml").write_text(line + "\n")
    with pytest.raises(ValidationError, match=line.split(" ")[0]):
        Settings()


def test_every_setting_is_documented():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("web_port = 70000", "web_port: expected a whole number from 0 to 65535, found 70000"),
        ('web_port = "x"', "web_port: expected a whole number from 0 to 65535, found 'x'"),
        ("queue_records_max = 1", "queue_records_max: expected a whole number of at least 10, found 1"),
        ('sync = "no"', "sync: expected always, group or os, found 'no'"),
        ("clock_tick_seconds = 0", "clock_tick_seconds: expected a number above 0.0, found 0"),
        (
            "web_prot = 1",
            "web_prot: expected the name of a setting (did you mean web_port?), found 'web_prot'",
        ),
        ("web_port = ", "expected a TOML file, found: "),
    ],
)
def test_a_fault_of_the_file_is_said_in_words(nothing_set: Path, line: str, said: str):
    (nothing_set / "pks.toml").write_text(line + "\n")
    with pytest.raises(CommandError) as refused:
        load_settings()
    assert refused.value.exit_code == 2
    [found] = refused.value.lines
    assert found.startswith("pks.toml: ") and said in found


def test_a_fault_names_the_variable_or_the_option(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PKS_WEB_PORT", "high")
    with pytest.raises(CommandError) as refused:
        load_settings()
    assert refused.value.lines == ("PKS_WEB_PORT: expected a whole number from 0 to 65535, found 'high'",)
    with pytest.raises(CommandError) as refused:
        load_settings(web_port=70_000)
    assert refused.value.lines == ("--web-port: expected a whole number from 0 to 65535, found 70000",)


def test_a_variable_that_is_no_setting_is_said_with_the_nearest_name_and_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in ("PKS_DATA", "pks_sync", "PKS_SETTINGS", "PKS_TAPES", "PKS_SOAK_MINUTES", "DEMO_HOLD"):
        monkeypatch.setenv(name, "os")
    assert unknown_variables(os.environ) == []
    monkeypatch.setenv("PKS_DAT", "1")
    monkeypatch.setenv("PKS_XYZXYZ", "1")
    wrong = [
        "PKS_DAT: expected the variable of a setting (did you mean PKS_DATA?), found another name: ignored",
        "PKS_XYZXYZ: expected the variable of a setting (docs/reference/settings.md has them all), found another "
        "name: ignored",
    ]
    assert unknown_variables(os.environ) == wrong
    monkeypatch.delenv("PKS_SETTINGS")
    assert run(["topology", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) and err.splitlines() == wrong
    # A calculator has no settings, so none can be wrong.
    run(["lots", "none.csv"])
    assert "PKS_DAT" not in capsys.readouterr().err
