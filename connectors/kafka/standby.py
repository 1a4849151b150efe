"""Standbys: tables of partitions that others own, kept warm from their changelogs by a thread of its own.

Owns: the thread and its reader. Assumes: nobody else writes these table partitions of the database while they are
followed; `keep` without a partition returns before its owner-to-be goes on.
Guarantees: a table partition is always the state of a prefix of its changelog, with the offset beside it; a changelog
that does not fit ends its standby with a word, and is an error when the partition is taken over.
"""

import threading
import time
from collections.abc import Collection

import structlog

from connectors.embedded.log import EmbeddedLog
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import ChangelogError, KafkaLogError
from connectors.kafka.link import Link

_POLL_SECONDS = 0.05
_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_FETCH_WAIT_MILLISECONDS = 100
"""Records come at once all the same; what waits is only an answer that there are none, of which nothing follows here."""

_logger = structlog.get_logger(__name__)


class StandbyTables:
    """The warm tables of one stage in one worker."""

    def __init__(self, link: Link, *, group: str, topic: str, table: str, state: EmbeddedLog) -> None:
        self.records = 0
        self._topic = topic
        self._reader = ChangelogReader(
            link,
            group=f"{group}-standby",
            topic=topic,
            table=table,
            state=state,
            fetch_wait_milliseconds=_FETCH_WAIT_MILLISECONDS,
        )
        self._kept: frozenset[int] = frozenset()
        self._lags: dict[int, int] = {}
        self._looked = 0.0
        # Held while the thread reads and writes; a waiter gets it soon, since the thread asks anew each time.
        self._lock = threading.Lock()
        self._waiting = threading.Event()
        self._stopping = threading.Event()
        self._some = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"standby-{group}", daemon=True)
        self._thread.start()

    @property
    def kept(self) -> frozenset[int]:
        """The partitions that are kept warm."""
        return self._kept

    def keep(self, partitions: Collection[int]) -> None:
        """Keep these warm and no others; returns when nothing is written of the others any more."""
        self._waiting.set()
        with self._lock:
            self._waiting.clear()
            if frozenset(partitions) != self._kept:
                self._kept = frozenset(partitions)
                self._reader.follow(self._kept)
        if self._kept:
            self._some.set()
        else:
            self._some.clear()

    def lag(self) -> dict[int, int]:
        """How many records each warm table was behind when that was last looked at, some time in the last second."""
        return {partition: lag for partition, lag in self._lags.items() if partition in self._kept}

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait(_PAUSE_SECONDS)
            if self._waiting.is_set():
                self._stopping.wait(_POLL_SECONDS)
                continue
            try:
                with self._lock:
                    if self._kept:
                        self.records += sum(self._reader.poll(_POLL_SECONDS).values())
                        self._look()
            except KafkaLogError as error:
                self._failed(error)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._lags = {partition: self._reader.lag(partition) for partition in sorted(self._kept)}

    def _failed(self, error: KafkaLogError) -> None:
        _logger.error("standby", changelog=self._topic, error=str(error))
        if isinstance(error, ChangelogError):
            with self._lock:
                self._kept = frozenset()
                self._reader.follow(())
        self._stopping.wait(_PAUSE_SECONDS)

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._some.set()
        self._thread.join()
        self._reader.close()
