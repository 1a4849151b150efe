"""`canonical`: the format of PKS itself, through the same door as those of venues.

Fills are the rows of `connectors.files.canonical`; a row that stands twice is a duplicate, an id that stands twice
with other content is rejected. A row that names no book takes that of the options; where they have none, routing
rules choose it at capture.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from connectors.files.canonical import FORMAT, CanonicalFills, read_fills
from connectors.files.source import open_source
from connectors.venues.decoding import BATCH_FILLS, Decoded, DecodeOptions, Known, KnownTrades
from schemas.events import FillEvent

NAME = FORMAT


def decode(paths: Sequence[str], options: DecodeOptions) -> Decoded:
    """The fills of canonical files, in their order."""

    def batches(decoded: Decoded) -> Iterator[list[FillEvent]]:
        known = KnownTrades()
        for path in paths:
            fills = _fills(path, decoded, options, known)
            for start in range(0, len(fills), BATCH_FILLS):
                yield fills[start : start + BATCH_FILLS]

    return Decoded(batches)


def _fills(path: str, decoded: Decoded, options: DecodeOptions, known: KnownTrades) -> list[FillEvent]:
    found = CanonicalFills()
    with decoded.reading(path) as faults:
        found = read_fills(open_source(path), faults, input_format=options.input_format)
    fills = []
    for number, fill in zip(found.numbers, found.fills, strict=True):
        decoded.counts.read += 1
        verdict = known.see(fill.trade_id, fill.event_id)
        if verdict is Known.NEW:
            fills.append(_placed(fill, options))
        elif verdict is Known.SAME:
            decoded.counts.duplicates += 1
        else:
            expected = "one trade of this id, or the same content again"
            decoded.reject(path, f"{found.unit} {number}", "trade_id", expected, fill.trade_id)
    return fills


def _placed(fill: Any, options: DecodeOptions) -> Any:
    if fill.book is not None:
        return fill
    book = options.book_of(fill.instrument, fill.account, "")
    return msgspec.structs.replace(fill, book=book) if book else fill
