"""What was measured before: one JSON file a run under `bench/history/`, one a release under `bench/releases/`.

Runs stay on the machine; what a release reached belongs to the project. Ratios to the reference of the same run are
compared, not the figures: a busy or another machine moves both.
"""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

import native
from bench.row import Row

FOLDER = Path(__file__).parent / "history"
RELEASES = Path(__file__).parent / "releases"
REGRESSION = 0.15
"""By what share a ratio may get worse before it is reported."""

_PACKAGES = ("pks", "msgspec", "rocksdict", "faust-streaming", "pydantic")


class Run(msgspec.Struct, omit_defaults=True):
    """One run: when, where, of what, and what was found."""

    at: str
    command: str
    machine: str
    versions: dict[str, str]
    rows: list[Row]


def machine() -> str:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def describe(rows: list[Row], command: str) -> Run:
    """A run as of now."""
    versions = {"commit": _commit(), "python": platform.python_version()}
    versions |= {name: version(name) for name in _PACKAGES}
    versions["stages"] = native.description()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Run(at, command, machine(), versions, rows)


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(FOLDER.parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def last(folder: Path = FOLDER) -> Run | None:
    """The newest run that was kept; None where there is none."""
    files = sorted(folder.glob("*.json"))
    return msgspec.json.decode(files[-1].read_bytes(), type=Run) if files else None


def released(folder: Path = RELEASES) -> Run | None:
    """What the last release reached; None where none was kept."""
    files = sorted(folder.glob("*.json"), key=lambda path: [int(part) for part in path.stem.split(".")])
    return msgspec.json.decode(files[-1].read_bytes(), type=Run) if files else None


def keep_release(run: Run, folder: Path = RELEASES) -> Path:
    """Write a run as what this version reaches; rows that it did not measure stay as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.versions['pks']}.json"
    if path.exists():
        rows = {row.name: row for row in msgspec.json.decode(path.read_bytes(), type=Run).rows}
        rows |= {row.name: row for row in run.rows}
        run = Run(run.at, run.command, run.machine, run.versions, list(rows.values()))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    return path


def keep(run: Run, folder: Path = FOLDER) -> Path:
    """Write a run into the history."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = run.at.replace(":", "")
    number = len(list(folder.glob(f"{stem}*.json")))
    path = folder / f"{stem}-{number:03}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return path


def regressions(before: Run, now: Run) -> list[str]:
    """What got worse by more than `REGRESSION`, one line each."""
    earlier = {row.name: row for row in before.rows}
    found = []
    for row in now.rows:
        old = earlier.get(row.name)
        if old is None:
            continue
        was, has = (old.ratio, row.ratio) if old.ratio and row.ratio else (old.value, row.value)
        if not was or not has:
            continue
        worse = was / has - 1 if row.higher_is_better else has / was - 1
        if worse > REGRESSION:
            what = "ratio to its reference" if old.ratio and row.ratio else row.unit
            found.append(
                f"{row.name}: {worse:.0%} worse than on {before.at} ({what} {was:.3g}, now {has:.3g})"
            )
    return found


def command_line(arguments: Sequence[str]) -> str:
    """The command that measures the same again."""
    return " ".join(["python -m bench", *arguments])
