"""Settings: the command line over the environment over the file, each checked."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from topology.settings import Settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    import os

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
