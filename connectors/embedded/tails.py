"""The latest records of some topics in memory: a reader that keeps up finds there what was appended a moment ago.

Owns: a run of records without a gap for each partition, up to its end.
Assumes: what is added is committed, in the order of its offsets; whoever removes records from the log says `clear`.
Guarantees: what is found is what the log would give; bounded in records and bytes a partition.
"""

from collections.abc import Sequence

from connectors.embedded.layout import LogRecord

RECORDS_MAX = 512
BYTES_MAX = 256 * 1024
"""Most of a partition that is kept; when there is more, the later half stays."""


class Tails:
    """Tails by topic and partition; of topics that nobody asked to keep there is none."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, int], list[LogRecord]] = {}

    def keep(self, topic: str, partitions: int) -> None:
        """Keep the tail of a topic from now on."""
        for partition in range(partitions):
            self._records.setdefault((topic, partition), [])

    def __contains__(self, place: tuple[str, int]) -> bool:
        return place in self._records

    def clear(self) -> None:
        """Begin anew."""
        for records in self._records.values():
            records.clear()

    def add(self, place: tuple[str, int], appended: Sequence[LogRecord]) -> None:
        """Take in what was committed to a partition."""
        records = self._records[place]
        if records and records[-1].offset + 1 != appended[0].offset:
            records.clear()
        records += appended
        if len(records) > RECORDS_MAX or records[-1].bytes_before - records[0].bytes_before > BYTES_MAX:
            least = records[-1].bytes_before - BYTES_MAX // 2
            del records[: -RECORDS_MAX // 2]
            while records[0].bytes_before < least:
                del records[0]

    def read(
        self, place: tuple[str, int], offset: int, max_records: int, max_bytes: int
    ) -> list[LogRecord] | None:
        """Records from `offset` on, at least one, until either bound; None where the tail does not reach back."""
        records = self._records.get(place)
        if not records or not records[0].offset <= offset <= records[-1].offset:
            return None
        start = offset - records[0].offset
        found = records[start : start + max_records]
        end = found[0].bytes_before + max_bytes
        if found[-1].bytes_before >= end:
            found = [found[0], *(record for record in found[1:] if record.bytes_before < end)]
        return found
