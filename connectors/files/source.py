"""Opening a file whatever packs it: plain, gzip or zip, by name or from standard input.

Owns: the recognition of gzip and zip (by their first bytes, not their name) and the bounds on what comes out.
Guarantees: `open()` gives decompressed bytes as a binary stream; what cannot be opened or unpacked, what is
empty, and what expands beyond the bounds raises `InputFaults` with the name that the user gave, never a
library's exception.
"""

import gzip
import io
import os
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, Any

from connectors.files.faults import InputFault, InputFaults, refuse

__all__ = ["InputFault", "InputFaults", "Source", "open_members", "open_source"]

BYTES_MAX = 8 * 1024**3
"""Most bytes that a file may have, unpacked."""

EXPANSION_MAX = 250
"""Most bytes that one packed byte may become, once a file has become large; text packs 5 to 50 times."""

EXPANSION_FREE_BYTES = 64 * 1024**2
"""Unpacked bytes below which the expansion is not looked at."""

MEMBERS_MAX = 10_000
"""Most files in a zip."""

_CHUNK = 64 * 1024
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_BROKEN = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OSError,
)


class _Bounded(io.RawIOBase):
    """A stream with a bound on its bytes, which says what is wrong with its archive as `InputFaults`."""

    def __init__(
        self,
        stream: IO[bytes] | gzip.GzipFile,
        name: str,
        packed: Callable[[], int] | None,
        owned: bool,
        behind: IO[bytes] | None,
    ) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned
        self._behind = behind
        self._packed = packed
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(min(len(buffer), _CHUNK))
        except _BROKEN as error:
            refuse(self._name, "a readable file (plain, gzip or zip)", str(error) or type(error).__name__)
        self.bytes_read += len(data)
        if self.bytes_read > EXPANSION_FREE_BYTES:
            self._check_size()
        buffer[: len(data)] = data
        return len(data)

    def _check_size(self) -> None:
        if self.bytes_read > BYTES_MAX:
            refuse(self._name, f"at most {BYTES_MAX} bytes unpacked", "more; split the file")
        if self._packed is not None and self.bytes_read > self._packed() * EXPANSION_MAX:
            expected = f"an archive that unpacks to at most {EXPANSION_MAX} times its size"
            refuse(self._name, expected, f"{self.bytes_read} bytes, and not at its end; unpack it first")

    def close(self) -> None:
        if not self.closed and self._owned:
            self._stream.close()
        if self._behind is not None:
            self._behind.close()
        super().close()


@dataclass
class Source:
    """A file to read. `name` is as the user gave it; `suffix` is lower case, of what is inside the packing."""

    name: str
    suffix: str
    _open: Callable[[], io.BufferedReader] = field(repr=False)

    def open(self) -> io.BufferedReader:
        """The decompressed bytes from the start. Standard input can be opened once only."""
        return self._open()


def open_source(path: str) -> Source:
    """The one file at `path` (`-` for standard input), unpacked. Raises InputFaults where there is none to read."""
    if path == "-":
        return _standard_input()
    kind = _kind_of(path)
    suffix = _suffix(path)
    if kind == "pipe":
        return _once(path, suffix, _plain(path))
    if kind == "zip":
        with _archive(path, path) as archive:
            members = _members(path, archive)
        if len(members) != 1:
            found = f"{len(members)} files: " + ", ".join(member.filename for member in members[:5])
            refuse(path, "one file in the zip", found)
        suffix = _suffix(members[0].filename) or suffix
        return _not_empty(Source(path, suffix, lambda: _member(path, path, members[0].filename)))
    if kind == "gzip":
        return _not_empty(Source(path, suffix, lambda: _gzip(path)))
    return _not_empty(Source(path, suffix, lambda: _plain(path)))


def open_members(path: str) -> Iterator[tuple[str, io.BufferedReader]]:
    """Each file of a zip by its name, in the zip's order; of anything else the one file, by its own name.

    The stream of a file is closed when the next one is asked for.
    """
    if path == "-" or _kind_of(path) != "zip":
        source = open_source(path)
        name = PurePath(path).name
        with source.open() as stream:
            yield name.removesuffix(".gz"), stream
        return
    with _archive(path, path) as archive:
        members = _members(path, archive)
    if not members:
        refuse(path, "a zip with files in it", "none")
    for member in members:
        with _member(path, path, member.filename) as stream:
            yield member.filename, stream


