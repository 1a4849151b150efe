"""Importing files: decode wholly, then enter the fills into the log, or write them as canonical lines.

Guarantees: nothing of a malformed input is applied or written. Decoded fills wait in a spool (memory, then a
temporary file), so that an input of any size needs bounded memory.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from connectors.files.canonical import write_canonical_line
from connectors.venues.decoding import Decoded
from schemas.frames import encode_frames
from schemas.topics import FILLS, Topic
from topology.control.entry import Receipt

SPOOL_MEMORY_BYTES = 64 * 1024**2

_LENGTH_BYTES = 4
Progress = Callable[[int], None]


class Spool(AbstractContextManager["Spool"]):
    """Events of a topic (fills, where none is said) as frames, in the order they were added."""

    def __init__(self, topic: Topic = FILLS, memory_bytes: int = SPOOL_MEMORY_BYTES) -> None:
        self._topic = topic
        # The spool lives as long as this object, which is a context manager itself.
        self._file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115
        self.fills = 0

    def add(self, fills: Sequence[Any]) -> None:
        """Put fills at the end."""
        for frame in encode_frames(fills):
            self._file.write(len(frame).to_bytes(_LENGTH_BYTES, "big"))
            self._file.write(frame)
        self.fills += len(fills)

    def __iter__(self) -> Iterator[Any]:
        self._file.seek(0)
        while head := self._file.read(_LENGTH_BYTES):
            yield from self._topic.codec.decode(self._file.read(int.from_bytes(head, "big")))

    def __exit__(self, *_: object) -> None:
        self._file.close()


def spool(decoded: Decoded, on_progress: Progress) -> Spool:
    """All fills of an input. Raises InputFaults, with every fault, where it is malformed."""
    found = Spool()
    try:
        for batch in decoded:
            found.add(batch)
            on_progress(len(batch))
    except BaseException:
        found.__exit__()
        raise
    return found


def write_lines(fills: Iterable[Any], path: str, on_progress: Progress) -> None:
    """Write fills as canonical JSON Lines; a file appears whole or not at all. `-` is standard output."""
    with _output(path) as file:
        for fill in fills:
            file.write(write_canonical_line(fill))
            on_progress(1)


@contextmanager
def _output(path: str) -> Iterator[IO[str]]:
    if path == "-":
        yield sys.stdout
        return
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def counts_document(decoded: Decoded, receipt: Receipt | None) -> dict[str, Any]:
    """read = fills + duplicates + rejected + skipped, with what the stages said of the fills, if they were asked."""
    document = decoded.counts.document()
    if receipt is not None:
        document["fills"] = receipt.applied + receipt.waiting
        document["duplicates"] += receipt.duplicates
        document["rejected"] += receipt.rejected
        document["waiting"] = receipt.waiting
    return document
