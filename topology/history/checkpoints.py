"""Checkpoints of the positions table: what it held at earlier offsets, so that looking back need not replay the log.

Owns: the folder `checkpoints` of a data folder: when checkpoints are taken, how far apart, and whether they belong to
this log.
Assumes: the changelog makes the table (`pks verify` holds them against each other).
Guarantees: a checkpoint is a copy made from the log: what is lost, damaged or of another log is left out and made
again, and what is shown is the same without it. Taking them reads the log beside its owner, and no step waits.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agents import positions
from agents.open_position import LOT
from connectors.embedded.database import OwnerLock
from connectors.embedded.errors import StateError
from connectors.embedded.history import CheckpointNote, TableHistory
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import PACKED_KEY, changes_of
from schemas.topics import BOOKINGS
from tables.store import Store
from topology.log_reading import partition_count, read_records

FOLDER = "checkpoints"
FORMAT = 1
CHECKPOINTS_MIN = 16
"""A history that grows too large keeps at least so many in each partition; then no more are taken."""

_HISTORY, _NEW = "positions", "positions.new"
_CHANGELOG = positions.stage().changelog
_OFFSET = slice(len(PACKED_KEY), len(PACKED_KEY) + 8)
_PART = slice(len(PACKED_KEY) + 16, len(PACKED_KEY) + 20)
_KEY_BYTES = len(PACKED_KEY) + 20


class _Note(msgspec.Struct):
    """What a history says of itself."""

    format: int
    asked: int
    spacing: int


@dataclass(slots=True)
class Taken:
    """What a run that takes checkpoints came to."""

    taken: int = 0
    kept: int = 0
    spacing_bytes: int = 0
    bytes: int = 0
    partitions: dict[str, int] = field(default_factory=dict)
    rebuilt: str = ""
    full: bool = False


def lots_page(key: bytes) -> bytes | None:
    """The lots of a position are one page of the history: `l book 0 instrument` of `l book 0 instrument 0 order`."""
    if key[:1] != LOT:
        return None
    end = key.find(b"\x00", key.find(b"\x00") + 1)
    return None if end < 0 else key[:end]


# -- reading ----------------------------------------------------------------------------------------------------


class Checkpoints:
    """The checkpoints of a log, to go on from."""

    def __init__(self, log: EmbeddedLog, history: TableHistory) -> None:
        self._log = log
        self._history = history

    def before(self, partition: int, offset: int) -> int:
        """The input offset of the last checkpoint at or before an offset of the bookings; 0 where there is none."""
        note = self._history.last(partition, offset)
        return 0 if note is None or not belongs(self._log, partition, note) else note.offset

    def changed(self, partition: int, key: bytes) -> list[tuple[int, int]]:
        """Where among the bookings (first and next offset) a key of the table was changed, in order."""
        end = self._log.end_offset(BOOKINGS.name, partition)
        newest = self.before(partition, end)
        found: list[tuple[int, int]] = []
        for version in self._history.versions(partition, key) if newest else ():
            note = self._history.last(partition, version - 1)
            found.append((0 if note is None else note.offset, version))
        return [*found, (newest, end)]

    def table(self, partition: int, offset: int) -> Store:
        """The table partition at a checkpoint."""
        return self._history.at(partition, offset)


@contextlib.contextmanager
def opened_checkpoints(
    log: EmbeddedLog, on_damage: Callable[[str], None] | None = None
) -> Iterator[Checkpoints | None]:
    """The checkpoints of a log; None where there are none, or none that can be read (`on_damage` hears why)."""
    history = None
    try:
        history = TableHistory.reader(log.folder / FOLDER / _HISTORY, lots_page)
        if history is not None and _read_note(history) is None:
            raise StateError(f"{log.folder / FOLDER}: expected checkpoints that can be read, found none")
    except StateError as error:
        if history is not None:
            history.close()
            history = None
        if on_damage is not None:
            on_damage(str(error))
    try:
        yield None if history is None else Checkpoints(log, history)
    finally:
        if history is not None:
            history.close()


def belongs(log: EmbeddedLog, partition: int, note: CheckpointNote) -> bool:
    """Whether a checkpoint is of this log as it is: a log that lost its end, or was replaced, has another record."""
    found = log.read(_CHANGELOG, partition, note.changelog - 1, 1, 1)
    return bool(found) and (found[0].offset, found[0].sequence, found[0].appended_at) == (
        note.changelog - 1,
        note.sequence,
        note.appended_at,
    )


def _read_note(history: TableHistory) -> _Note | None:
    try:
        stored = history.note()
        note = None if stored is None else msgspec.json.decode(stored, type=_Note)
    except Exception as error:
        raise StateError(f"expected a note in the checkpoints, found: {error}") from error
    if note is not None and note.format != FORMAT:
        raise StateError(f"expected checkpoints of format {FORMAT}, found {note.format}; make them again")
    return note


# -- taking -----------------------------------------------------------------------------------------------------


def take_checkpoints(
    log: EmbeddedLog,
    spacing_bytes: int,
    checkpoints_max: int,
    bytes_max: int,
    progress: Callable[[int], None] | None = None,
) -> Taken:
    """Bring the checkpoints of a log up to date.

    `spacing_bytes` of changelog lie between two of a partition. Where that would be more than `checkpoints_max`, or
    more bytes than `bytes_max`, the spacing is doubled and they are made afresh: each doubling costs one reading of the
    changelog, and comes when the log has doubled. Raises OwnedElsewhereError where another process takes them.
    """
    folder = log.folder / FOLDER
    lock = OwnerLock(folder)
    try:
        return _take(
            log, folder, spacing_bytes, checkpoints_max, bytes_max, progress or (lambda records: None)
        )
    finally:
        lock.release()


def _take(
    log: EmbeddedLog,
    folder: Path,
    spacing_bytes: int,
    checkpoints_max: int,
    bytes_max: int,
    progress: Callable[[int], None],
) -> Taken:
    current = folder / _HISTORY
    longest = _longest(log)
    spacing = spacing_bytes
    while longest // spacing > checkpoints_max:
        spacing *= 2
    taken = Taken()
    found, taken.rebuilt = _spacing_of(log, current, spacing_bytes, spacing)
    if not taken.rebuilt and _size(current) > bytes_max:
        if longest // (2 * found) < CHECKPOINTS_MIN:
            taken.full = True
        else:
            spacing, taken.rebuilt = 2 * found, f"larger than {bytes_max} bytes"
    if not taken.full:
        target = folder / _NEW if taken.rebuilt else current
        if taken.rebuilt and _spacing_of(log, target, spacing_bytes, spacing)[1]:
            # Else an earlier run was ended in the middle of it: go on from there.
            shutil.rmtree(target, ignore_errors=True)
        _extend(log, target, spacing_bytes, spacing, taken, progress)
        if taken.rebuilt:
            shutil.rmtree(current, ignore_errors=True)
            target.rename(current)
    taken.bytes = _size(current)
    return taken


def changelog_bytes(log: EmbeddedLog) -> int:
    """Bytes of the changelog, over all partitions."""
    return sum(_changelog_bytes(log, partition) for partition in range(partition_count(log)))


def _changelog_bytes(log: EmbeddedLog, partition: int) -> int:
    end = log.end_offset(_CHANGELOG, partition)
    last = log.read(_CHANGELOG, partition, end - 1, 1, 1) if end else []
    return last[0].bytes_before if last else 0


def _longest(log: EmbeddedLog) -> int:
    """Bytes of the longest changelog partition."""
    return max((_changelog_bytes(log, partition) for partition in range(partition_count(log))), default=0)


def _spacing_of(log: EmbeddedLog, current: Path, asked: int, wanted: int) -> tuple[int, str]:
    """The spacing of the checkpoints that are there, and why they must be made afresh, if so."""
    if not (current / "CURRENT").exists():
        return wanted, "none yet"
    try:
        with TableHistory.writer(current, lots_page) as history:
            note = _read_note(history)
            if note is None:
                return wanted, "none yet"
            if note.asked != asked or note.spacing < wanted:
                return wanted, f"spacing of {wanted} bytes in place of {note.spacing}"
            for partition in range(partition_count(log)):
                last = history.last(partition)
                if last is not None and not belongs(log, partition, last):
                    return wanted, "of another log"
            return note.spacing, ""
    except StateError as error:
        return wanted, str(error)


def _extend(
    log: EmbeddedLog, target: Path, asked: int, spacing: int, taken: Taken, progress: Callable[[int], None]
) -> None:
    with TableHistory.writer(target, lots_page) as history:
        note = _read_note(history)
        if note is not None:
            spacing = note.spacing
        else:
            history.set_note(msgspec.json.encode(_Note(FORMAT, asked, spacing)))
        taken.spacing_bytes = spacing
        for partition in range(partition_count(log)):
            taken.taken += _extend_partition(log, history, partition, spacing, progress)
            count = len(history.checkpoints(partition))
            taken.kept += count
            taken.partitions[str(partition)] = count


def _extend_partition(
    log: EmbeddedLog, history: TableHistory, partition: int, spacing: int, progress: Callable[[int], None]
) -> int:
    """Add the checkpoints that are due: at the ends of steps, as soon as `spacing` bytes have come together."""
    last = history.last(partition)
    changes: dict[bytes, bytes | None] = {}
    size = count = 0
    note: CheckpointNote | None = None
    begin = 0 if last is None else last.changelog
    for record in read_records(log, _CHANGELOG, partition, begin):
        key, value = record.key or b"", record.value
        if len(key) != _KEY_BYTES and key.startswith(PACKED_KEY) and not any(changes_of(key, value)):
            begin = record.offset + 1  # A mark that `pks rebuild` has left.
            continue
        if len(key) != _KEY_BYTES or not key.startswith(PACKED_KEY) or record.offset != begin:
            # Pruned, or of a version that did not say how far it had read: the log itself will do.
            return count
        if size >= spacing and note is not None and key[_PART] == bytes(4):
            history.add(partition, note, changes)
            changes, size, count = {}, 0, count + 1
        changes.update(changes_of(key, value))
        size += len(value or b"")
        begin = record.offset + 1
        note = CheckpointNote(int.from_bytes(key[_OFFSET], "big"), begin, record.sequence, record.appended_at)
        progress(1)
    if size >= spacing and note is not None:
        history.add(partition, note, changes)
        count += 1
    return count


def _size(folder: Path) -> int:
    found = 0
    for file in folder.glob("*"):
        with contextlib.suppress(OSError):
            found += file.stat().st_size
    return found
