"""Whether the marks of a transaction are written: what was committed is to be readable before anything follows it.

The brokers answer a commit when it is decided, and write the marks of the partitions afterwards. A mark may get lost
(`connectors.kafka.missing_marks`); the next one of the same writer would then decide about both transactions, and an
abort would take back what was committed.
"""

import time
from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.embedded.errors import CommitError
from connectors.kafka.ends import committed_ends
from connectors.kafka.errors import FencedError
from connectors.kafka.link import Link

_ANSWER_SECONDS = 5.0
_BROKERS_SECONDS_MAX = 60.0
_MARKS_SECONDS_MAX = 10.0
"""Brokers that answer have written a mark by then."""

_PAUSE_SECONDS = 0.002


class Marks:
    """Asks for the committed ends of one topic, of which nobody else writes the partitions that are asked for."""

    def __init__(self, link: Link, topic: str) -> None:
        self._topic = topic
        self._administration = AdminClient(link.common())

    def wait(self, last: Mapping[int, int]) -> None:
        """Wait until the record at each partition's last offset is committed for readers.

        Raises CommitError where no broker answers, FencedError where a mark does not come.
        """
        missing, began, answered = dict(last), time.monotonic(), 0.0
        while missing:
            try:
                ends = self._ends(missing)
            except KafkaException as error:
                if time.monotonic() - began > _BROKERS_SECONDS_MAX:
                    raise CommitError(
                        f"expected the marks of the last step in {self._topic}, found: {error.args[0].str()}"
                    ) from error
                answered = 0.0
                continue
            missing = {
                partition: offset for partition, offset in missing.items() if ends[partition] <= offset
            }
            now = time.monotonic()
            answered = answered or now
            if missing and now - answered > _MARKS_SECONDS_MAX:
                raise FencedError(
                    f"expected the mark of the last step in {self._topic}/{min(missing)}, found none for "
                    f"{_MARKS_SECONDS_MAX:.0f} s: the brokers lost it; this one ends, and it is written when it is started"
                )
            if missing:
                time.sleep(_PAUSE_SECONDS)

    def _ends(self, partitions: Mapping[int, int]) -> dict[int, int]:
        places = [(self._topic, partition) for partition in partitions]
        found = committed_ends(self._administration, places, _ANSWER_SECONDS)
        return {partition: end for (_, partition), end in found.items()}
