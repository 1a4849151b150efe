"""Records of the log as messages of Faust: one by one, or what one look into the log found as one *batch*.

A message a record costs Faust more than a small step costs the stage. So an App may name topics (`batched_topics`)
whose records reach its stream together: of all partitions, whole commits, up to a bound of records and bytes. The
rest waits in the log, not in a queue, so that a stream that is busy finds all of it in the next batch.
"""

from collections.abc import Mapping
from typing import Any

from faust.types.tuples import ConsumerMessage

from connectors.embedded.commits import first_commits
from connectors.embedded.layout import LogRecord
from connectors.embedded.producer import TIMESTAMP_HEADER


def message_of(tp: Any, record: LogRecord, generation: int) -> Any:
    """A record by itself, with the time and the headers that its sender gave it."""
    timestamp = record.appended_at / 1e9
    headers = None
    if record.headers:
        headers = [(name, value) for name, value in record.headers if name != TIMESTAMP_HEADER]
        for name, value in record.headers:
            if name == TIMESTAMP_HEADER:
                timestamp = float(value)
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        record.offset,
        timestamp,
        0,
        headers,
        record.key,
        record.value,
        None,
        tp=tp,
        generation_id=generation,
    )


class Batch(ConsumerMessage):  # type: ignore[misc]
    """Records by topic partition, in order and without a gap; `value` is empty.

    Acknowledged by `Consumer.acknowledge`, each partition by itself, not as a message.
    """

    def __init__(self, records: Mapping[Any, list[LogRecord]], generation: int) -> None:
        self.records = records
        tp = next(iter(records))
        last = records[tp][-1]
        super().__init__(
            *(tp.topic, tp.partition, last.offset, last.appended_at / 1e9, 0, None, None, None, None),
            tp=tp,
            generation_id=generation,
        )
        # So that no stream takes it for a message that waits for its acknowledgement.
        self.tracked = True


def bounded(
    found: Mapping[Any, list[LogRecord]], records_max: int, bytes_max: int, backlog_bytes_max: int
) -> Mapping[Any, list[LogRecord]]:
    """The first commits of what was found, until a step is full.

    Where more was found than a step takes, it takes half of that, up to `backlog_bytes_max`: a large step costs less
    a record, and what waited behind others anyway waits no longer for it. With the backlog the steps shrink again.
    """
    number = sum(map(len, found.values()))
    size = sum(len(record.value or b"") for records in found.values() for record in records)
    if number <= records_max and size <= bytes_max:
        return found
    return first_commits(found, max(bytes_max, min(size // 2, backlog_bytes_max)), records_max)
