"""What the owner of a log answers on its control socket.

Guarantees: an append is answered when it is durable; while the stages are behind by more than
`settings.queue_records_max` records in a partition, appends wait (a fast sender is slowed, never dropped).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from connectors.embedded.errors import EmbeddedLogError
from connectors.embedded.log import EmbeddedLog
from schemas.frames import FRAME_BYTES_MAX, join_frames
from topology.control.entry import append_records, counts_of
from topology.control.protocol import Outgoing, Reply, Request
from topology.runtime import PartitionRunner
from topology.settings import Settings

_raw_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_POLL_SECONDS = 0.002
_SETTLE_SECONDS = 5.0


class OwnerAnswers:
    """Answers requests over the log and the runners of this process.

    `runners` gives those at work now, upstream stages first; `status` is what `Request("status")` adds to the
    number of partitions (addresses, the process). `append` puts records into the log, as `Intake.append` does.
    """

    def __init__(
        self,
        log: EmbeddedLog,
        settings: Settings,
        runners: Callable[[], Sequence[PartitionRunner]],
        status: Mapping[str, Any],
        append: Callable[[Sequence[Outgoing]], int] | None = None,
    ) -> None:
        self._append = append or partial(append_records, log)
        self._log = log
        self._settings = settings
        self._runners = runners
        self._status = status
        self._in_bound_until = -1

    def lagging(self) -> bool:
        """Whether a stage is behind by more records than the settings allow."""
        bound = self._settings.queue_records_max
        if self._log.sequence <= self._in_bound_until:
            return False
        lag = self._lag()
        # No stage falls behind by more than all that is appended meanwhile.
        self._in_bound_until = self._log.sequence + bound - lag
        return lag > bound

    def append(self, requests: Sequence[Request]) -> list[Reply]:
        """Append all of them in one commit, or else each in one of its own, so that a bad one fails alone."""
        try:
            sequence = self._append(coalesced([record for request in requests for record in request.records]))
        except EmbeddedLogError as error:
            if len(requests) == 1:
                return [Reply(str(error))]
            return [reply for request in requests for reply in self.append([request])]
        return [Reply(sequence=sequence)] * len(requests)

    def durable_sequence(self) -> int:
        """Up to which sequence the log is durable."""
        return self._log.durable_sequence

    async def wait_durable(self, sequence: int) -> str:
        """Wait for the disk; what is wrong, or nothing."""
        try:
            while self._log.durable_sequence < sequence:
                await asyncio.to_thread(self._log.wait_durable, sequence)
        except EmbeddedLogError as error:
            return str(error)
        return ""

    async def answer(self, request: Request) -> Reply:
        """Answer any request but an append; faults are in the answer, not raised."""
        if request.operation == "settle":
            return Reply(document=await self._settle())
        if request.operation == "counts":
            return Reply(document=counts_of(self._runners(), request.sources))
        if request.operation == "status":
            return Reply(document={"partitions": self._settings.partitions, **self._status})
        return Reply(f"expected append, settle, counts or status, found {request.operation!r}")

    async def _settle(self) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_SECONDS
        while self._lag() or any(runner.has_idle_work for runner in self._runners()):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _lag(self) -> int:
        """By how many records the stages that still run are behind, in the partition where that is most."""
        return max(
            (
                self._log.end_offset(runner.stage.input.name, runner.partition) - runner.next_offset
                for runner in self._runners()
                if runner.stopped is None
            ),
            default=0,
        )


def coalesced(records: Sequence[Outgoing]) -> list[Outgoing]:
    """The same events in the same order, small frames of a partition joined.

    A record with a key, and a value that is no frame of events, stays a record by itself: what is wrong with it
    must not harm its neighbours.
    """
    if len(records) == 1:
        return list(records)
    found: list[Outgoing] = []
    joined: dict[tuple[str, int], list[bytes]] = {}

    def put_out(place: tuple[str, int]) -> None:
        items = joined.pop(place, None)
        if items is not None:
            found.extend(Outgoing(*place, None, frame) for frame in join_frames(items))

    for record in records:
        place = (record.topic, record.partition)
        items = _items(record)
        if items is None:
            put_out(place)
            found.append(record)
        else:
            joined.setdefault(place, []).extend(items)
    for place in list(joined):
        put_out(place)
    return found


def _items(record: Outgoing) -> list[bytes] | None:
    if record.key is not None or len(record.value) > FRAME_BYTES_MAX:
        return None
    try:
        return [bytes(item) for item in _raw_items(record.value)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
