"""How far the log had come, noted beside it: so that files which were cut short are found.

A write-ahead log or a manifest that ends too early looks to RocksDB like a crash in the middle of a write, and its
checksums say nothing else. So the owner notes what was synced: a log that opens with less is refused.

Owns: the file `watermark` of a data folder. Assumes: one owner.
Guarantees: never claims more than was on the disk when it was noted; a note that cannot be read claims nothing.
What a manifest gained after the last note before a kill (a quarter of a second at most, where the owner syncs in
groups) is not claimed.
"""

import contextlib
import os
import time
from pathlib import Path

from connectors.embedded.errors import StateError

_NAME = "watermark"
_NAMED_SECONDS = 1.0
_LINE_BYTES = 96
_READS_MAX = 100


def manifest_of(database: Path) -> tuple[str, int]:
    """The manifest in force of a database and its bytes; nothing where there is none, or it is being replaced."""
    with contextlib.suppress(OSError, ValueError):
        name = (database / "CURRENT").read_text(encoding="ascii").strip()
        return name, (database / name).stat().st_size
    return "", 0


class Note:
    """What a folder's note claims, for whoever opens its log."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        self._database = database
        self.sequence, self._manifest, self._manifest_bytes = self._read()

    def _read(self) -> tuple[int, str, int]:
        """The note; read until it is twice the same, since an owner may be writing it."""
        line = None
        for _ in range(_READS_MAX):
            with contextlib.suppress(OSError):
                before, line = line, (self._folder / _NAME).read_bytes()
                if line == before:
                    break
        try:
            sequence, manifest, size = (line or b"").decode("ascii").split()
            return int(sequence), manifest, int(size)
        except ValueError:
            return 0, "", 0

    def check_files(self) -> None:
        """Before the database is opened. Raises StateError where its manifest is shorter than it was."""
        name, size = manifest_of(self._database)
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


class Watermark(Note):
    """The note as the owner keeps it."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        super().__init__(folder, database)
        self._manifest_file: int | None = None
        self._named_at = 0.0

    def note(self, sequence: int, *, settled: bool = False) -> None:
        """The log is synced up to `sequence`; `settled` where the manifest may be another one (opened)."""
        grown = self._note_manifest(settled)
        if sequence == self.sequence and not grown:
            return
        self.sequence = sequence
        line = f"{sequence} {self._manifest or '-'} {self._manifest_bytes}"
        # On a full disk the older note stands: it claims less, and that is still true.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, f"{line:<{_LINE_BYTES - 1}}\n".encode("ascii"), 0)

    def _note_manifest(self, settled: bool) -> bool:
        """Whether there is more of the manifest to claim than there was."""
        now = time.monotonic()
        try:
            if settled or self._manifest_file is None or now - self._named_at >= _NAMED_SECONDS:
                self._named_at = now
                self._follow(manifest_of(self._database)[0])
            if self._manifest_file is None:
                return False
            size = os.fstat(self._manifest_file).st_size
            if size == self._manifest_bytes:
                return False
            # RocksDB syncs it too, but maybe not yet.
            os.fsync(self._manifest_file)
        except OSError:
            return False
        self._manifest_bytes = size
        return True

    def _follow(self, name: str) -> None:
        """Go over to the manifest of this name."""
        if name and (name != self._manifest or self._manifest_file is None):
            file = os.open(self._database / name, os.O_RDONLY | os.O_CLOEXEC)
            self._leave()
            self._manifest, self._manifest_file, self._manifest_bytes = name, file, -1

    def _leave(self) -> None:
        if self._manifest_file is not None:
            os.close(self._manifest_file)
            self._manifest_file = None

    def close(self) -> None:
        """Note no more."""
        self._leave()
        os.close(self._file)
