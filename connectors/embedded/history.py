"""The history of a table: what its partitions held at earlier offsets of their input, beside the log.

Owns: a folder with a RocksDB of its own. An entry is a table key at a *version*: the next input offset of the
checkpoint at which it changed; the newest first. A table key read at a checkpoint is its newest entry there.
Keys of which a prefix has many that come and go (the lots of a position) are kept by *page*: an entry of a page
holds what changed of it, or now and then all of it, so that reading it never meets what is long gone.
Assumes: one writer (`writer` takes a lock), checkpoints of a partition in rising order.
Guarantees: a checkpoint is there whole or not at all; it never changes. It is a copy: whoever finds it missing or
damaged (StateError) goes back to the log.

    m                                                  what the writer notes of the whole
    c  partition(2) offset(8)                          a checkpoint: its note
    v  partition(2) escaped key, 0 1, version(8)       an entry; versions are inverted, so that they fall
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from connectors.embedded.errors import StateError

_MEBIBYTE = 1024 * 1024
_NEVER = (1 << 64) - 1
_VALUE, _PAGE, _REMOVED = b"v", b"p", b""
_END, _AFTER = b"\x00\x01", b"\x00\x02"
_STEPS_MAX = 4
"""Older entries of a key that are stepped over one by one; more are jumped over."""

_PAGES_NOTED_MAX = 100_000

PageOf = Callable[[bytes], bytes | None]
"""The page of a table key: a prefix of it that is no key itself; None for a key that stands alone."""


class CheckpointNote(msgspec.Struct, array_like=True, frozen=True):
    """A checkpoint of a partition: everything before input offset `offset` is in it.

    `changelog` is the next changelog offset there; `sequence` and `appended_at` are those of the changelog record
    before it, by which the log is known again.
    """

    offset: int
    changelog: int
    sequence: int
    appended_at: int


class _Page(msgspec.Struct, array_like=True):
    """An entry of a page: `changes` are suffix, value, suffix, value, ... (nil removes)."""

    whole: bool
    whole_bytes: int
    changed_bytes: int
    changes: list[bytes | None]


_encode = msgspec.msgpack.Encoder().encode
_decode_note = msgspec.msgpack.Decoder(CheckpointNote).decode
_decode_page = msgspec.msgpack.Decoder(_Page).decode


def _options(create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(32 * _MEBIBYTE)
    options.set_target_file_size_base(64 * _MEBIBYTE)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_open_files(-1)
    options.set_keep_log_file_num(2)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(64 * _MEBIBYTE))
    options.set_block_based_table_factory(blocks)
    return options


class TableHistory:
    """The history of one table; `writer(...)` or `reader(...)` open it."""

    def __init__(
        self, folder: Path, database: Rdict, page_of: PageOf, notes: TemporaryDirectory[str] | None
    ) -> None:
        self._folder = folder
        self._database = database
        self._page_of = page_of
        self._notes = notes
        self._write_options = WriteOptions()
        # Nothing that is lost cannot be made again; what is there is a prefix of what was written.
        self._write_options.disable_wal = True
        self._pages: dict[tuple[int, bytes], _Page] = {}

    @classmethod
    def writer(cls, folder: Path, page_of: PageOf) -> "TableHistory":
        """Write a history; made where there is none. The caller sees to it that there is one writer."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            return cls(folder, Rdict(str(folder), _options(create=True)), page_of, None)
        except Exception as error:
            raise _fault(folder, error) from error

    @classmethod
    def reader(cls, folder: Path, page_of: PageOf) -> "TableHistory | None":
        """Read a history beside its writer, as it is now; None where there is none."""
        if not (folder / "CURRENT").exists():
            return None
        notes = TemporaryDirectory(prefix="pks-history-")
        try:
            access = AccessType.secondary(notes.name)
            return cls(folder, Rdict(str(folder), _options(create=False), access_type=access), page_of, notes)
        except Exception as error:
            notes.cleanup()
            raise _fault(folder, error) from error

    def close(self) -> None:
        """Bring what was written to the disk, and close."""
        with contextlib.suppress(Exception):
            if self._notes is None:
                self._database.flush()
        self._database.close()
        if self._notes is not None:
            self._notes.cleanup()

    def __enter__(self) -> "TableHistory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self) -> bytes | None:
        """What the writer noted of the whole history."""
        found: bytes | None = self._database.get(b"m")
        return found

    def set_note(self, note: bytes) -> None:
        """Note something of the whole history."""
        self._database.put(b"m", note, self._write_options)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoints(self, partition: int) -> list[CheckpointNote]:
        """The checkpoints of a partition, the first first."""
        prefix = b"c" + partition.to_bytes(2, "big")
        found: list[CheckpointNote] = []
        iterator = self._database.iter()
        iterator.seek(prefix)
        while iterator.valid() and iterator.key().startswith(prefix):
            try:
                found.append(_decode_note(iterator.value()))
            except msgspec.MsgspecError as error:
                raise _fault(self._folder, error) from error
            iterator.next()
        self._check(iterator)
        return found

    def last(self, partition: int, offset: int = _NEVER) -> CheckpointNote | None:
        """The last checkpoint of a partition at or before an input offset."""
        prefix = b"c" + partition.to_bytes(2, "big")
        iterator = self._database.iter()
        iterator.seek_for_prev(prefix + offset.to_bytes(8, "big"))
        self._check(iterator)
        if not iterator.valid() or not iterator.key().startswith(prefix):
            return None
        try:
            return _decode_note(iterator.value())
        except msgspec.MsgspecError as error:
            raise _fault(self._folder, error) from error

    def add(self, partition: int, note: CheckpointNote, changes: Mapping[bytes, bytes | None]) -> None:
        """Add a checkpoint: what has changed of the table partition since the one before it."""
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        version = _inverted(note.offset)
        prefix = _prefix(partition)
        pages: dict[bytes, list[bytes | None]] = {}
        for key, value in changes.items():
            page = self._page_of(key)
            if page is None:
                put(
                    prefix + key.replace(b"\x00", b"\x00\xff") + _END + version,
                    _REMOVED if value is None else _VALUE + value,
                )
            else:
                pages.setdefault(page, []).extend((key[len(page) :], value))
        for page, found in pages.items():
            entry = self._page_entry(partition, page, found)
            put(prefix + _escaped(page) + _END + version, _PAGE + _encode(entry))
        put(b"c" + partition.to_bytes(2, "big") + note.offset.to_bytes(8, "big"), _encode(note))
        try:
            self._database.write(batch, self._write_options)
        except Exception as error:
            raise _fault(self._folder, error) from error

    def _page_entry(self, partition: int, page: bytes, changes: list[bytes | None]) -> _Page:
        """What is written of a page: the changes, or all of it once the changes since it was whole outweigh it."""
        place = (partition, page)
        last = self._pages.get(place)
        if last is None:
            last = next(self._page_chain(partition, page, _NEVER), None)
        size = sum(len(item) for item in changes if item is not None)
        if last is None or last.changed_bytes + size > last.whole_bytes:
            # Of what came and went between two checkpoints nothing is left.
            contents = {} if last is None else self._contents(partition, page, _NEVER)
            _apply(contents, changes)
            whole: list[bytes | None] = [item for pair in contents.items() for item in pair]
            entry = _Page(True, sum(len(item) for item in whole if item is not None), 0, whole)
        else:
            entry = _Page(False, last.whole_bytes, last.changed_bytes + size, changes)
        if len(self._pages) >= _PAGES_NOTED_MAX:
            self._pages.clear()
        self._pages[place] = _Page(entry.whole, entry.whole_bytes, entry.changed_bytes, [])
        return entry

    def versions(self, partition: int, key: bytes) -> list[int]:
        """The checkpoints at which a key that stands alone had changed, the first first."""
        stem = _prefix(partition) + _escaped(key) + _END
        found: list[int] = []
        iterator = self._database.iter()
        iterator.seek(stem)
        while iterator.valid() and iterator.key().startswith(stem):
            found.append(_NEVER - int.from_bytes(iterator.key()[-8:], "big"))
            iterator.next()
        self._check(iterator)
        return found[::-1]

    # -- reading --------------------------------------------------------------------------------------------------

    def at(self, partition: int, offset: int) -> "PastPartition":
        """A table partition as it was at a checkpoint."""
        return PastPartition(self, partition, offset)

    def _get(self, partition: int, version: int, key: bytes) -> bytes | None:
        page = self._page_of(key)
        if page is not None:
            return self._contents(partition, page, version).get(key[len(page) :])
        stem = _prefix(partition) + _escaped(key) + _END
        iterator = self._database.iter()
        iterator.seek(stem + _inverted(version))
        self._check(iterator)
        if not iterator.valid() or not iterator.key().startswith(stem):
            return None
        stored: bytes = iterator.value()
        return stored[1:] if stored else None

    def _page_chain(self, partition: int, page: bytes, version: int) -> Iterator[_Page]:
        """The entries of a page at a version, newest first, down to the one that holds it whole."""
        stem = _prefix(partition) + _escaped(page) + _END
        iterator = self._database.iter()
        iterator.seek(stem + _inverted(version))
        yield from self._chain(iterator, stem)
        self._check(iterator)

    def _chain(self, iterator: Any, stem: bytes) -> Iterator[_Page]:
        while iterator.valid() and iterator.key().startswith(stem):
            try:
                entry = _decode_page(iterator.value()[1:])
            except msgspec.MsgspecError as error:
                raise _fault(self._folder, error) from error
            yield entry
            if entry.whole:
                return
            iterator.next()

    def _contents(self, partition: int, page: bytes, version: int) -> dict[bytes, bytes]:
        return _contents_of(list(self._page_chain(partition, page, version)))

    def _scan(
        self, partition: int, version: int, start: bytes, end: bytes | None, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        page = self._page_of(start)
        if page is not None and end is not None and start > page and end <= page + b"\x01":
            # Keys of one page only (a zero byte ends its name), which need not be looked for.
            found = self._contents(partition, page, version)
            for suffix in sorted(found, reverse=reverse):
                if start <= page + suffix < end:
                    yield page + suffix, found[suffix]
            return
        prefix = _prefix(partition)
        low = prefix + _escaped(page or start)
        high = _prefix(partition + 1) if end is None else prefix + _escaped(end)
        entries = self._entries_down if reverse else self._entries_up
        for stem, stored in entries(low, high, _inverted(version)):
            key = _unescaped(stem[len(prefix) : -len(_END)])
            if stored[:1] == _VALUE:
                if key >= start:
                    yield key, stored[1:]
                continue
            found = self._contents(partition, key, version)
            for suffix in sorted(found, reverse=reverse):
                whole = key + suffix
                if whole >= start and (end is None or whole < end):
                    yield whole, found[suffix]

    def _entries_up(self, low: bytes, high: bytes, wanted: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Each key between two bounds, in order, with its newest entry at a version, unless that removes it."""
        iterator = self._database.iter()
        iterator.seek(low)
        newer = b""
        while iterator.valid():
            key = iterator.key()
            if key >= high:
                break
            stem = key[:-8]
            if key[-8:] < wanted:
                # Too new: the next may be an older one of this key.
                if stem == newer:
                    iterator.seek(stem + wanted)
                else:
                    newer = stem
                    iterator.next()
                continue
            stored = iterator.value()
            if stored:
                yield stem, stored
            for _ in range(_STEPS_MAX):
                iterator.next()
                if not iterator.valid() or not iterator.key().startswith(stem):
                    break
            else:
                iterator.seek(stem[: -len(_END)] + _AFTER)
        self._check(iterator)

    def _entries_down(self, low: bytes, high: bytes, wanted: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same, the last key first."""
        iterator = self._database.iter()
        iterator.seek_for_prev(high)
        while iterator.valid():
            key = iterator.key()
            stem = key[:-8]
            if stem < low:
                break
            stored = None
            # From the oldest entry on towards newer ones.
            for _ in range(_STEPS_MAX):
                if key[-8:] >= wanted:
                    stored = iterator.value()
                iterator.prev()
                if not iterator.valid():
                    break
                key = iterator.key()
                if not key.startswith(stem):
                    break
            else:
                iterator.seek(stem + wanted)
                there = iterator.valid() and iterator.key().startswith(stem)
                stored = iterator.value() if there else None
                iterator.seek_for_prev(stem)
            if stored:
                yield stem, stored
        self._check(iterator)

    def _check(self, iterator: Any) -> None:
        try:
            iterator.status()
        except Exception as error:
            raise _fault(self._folder, error) from error


class PastPartition:
    """A table partition as it was at a checkpoint, to read: a `tables.store.Store`."""

    __slots__ = ("_history", "_offset", "_partition")

    def __init__(self, history: TableHistory, partition: int, offset: int) -> None:
        self._history = history
        self._partition = partition
        self._offset = offset

    def get(self, key: bytes) -> bytes | None:
        """The value that a key had."""
        return self._history._get(self._partition, self._offset, key)

    def scan(
        self, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` to before `end`."""
        return self._history._scan(self._partition, self._offset, start, end, reverse)


def _fault(folder: Path, error: Exception) -> StateError:
    return StateError(
        f"{folder}: expected checkpoints that can be read, found: {error}; they are only a copy: remove the folder, "
        "and make them again with `pks checkpoint`"
    )


def _prefix(partition: int) -> bytes:
    return b"v" + partition.to_bytes(2, "big")


def _inverted(version: int) -> bytes:
    return (_NEVER - version).to_bytes(8, "big")


def _escaped(key: bytes) -> bytes:
    """A key so that what follows it does not change the order of keys."""
    return key.replace(b"\x00", b"\x00\xff")


def _unescaped(key: bytes) -> bytes:
    return key.replace(b"\x00\xff", b"\x00")


def _contents_of(chain: list[_Page]) -> dict[bytes, bytes]:
    contents: dict[bytes, bytes] = {}
    for entry in reversed(chain):
        _apply(contents, entry.changes)
    return contents


def _apply(contents: dict[bytes, bytes], changes: list[bytes | None]) -> None:
    for suffix, value in zip(changes[::2], changes[1::2], strict=True):
        assert suffix is not None, "only a value may be missing"
        if value is None:
            contents.pop(suffix, None)
        else:
            contents[suffix] = value