def _suffix(name: str) -> str:
    """The extension without its packing, lower case: `.csv` of `Trades.CSV.gz`."""
    path = PurePath(name.lower())
    if path.suffix in (".gz", ".gzip", ".zip"):
        path = path.with_suffix("")
    return path.suffix


def _kind_of(path: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            # A pipe (`<(command)`) is opened once: who writes it would not wait for a second reader.
            return "pipe"
        with open(path, "rb") as file:
            start = file.read(4)
    except IsADirectoryError:
        refuse(path, "a file", "a folder")
    except FileNotFoundError:
        refuse(path, "a file that exists", "none of this name")
    except (OSError, ValueError) as error:
        refuse(path, "a file that can be read", getattr(error, "strerror", None) or str(error))
    if start.startswith(_GZIP):
        return "gzip"
    return "zip" if start in _ZIP else "plain"


def _plain(path: str) -> io.BufferedReader:
    return _buffered(open(path, "rb"), path, None)


def _gzip(path: str) -> io.BufferedReader:
    return _buffered(gzip.open(path, "rb"), path, lambda: os.path.getsize(path))


def _archive(name: str, file: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _BROKEN as error:
        refuse(name, "a zip that can be read", str(error) or type(error).__name__)


def _members(name: str, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip, without folders and what macOS adds."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) > MEMBERS_MAX:
        refuse(name, f"at most {MEMBERS_MAX} files in the zip", str(len(members)))
    return members


def _member(name: str, file: Any, member: str, behind: IO[bytes] | None = None) -> io.BufferedReader:
    archive = _archive(name, file)
    try:
        stream = archive.open(member)
        # The open member keeps the zip's file open by itself.
        packed_bytes = archive.getinfo(member).compress_size
        archive.close()
    except (*_BROKEN, KeyError) as error:
        archive.close()
        refuse(name, "a zip that can be read", str(error) or type(error).__name__)
    return _buffered(stream, name, lambda: packed_bytes, behind=behind)


def _buffered(
    stream: IO[bytes] | gzip.GzipFile,
    name: str,
    packed: Callable[[], int] | None,
    *,
    owned: bool = True,
    behind: IO[bytes] | None = None,
) -> io.BufferedReader:
    """A stream within bounds; closing it closes `stream` where it is `owned`, and what is `behind` it."""
    return io.BufferedReader(_Bounded(stream, name, packed, owned, behind), _CHUNK)


def _not_empty(source: Source) -> Source:
    try:
        with source.open() as stream:
            empty = not stream.peek(1)
    except OSError as error:
        refuse(source.name, "a file that can be read", error.strerror or str(error))
    if empty:
        refuse(source.name, "a file with rows", "an empty file")
    return source


def _standard_input() -> Source:
    stream = _buffered(sys.stdin.buffer, "-", None, owned=False)
    return _once("-", "", stream)


def _once(name: str, suffix: str, stream: io.BufferedReader) -> Source:
    """A stream that can be read once, packed or not."""
    start = stream.peek(4)[:4]
    if not start:
        refuse(name, "a file with rows", "an empty file")
    if start in _ZIP:
        return _spooled_zip(name, stream)
    opened = stream
    if start.startswith(_GZIP):
        raw = stream.raw
        unpacked = gzip.GzipFile(fileobj=stream, mode="rb")
        opened = _buffered(unpacked, name, lambda: int(getattr(raw, "bytes_read", 0)))
        if not opened.peek(1):
            refuse(name, "a file with rows", "an empty file")
    return Source(name, suffix, lambda: opened)


def _spooled_zip(name: str, stream: io.BufferedReader) -> Source:
    """A zip from a stream: its directory is at its end, so it is written down first."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stream that reads from it
    try:
        while chunk := stream.read(_CHUNK):
            file.write(chunk)
        with _archive(name, file) as archive:
            members = _members(name, archive)
        if len(members) != 1:
            refuse(name, "one file in the zip", f"{len(members)} files")
        opened = _member(name, file, members[0].filename, behind=file)
        if not opened.peek(1):
            refuse(name, "a file with rows", "an empty file")
    except InputFaults:
        file.close()
        raise
    return Source(name, _suffix(members[0].filename), lambda: opened)
