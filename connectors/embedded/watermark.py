"""How far the log had come, noted beside it: so that files which were cut short are found.

A write-ahead log or a manifest that ends too early looks to RocksDB like a crash in the middle of a write, and its
checksums say nothing else. So the owner notes what was synced: a log that opens with less is refused.

Owns: the file `watermark` of a data folder. Assumes: one owner.
Guarantees: never claims more than was on the disk when it was noted; a note that cannot be read claims nothing.
What a manifest gained in the last second before a kill is not claimed.
"""

import contextlib
import os
import time
from pathlib import Path

from connectors.embedded.errors import StateError

_NAME = "watermark"
_STABLE_SECONDS = 1.0
_LINE_BYTES = 96


class Watermark:
    """The note of one data folder, whose database is in `database`."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        self._database = database
        self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.sequence, self._manifest, self._manifest_bytes = self._read()
        self._seen = -1
        self._looked_at = time.monotonic()

    def _read(self) -> tuple[int, str, int]:
        try:
            sequence, manifest, size = os.pread(self._file, _LINE_BYTES, 0).decode("ascii").split()
            return int(sequence), manifest, int(size)
        except ValueError:
            return 0, "", 0

    def check_files(self) -> None:
        """Before the database is opened. Raises StateError where its manifest is shorter than it was."""
        name, size = self._current()
        if self._manifest and name == self._manifest and size < self._manifest_bytes:
            raise self._fault(f"{self._manifest} of {self._manifest_bytes} bytes", f"{size} bytes")

    def check_sequence(self, sequence: int) -> None:
        """After the database is opened. Raises StateError where it has less than was synced."""
        if sequence < self.sequence:
            raise self._fault(
                f"a log up to sequence {self.sequence}, which was synced", f"it up to {sequence}"
            )

    def _fault(self, expected: str, found: str) -> StateError:
        return StateError(
            f"{self._folder}: expected {expected}, found {found}: the end of the log is missing; keep a copy of the "
            "folder, then restore a backup, or rebuild it by replaying the fills from their sources into a new folder "
            "(docs/operating/damaged-state.md)"
        )

    def _current(self) -> tuple[str, int]:
        with contextlib.suppress(OSError, ValueError):
            name = (self._database / "CURRENT").read_text(encoding="ascii").strip()
            return name, (self._database / name).stat().st_size
        return "", 0

    def note(self, sequence: int, *, settled: bool = False) -> None:
        """The log is synced up to `sequence`; `settled` where nothing else is being written (opened, closed)."""
        now = time.monotonic()
        if settled or now - self._looked_at >= _STABLE_SECONDS:
            self._looked_at = now
            name, size = self._current()
            if settled or (name == self._manifest and size == self._seen):
                self._manifest, self._manifest_bytes = name, size
            self._seen = size
        self.sequence = sequence
        line = f"{sequence} {self._manifest or '-'} {self._manifest_bytes}"
        # On a full disk the older note stands: it claims less, and that is still true.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, f"{line:<{_LINE_BYTES - 1}}\n".encode("ascii"), 0)

    def close(self) -> None:
        """Note no more."""
        os.close(self._file)
