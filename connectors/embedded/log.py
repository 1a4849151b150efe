"""The embedded log: topics, tables and group offsets in one RocksDB, so that one write makes a step atomic.

Owns: a data folder, for one process (`owner`), or a view of it beside that process (`reader`).
Assumes: one thread writes.
Guarantees: a transaction is in the log whole or not at all; offsets of a topic partition are contiguous from 0
(compaction and retention leave holes); `sequence` numbers all records of the log in the order of their appends;
`appended_at` rises with each commit, even where the clock goes back.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from rocksdict import Rdict, WriteBatch, WriteOptions

from connectors.embedded.contents import End, LogContents, TopicPartition
from connectors.embedded.database import (
    OwnerLock,
    database_exists,
    database_folder,
    open_beside,
    open_owned,
    refuse_nameless,
    require_room,
)
from connectors.embedded.durability import GroupSync
from connectors.embedded.errors import CommitError, EmbeddedLogError, StateError, remedy, translate
from connectors.embedded.transaction import EmbeddedTransaction
from connectors.embedded.watermark import Note, Watermark, manifest_of

SyncPolicy = Literal["always", "group", "os"]
Listener = Callable[[list[TopicPartition]], None]

_REACH_SECONDS = 5.0
_REACH_PAUSE_SECONDS = 0.01
_LOOKS_MAX = 100
_logger = logging.getLogger(__name__)


class EmbeddedLog(LogContents):
    """The log of a data folder; `owner(...)` or `reader(...)` open it."""

    def __init__(
        self,
        folder: Path,
        database: Rdict,
        *,
        lock: OwnerLock | None,
        notes: TemporaryDirectory[str] | None,
        sync: SyncPolicy,
        clock: Callable[[], int],
        watermark: Watermark | None = None,
    ) -> None:
        super().__init__(folder, database, writable=lock is not None)
        self._lock = lock
        self._watermark = watermark
        self._notes = notes
        self._clock = clock
        self._sync = sync
        self._write_options = WriteOptions()
        self._write_options.sync = sync == "always"
        self._listeners: list[Listener] = []
        self.listener_failures = 0
        self._synced = 0
        self.closed = False
        self.failed: str | None = None
        self.reopened = 0
        self._load()
        self._group = self._start_group()

    @classmethod
    def owner(
        cls, folder: Path, *, sync: SyncPolicy = "group", clock: Callable[[], int] = time.time_ns
    ) -> "EmbeddedLog":
        """Own a folder; made where there is none.

        Raises OwnedElsewhereError where another process owns it, StateError where it is damaged or newer.
        """
        lock = OwnerLock(folder)
        watermark: Watermark | None = None
        try:
            # RocksDB would begin a log of its own over what is there.
            refuse_nameless(folder)
            watermark = Watermark(folder, database_folder(folder))
            watermark.check_files()
            database = open_owned(folder)
            return cls(folder, database, lock=lock, notes=None, sync=sync, clock=clock, watermark=watermark)
        except BaseException:
            if watermark is not None:
                watermark.close()
            lock.release()
            raise

    @classmethod
    def reader(cls, folder: Path) -> "EmbeddedLog":
        """Read a folder beside its owner; `catch_up` follows it. Raises StateError where there is no log."""
        if not database_exists(folder):
            refuse_nameless(folder)
            raise StateError(
                f"{folder}: expected a data folder with a log, found none; name one with --data, or start one "
                "with `pks up` or `pks import`"
            )
        note = Note(folder, database_folder(folder))
        note.check_files()
        database, notes = open_beside(folder)
        try:
            log = cls(folder, database, lock=None, notes=notes, sync="os", clock=time.time_ns)
        except BaseException:
            if notes is not None:
                notes.cleanup()
            raise
        try:
            if notes is not None:
                # Its files may have moved while it was opened.
                log.catch_up()
            log._reach(note)
        except BaseException:
            log.close()
            raise
        return log

    def _reach(self, note: Note) -> None:
        """Have all that was synced before; beside a living owner its files may have moved meanwhile."""
        deadline = time.monotonic() + _REACH_SECONDS
        while self._notes is not None and self.sequence < note.sequence and time.monotonic() < deadline:
            time.sleep(_REACH_PAUSE_SECONDS)
            self.catch_up()
        note.check_sequence(self.sequence)

    def _start_group(self) -> GroupSync | None:
        if self._lock is None or self._sync != "group":
            return None
        return GroupSync(self._flush, lambda: self.sequence, self._note_files)

    def _note_files(self) -> None:
        if self._watermark is not None:
            self._watermark.note(self._watermark.sequence)

    def _load(self) -> None:
        try:
            self._load_definitions()
            if self._watermark is not None:
                self._watermark.check_sequence(self.sequence)
                self._watermark.note(self._watermark.sequence, settled=True)
        except StateError:
            self._database.close()
            raise
        except Exception as error:
            self._database.close()
            raise translate(error, str(self.folder)) from error

    def _follow(self) -> None:
        """Read what the owner has written, without a gap. Raises StateError where its files do not hold still.

        RocksDB reads the manifest first and the write-ahead logs then. Where the owner finishes one of these and removes
        it in between, its records are in neither: seen is what came later, without what came before. The manifest has
        grown by then, and names the file that has them.
        """
        database = database_folder(self.folder)
        # Each look has less to read than the one before.
        for _ in range(_LOOKS_MAX):
            before = manifest_of(database)
            self._database.try_catch_up_with_primary()
            if manifest_of(database) == before:
                return
        raise StateError(
            f"{self.folder}: expected a manifest that holds still while it is read, found {before[0] or 'none'} "
            f"changing in each of {_LOOKS_MAX} looks; try again"
        )

    def catch_up(self) -> None:
        """Let a reader see what the owner has committed by now."""
        if not self.writable:
            try:
                if self._notes is None:
                    # Nobody owned it when it was opened; somebody may by now.
                    self._close_database()
                    self._database, self._notes = open_beside(self.folder)
                else:
                    self._follow()
                self._load_definitions()
            except EmbeddedLogError:
                raise
            except Exception as error:
                raise translate(error, str(self.folder)) from error

    # -- writing ----------------------------------------------------------------------------------------------

    def transaction(self) -> EmbeddedTransaction:
        """A new, empty transaction."""
        return EmbeddedTransaction(self)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit with the topic partitions that grew; returns how to stop it.

        What a listener raises is logged and counted (`listener_failures`); the commit stands.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def committed_to(self, ends: Mapping[TopicPartition, End], sequence: int, appended_at: int) -> None:
        """Note what a transaction has written, and tell who listens, for `EmbeddedTransaction`.

        A listener that fails has failed by itself: what is written is committed, and whoever wrote it must not
        take it for undone.
        """
        self._ends.update(ends)
        self.sequence = sequence
        self.appended_at = appended_at
        if not ends:
            return
        grown = list(ends)
        for listener in tuple(self._listeners):
            try:
                listener(grown)
            except Exception as error:
                self.listener_failures += 1
                name = getattr(listener, "__qualname__", repr(listener))
                _logger.error("listener %s of the log failed: %r", name, error, exc_info=error)

    def write(self, batch: WriteBatch) -> None:
        """Write a batch, for `EmbeddedTransaction`. Raises CommitError."""
        if self._lock is None:
            raise CommitError(f"{self.folder}: expected to own the folder, found it opened to read")
        if self.failed is not None:
            raise CommitError(self.failed)
        try:
            self._database.write(batch, self._write_options)
        except Exception as error:
            advice = remedy(str(error)) or "make room on the disk (docs/operating/disk-full.md)"
            self.failed = (
                f"{self.folder}: expected to write a commit, found: {error}; {advice}: writing goes on then"
            )
            raise CommitError(self.failed) from error

    def remove(self, batch: WriteBatch) -> None:
        """Write a batch that removes records, for `retention`. Raises CommitError."""
        self.write(batch)
        self.tails.clear()

    def _flush(self) -> None:
        sequence = self.sequence
        try:
            self._database.flush_wal(True)
        except Exception as error:
            raise CommitError(
                f"{self.folder}: expected to sync the log to the disk, found: {error}; what was committed since the "
                "last sync is not on the disk for certain"
            ) from error
        if self._watermark is not None:
            self._watermark.note(sequence)

    @property
    def durable_sequence(self) -> int:
        """Up to which sequence the log is synced to the disk."""
        if self._group is not None:
            return self._group.durable
        return self.sequence if self._sync == "always" else self._synced

    def wait_durable(self, sequence: int, timeout_seconds: float = 10.0) -> bool:
        """Wait until the log is synced up to `sequence` (with `os`, sync it now); False after the time-out."""
        if self._group is not None:
            return self._group.wait(sequence, timeout_seconds)
        if self._sync == "os":
            synced = self.sequence
            self._flush()
            self._synced = synced
        return True

    def reopen(self) -> None:
        """Open the database again after a write failed: RocksDB takes no other write before. For the owner.

        `reopened` counts these: whoever keeps in memory what the log holds must read it again, since the write
        that failed may be found there whole after all. Raises CommitError while there is no room to open it, and
        leaves it as it is; ResourceError where the room was gone again, and StateError where it cannot be opened.
        """
        require_room(self.folder)
        if self._group is not None:
            self._group.close()
        self._close_database()
        self._database = open_owned(self.folder)
        self.reopened += 1
        self._load()
        self._group = self._start_group()
        self.failed = None

    def _close_database(self) -> None:
        # A database whose last write failed says so when it is closed, and is closed all the same.
        with contextlib.suppress(Exception):
            self._database.close()

    def close(self) -> None:
        """Sync and close; the folder is free for another owner."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._group is not None:
                self._group.close()
            elif self.writable:
                self._flush()
        finally:
            self._close_database()
            if self._watermark is not None:
                if self.failed is None:
                    self._watermark.note(self._watermark.sequence, settled=True)
                self._watermark.close()
            if self._lock is not None:
                self._lock.release()
            if self._notes is not None:
                self._notes.cleanup()

    def __enter__(self) -> "EmbeddedLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
