"""`pks --version`."""

from importlib.metadata import version

import pytest

from topology.cli.application import run


def test_it_is_that_of_the_package(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    assert capsys.readouterr() == (f"pks {version('pks')}\n", "")
