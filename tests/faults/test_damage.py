"""Damaged files: said so, never read as something else; only the end of a crash's last write may be missing."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog

ROOT = Path(__file__).resolve().parents[2]
RECORDS = 400

BUILD = """
import os, sys
from pathlib import Path
from connectors.embedded.log import EmbeddedLog
from tests.faults.test_damage import RECORDS, value_of

log = EmbeddedLog.owner(Path(sys.argv[1]), sync="os")
log.create_topic("a", 1)
for number in range(RECORDS):
    if number == 300:
        log._database.flush()
    transaction = log.transaction()
    transaction.append("a", 0, b"k", value_of(number))
    transaction.put("t", 0, b"count", b"%d" % (number + 1))
    sequence = transaction.commit()
assert log.wait_durable(sequence)
log.close() if sys.argv[2] == "closed" else os._exit(0)
"""


def value_of(number: int) -> bytes:
    return b"%06d" % number * 20


@pytest.fixture(scope="module", params=["closed", "killed"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 400 commits, three quarters of them in sorted files; closed in order, or killed."""
    folder = tmp_path_factory.mktemp("damage") / "data"
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder), request.param], cwd=ROOT, check=True, timeout=60
    )
    return folder


def files(folder: Path) -> list[Path]:
    """The files that hold the log."""
    found = (folder / "log").iterdir()
    return sorted(
        p
        for p in found
        if p.stat().st_size and (p.suffix in (".sst", ".log") or p.name[:4] in ("MANI", "CURR"))
    )


def found_in(folder: Path) -> int | None:
    """How many commits are there, all of them right; None where the folder is refused."""
    try:
        with EmbeddedLog.owner(folder, sync="os") as log:
            values = [record.value for record in log.read("a", 0, 0, RECORDS + 1, 1 << 30)]
            count = int(log.get("t", 0, b"count") or 0)
    except StateError:
        return None
    assert values == [value_of(number) for number in range(len(values))]
    assert count == len(values)
    return count


def test_the_sound_folder_is_whole(sound: Path, tmp_path: Path):
    shutil.copytree(sound, tmp_path / "data")
    assert found_in(tmp_path / "data") == RECORDS
    assert {path.suffix for path in files(sound)} >= {".sst"}


@pytest.mark.parametrize("kind", [".sst", ".log", "MANIFEST", "CURRENT"])
def test_a_flipped_bit_is_found_or_harmless(sound: Path, tmp_path: Path, kind: str):
    choose = random.Random(kind)
    targets = [path.name for path in files(sound) if path.name.startswith(kind) or path.suffix == kind]
    refused = 0
    for number in range(8 if targets else 0):
        folder = tmp_path / str(number)
        shutil.copytree(sound, folder)
        target = folder / "log" / choose.choice(targets)
        content = bytearray(target.read_bytes())
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
        target.write_bytes(content)
        found = found_in(folder)
        assert found in (None, RECORDS)
        refused += found is None
    assert refused > 0 or not targets


@pytest.mark.parametrize("kind", [".sst", ".log", "MANIFEST", "CURRENT"])
def test_a_file_that_is_cut_short_is_found(sound: Path, tmp_path: Path, kind: str):
    choose = random.Random(kind)
    targets = [path.name for path in files(sound) if path.name.startswith(kind) or path.suffix == kind]
    for number in range(8 if targets else 0):
        folder = tmp_path / str(number)
        shutil.copytree(sound, folder)
        target = folder / "log" / choose.choice(targets)
        size = target.stat().st_size
        if kind == "MANIFEST":  # what it gained just before a kill is not claimed
            size = int((folder / "watermark").read_text().split()[2])
        with target.open("r+b") as file:
            file.truncate(choose.randrange(size))
        assert found_in(folder) is None


@pytest.mark.parametrize("kind", [".sst", "MANIFEST", "CURRENT"])
def test_a_file_that_is_gone_is_found(sound: Path, tmp_path: Path, kind: str):
    for number, target in enumerate(path.name for path in files(sound)):
        if target.startswith(kind) or target.endswith(kind):
            folder = tmp_path / str(number)
            shutil.copytree(sound, folder)
            (folder / "log" / target).unlink()
            assert found_in(folder) is None
            assert (folder / "log").is_dir()


def test_the_message_says_what_to_do(sound: Path, tmp_path: Path):
    shutil.copytree(sound, tmp_path / "data")
    for path in files(tmp_path / "data"):
        path.write_bytes(b"\x00" * path.stat().st_size)
    with pytest.raises(StateError, match=r"expected .* found.*(backup|replay)"):
        EmbeddedLog.owner(tmp_path / "data")
