"""A disk that is small enough to be filled: a file system in memory, mounted for one test."""

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BALLAST = "ballast"


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A folder that anybody may enter, with so much room; the test is skipped where this user may not mount one."""
    with tempfile.TemporaryDirectory(prefix="pks-disk-") as above:
        Path(above).chmod(0o755)
        with _mounted(Path(above) / "disk", megabytes) as folder:
            yield folder


@contextmanager
def _mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        found = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        found = str(error)
    if found:
        pytest.skip(f"expected to mount a small disk, found: {found}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    """Leave no byte of the disk, whatever was freed since the last call."""
    with (folder / _BALLAST).open("ab", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while ballast.write(bytes(size)) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def make_room(folder: Path) -> None:
    """Give back what `fill_up` took."""
    (folder / _BALLAST).unlink()
