"""Where an App stands in the log: what it reads next, what it was handed, what it has acknowledged and committed.

Owns: the positions of one App's partitions.
Guarantees: a gap that no retention made is an error; a commit goes forward only, and never passes a record that is
not acknowledged.
"""

from abc import abstractmethod
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from faust.transport.consumer import Consumer as FaustConsumer

from connectors.embedded.errors import StateError
from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog


class Places(FaustConsumer):  # type: ignore[misc]
    """Positions and acknowledgements; what is delivered is the business of `connectors.embedded.consumer`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._embedded: EmbeddedLog = self.transport.embedded
        self._group: str = self.app.conf.id
        self._assigned: set[Any] = set()
        self._positions: dict[Any, int] = {}
        self._delivered: dict[Any, deque[int]] = defaultdict(deque)
        self._n_acked: int = 0
        self._seeks = 0

    @abstractmethod
    def wake(self) -> None:
        """Look for records now; from any thread."""

    async def seek_to_committed(self) -> Mapping[Any, int | None]:
        """Set every position to its committed offset, or to the first record where there is none."""
        committed = {tp: self._embedded.committed(self._group, *tp) for tp in self._assigned}
        for tp, offset in committed.items():
            self._set_position(tp, self._embedded.start_offset(*tp) if offset is None else offset)
        return committed

    async def _seek(self, partition: Any, offset: int) -> None:
        self._set_position(partition, offset)

    async def seek_wait(self, partitions: Mapping[Any, int]) -> None:
        """Set positions."""
        for tp, offset in partitions.items():
            self._set_position(tp, offset)
            self._read_offset[tp] = offset if offset else None

    async def seek_to_beginning(self, *partitions: Any) -> None:
        """Set positions to the first record that is there."""
        for tp in partitions or self.assignment():
            self._set_position(tp, self._embedded.start_offset(*tp))

    def _set_position(self, tp: Any, offset: int) -> None:
        self._positions[tp] = offset
        self._delivered.pop(tp, None)
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        self._seeks += 1
        self.wake()

    async def position(self, tp: Any) -> int | None:
        """The offset that is read next."""
        return self._positions.get(tp)

    def highwater(self, tp: Any) -> int:
        """The offset that the next record of the log will have."""
        return self._embedded.end_offset(*tp)

    async def highwaters(self, *partitions: Any) -> Mapping[Any, int]:
        """`highwater` of several."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: Any) -> Mapping[Any, int]:
        """The first offset that is there."""
        return {tp: self._embedded.start_offset(*tp) for tp in partitions}

    def pass_over(self, tp: Any, first: int, following: int) -> None:
        """What stands from `first` to before `following` is applied already, by other means: do not read it."""
        if self._positions.get(tp) == first:
            self._positions[tp] = following

    def _check_position(self, tp: Any, record: LogRecord, first: int) -> None:
        """Raises StateError where records from `first` on do not follow what was read last."""
        position = self._positions[tp]
        if first != position or record.offset != position:
            topic = self._embedded.topics()[tp.topic]
            if not (topic.compact or topic.retention_seconds or topic.retention_bytes):
                raise StateError(
                    f"{self._embedded.folder}: expected offset {position} of {tp.topic}/{tp.partition}, found "
                    f"{record.offset}; records are missing: restore a backup (docs/operating/damaged-state.md)"
                )

    def acknowledge(self, tp: Any, offset: int) -> None:
        """A batch's part of a partition is done, up to its last offset."""
        committed, index = self._committed_offset[tp], self._acked_index[tp]
        if (committed is None or offset >= committed) and offset not in index:
            index.add(offset)
            self._acked[tp].append(offset)
            self._n_acked += 1

    def _new_offset(self, tp: Any) -> int | None:
        """The offset after the last of the acknowledged records that follow the committed one without a gap.

        P3: Faust's own steps over one record that is not acknowledged, where it follows the committed offset.
        """
        delivered, acknowledged = self._delivered[tp], self._acked_index[tp]
        last = None
        while delivered and delivered[0] in acknowledged:
            last = delivered.popleft()
            acknowledged.discard(last)
        if last is None:
            return None
        self._acked[tp] = [offset for offset in self._acked[tp] if offset > last]
        return last + 1

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        """Write offsets that go forward; a stage has written its own already, with its step."""
        transaction = self._embedded.transaction()
        forward = False
        for tp, offset in offsets.items():
            known = self._embedded.committed(self._group, *tp)
            if known is None or offset > known:
                transaction.commit_offset(self._group, tp.topic, tp.partition, offset)
                forward = True
        if forward:
            transaction.commit()
        return True
