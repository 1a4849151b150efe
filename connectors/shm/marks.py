"""The newest mark of each instrument in shared memory: `/md-marks-v1`.

Owns: what of a mark stands in its slot, and the numbers of the qualities.
Guarantees: a figure without a value is NaN, and its exact decimal is flagged as none; a new field comes behind the
others of its kind and raises `MARKS_VERSION`.
"""

from collections.abc import Sequence
from typing import Any

from connectors.shm.exact import encode_exacts
from connectors.shm.slot_writer import Key, Place, SlotWriter
from connectors.shm.slots import SlotLayout
from schemas.units import MarkQuality

MARKS_VERSION = 1

MARKS = SlotLayout(
    what="marks",
    directory_magic=int.from_bytes(b"PKSMDIR1", "little"),
    segment_magic=int.from_bytes(b"PKSMSEG1", "little"),
    catalogue_version=MARKS_VERSION,
    keys=1,
    decimals=("price", "bid", "ask", "accrued_interest"),
    counts=("quality",),
    times=("event_time", "source_sequence", "updated_at"),
    texts=("instrument", "currency", "source"),
)

QUALITIES = {quality: number for number, quality in enumerate(MarkQuality, start=1)}
"""What `quality` is in a slot: 1 live, 2 stale, 3 indicative, 4 missing."""

TEXT_CHARACTERS_MAX = 60
"""Most characters of a source: what is longer is cut, since texts stand in a segment once and for all."""

_WORD_MAX = (1 << 63) - 1


class MarkWriter(SlotWriter[tuple[int, Any, int]]):
    """Writes marks into slots, by instrument; values are the partition, the mark, and when it is written."""

    kind = MARKS

    def texts_of(self, values: tuple[int, Any, int]) -> Sequence[str]:
        """The currency and the source."""
        mark = values[1]
        return mark.currency, mark.source[:TEXT_CHARACTERS_MAX]

    def body(self, place: Place, values: tuple[int, Any, int]) -> bytes:
        """A mark packed."""
        partition, mark, now = values
        texts = self.segment.texts
        return self.kind.pack(
            place[1],
            encode_exacts((mark.price, mark.bid, mark.ask, mark.accrued_interest)),
            self.epoch_of(partition),
            (QUALITIES[mark.quality],),
            (_word(mark.event_time), _word(mark.source_sequence), now),
            (place[2], *(texts[text] for text in self.texts_of(values))),
            partition,
        )

    def write(self, partition: int, mark: Any, now: int) -> None:
        """Write a mark (wire twin); `now` is nanoseconds since 1970 UTC."""
        key: Key = (mark.instrument,)
        self.put(key, (partition, mark, now))


def _word(number: int) -> int:
    return max(-_WORD_MAX - 1, min(number, _WORD_MAX))
