"""The RocksDB below the embedded log: how it is opened, by its owner or beside it.

`tolerate_corrupted_tail_records`: a record cut short at the very end of the write-ahead log (a crash in the
middle of a write that was never acknowledged) is dropped; any other damage is refused, never skipped.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)

from connectors.embedded.background import let_stages_first
from connectors.embedded.errors import (
    CommitError,
    OwnedElsewhereError,
    ResourceError,
    StateError,
    remedy,
    translate,
)
from connectors.embedded.watermark import Note

_MEBIBYTE = 1024 * 1024
_DATABASE = "log"
_OWNER = "owner"
_PROBE = "room"
_ROOM_BYTES = 16 * _MEBIBYTE
_ROOM_FILES = 16

_OPENING_SECONDS = 2.0
_OPENING_PAUSE_SECONDS = 0.002


def _options(create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_write_buffer_size(64 * _MEBIBYTE)
    options.set_max_write_buffer_number(4)
    options.set_max_total_wal_size(512 * _MEBIBYTE)
    options.set_target_file_size_base(64 * _MEBIBYTE)
    options.set_max_background_jobs(2)
    # What is written is soon written again by a compaction: compressing it pays only where it comes to rest.
    options.set_compression_per_level([DBCompressionType.none()] * 2 + [DBCompressionType.lz4()] * 5)
    options.set_keep_log_file_num(4)
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(10, False)
    blocks.set_block_cache(Cache(256 * _MEBIBYTE))
    blocks.set_block_size(16 * 1024)
    options.set_block_based_table_factory(blocks)
    return options


class OwnerLock:
    """The claim of one process on a data folder; the kernel releases it when the process dies."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = (folder / _OWNER).open("a+", encoding="ascii")
        except OSError as error:
            advice = remedy(str(error.strerror))
            if advice is not None:
                raise ResourceError(
                    f"{folder}: expected to open {_OWNER}, found: {error.strerror}; {advice}"
                ) from error
            raise StateError(
                f"{folder}: expected a folder to keep data in, found: {error.strerror}; make it one that this user "
                "may write, or give another with --data"
            ) from error
        with _opening(folder, fcntl.LOCK_EX, _OPENING_SECONDS):
            owned = _try_lock(self._file.fileno(), fcntl.LOCK_EX)
        if not owned:
            self._file.seek(0)
            process = self._file.read().strip() or "unknown"
            self._file.close()
            raise OwnedElsewhereError(
                f"{folder}: expected to own this data folder, found process {process} owning it; stop that "
                "process, or give another folder with --data"
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Give the folder up."""
        self._file.close()


def owner_process(folder: Path) -> int | None:
    """The process that owns a folder; None where none does."""
    with _opening(folder, fcntl.LOCK_SH, _OPENING_SECONDS):
        return _owner_process(folder)


def _owner_process(folder: Path) -> int | None:
    try:
        with (folder / _OWNER).open(encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0)
    except FileNotFoundError:
        return None
    return None


@contextlib.contextmanager
def _opening(folder: Path, kind: int, seconds: float) -> Iterator[bool]:
    """Keep owners that open the database, and readers that look at a folder without owner, out of each other's way.

    True where that was possible within some seconds; a reader that was stopped in the middle holds nobody up.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        deadline = time.monotonic() + seconds
        while not (held := _try_lock(descriptor, kind)) and time.monotonic() < deadline:
            time.sleep(_OPENING_PAUSE_SECONDS)
        yield held
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def database_exists(folder: Path) -> bool:
    """Whether a log was ever made in a folder."""
    return (folder / _DATABASE / "CURRENT").exists()


def holds_log(folder: Path) -> bool:
    """Whether there was a log in a folder, also where `CURRENT`, without which RocksDB finds nothing, is missing.

    Beside an owner that makes its first log, a manifest may be there before it.
    """
    return any((folder / _DATABASE).glob("*.sst")) or Note(folder, folder / _DATABASE).sequence > 0


def refuse_nameless(folder: Path) -> None:
    """Raise StateError where the files of a log are there without the one that names them."""
    if not database_exists(folder) and holds_log(folder):
        raise StateError(
            f"{folder / _DATABASE / 'CURRENT'}: expected the file that names the log's manifest, found none: the log is "
            "damaged; keep a copy of the folder, then restore a backup, or rebuild it by replaying the fills from "
            "their sources into a new folder (docs/operating/damaged-state.md)"
        )


def database_folder(folder: Path) -> Path:
    """Where RocksDB keeps the files of a data folder."""
    return folder / _DATABASE


def open_owned(folder: Path) -> Rdict:
    """The database for its one owner; made where there is none."""
    try:
        with _opening(folder, fcntl.LOCK_EX, _OPENING_SECONDS):
            database = Rdict(str(folder / _DATABASE), _options(create=True))
        let_stages_first()
        return database
    except Exception as error:
        raise translate(error, str(folder)) from error


def require_room(folder: Path) -> None:
    """Raise CommitError unless there is room to open the database: it writes its unsaved part into new files."""
    logs = (folder / _DATABASE).glob("*.log")
    needed = _ROOM_BYTES + sum(file.stat().st_size for file in logs)
    probe = folder / _PROBE
    files: list[int] = []
    try:
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, needed)
            files.extend(os.dup(file.fileno()) for _ in range(_ROOM_FILES))
    except OSError as error:
        advice = remedy(str(error.strerror)) or "make room on the disk"
        raise CommitError(
            f"{folder}: expected room for {needed} bytes and {_ROOM_FILES} files, found: {error.strerror}; {advice}"
        ) from error
    finally:
        for descriptor in files:
            os.close(descriptor)
        probe.unlink(missing_ok=True)


def open_beside(folder: Path) -> tuple[Rdict, tempfile.TemporaryDirectory[str] | None]:
    """The database to read; beside an owner with the folder in which RocksDB notes things for itself.

    A secondary passes over files that are damaged or missing, back to what is whole: beside an owner they may be on
    the move. Where nobody owns the folder nothing moves, and it is opened as strictly as by its owner.
    """
    options = _options(create=False)
    options.set_max_open_files(-1)
    path = str(folder / _DATABASE)
    notes = None
    try:
        with _opening(folder, fcntl.LOCK_SH, 0.0) as still:
            if still and _owner_process(folder) is None:
                return Rdict(path, options, access_type=AccessType.read_only()), None
        notes = tempfile.TemporaryDirectory(prefix="pks-reader-")
        return Rdict(path, options, access_type=AccessType.secondary(notes.name)), notes
    except Exception as error:
        if notes is not None:
            notes.cleanup()
        raise translate(error, str(folder)) from error
