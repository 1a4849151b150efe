"""Which code runs: the compiled twin where it was built, plain Python where that is asked for or nothing was built."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import native

ROOT = Path(__file__).resolve().parents[3]
ASK = "import native; print(native.capture() is None, native.positions() is None, native.description())"


def answer(before: str = "", **environment: str) -> str:
    known = {name: value for name, value in os.environ.items() if name != native.PLAIN}
    command = [sys.executable, "-c", before + ASK]
    found = subprocess.run(
        command, cwd=ROOT, env=known | environment, check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def test_plain_where_that_is_asked_for() -> None:
    assert answer(**{native.PLAIN: "1"}) == f"True True plain Python ({native.PLAIN} is set)"


def test_plain_where_nothing_was_built() -> None:
    names = ("native.capture_twin", "native.positions_twin", "native.ledger_twin", "native.cash_twin")
    found = answer(f"import sys; sys.modules.update(dict.fromkeys({names})); ")
    assert found.startswith("True True plain Python (")
    assert all(name in found for name in names)


@pytest.mark.skipif(native.positions() is None, reason=native.description())
def test_what_was_built_runs_beside_what_was_not() -> None:
    found = answer("import sys; sys.modules['native.capture_twin'] = None; ")
    assert found.startswith("True False compiled (positions_twin")
    assert "native.capture_twin" in found.partition("plain Python")[2]


@pytest.mark.skipif(native.capture() is None or native.positions() is None, reason=native.description())
def test_compiled_where_it_was_built() -> None:
    assert answer().startswith("False False compiled (capture_twin")
