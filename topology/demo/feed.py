"""The demonstration's venue: sends the tape in small batches, and sends again what was not acknowledged.

What it sends again after a kill may be in the log already: those fills count as duplicates, and change nothing.
"""

import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from clients.python.pks_client import NotAvailable, PositionReader
from schemas import topics
from topology.control.entry import records_of
from topology.control.protocol import ControlClient, ControlError, Request

BATCH_FILLS = 10
BATCHES_IN_FLIGHT = 4
"""Batches that are sent ahead of their acknowledgement, which waits for the disk."""

_RETRY_SECONDS = 0.05
_LATENCIES_KEPT = 2_000


class Feed:
    """Sends a tape to the owner of a folder, in a thread of its own."""

    def __init__(self, data: Path, shared_memory: str, fills: list[Any]) -> None:
        self.sent = 0
        self.sent_again = 0
        self.failure: BaseException | None = None
        self.latencies: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        """Milliseconds from sending a batch to the slot of its last fill, over the socket and both stages."""
        self._data = data
        self._shared_memory = shared_memory
        self._fills = fills
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    @property
    def total(self) -> int:
        """Fills of the tape."""
        return len(self._fills)

    @property
    def done(self) -> bool:
        """Whether all is sent."""
        return self.sent >= self.total

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def join(self) -> None:
        """Wait until all is sent. Raises what the feed met."""
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self.done:
                try:
                    self._send_until_cut_off()
                except (ControlError, NotAvailable):
                    time.sleep(_RETRY_SECONDS)
        except BaseException as error:
            self.failure = error

    def _send_until_cut_off(self) -> None:
        client = ControlClient(self._data)
        in_flight: deque[tuple[list[Any], int]] = deque()
        try:
            partitions = int(client.ask(Request("status")).document["partitions"])
            reader = PositionReader(self._shared_memory)
            place = self.sent
            while not self.done:
                while place < self.total and len(in_flight) < BATCHES_IN_FLIGHT:
                    batch = self._fills[place : place + BATCH_FILLS]
                    in_flight.append((batch, time.time_ns()))
                    client.send(
                        Request(
                            "append", records=records_of(topics.FILLS, batch, topics.fill_key, partitions)
                        )
                    )
                    place += len(batch)
                client.receive()
                batch, started = in_flight.popleft()
                self._measure(reader, batch[-1], started)
                self.sent += len(batch)
        finally:
            self.sent_again += sum(len(batch) for batch, _ in in_flight)
            client.close()

    def _measure(self, reader: PositionReader, last: Any, started: int) -> None:
        slot = reader.read(last.book, last.instrument)
        if slot is not None and slot.updated_at >= started:
            self.latencies.append((slot.updated_at - started) / 1e6)

    def latency(self, share: float) -> float | None:
        """A quantile of the latest latencies, in milliseconds."""
        found = sorted(self.latencies)
        return found[min(int(len(found) * share), len(found) - 1)] if found else None
