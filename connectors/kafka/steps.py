"""A changelog on a cluster read step by step, as whoever mirrors a table elsewhere needs it.

Guarantees: a step is told whole, once, when its last record is there; what does not count
(`connectors.kafka.succession`) is not told; `place` is where a reader may go on, and never within a step.

Pure: records in, steps out; no cluster.
"""

from collections.abc import Iterable
from typing import NamedTuple

from connectors.kafka.log import CONSUMED_KEY, INPUTS_KEY
from connectors.kafka.succession import Succession, token_of
from schemas.changelog import PACKED_KEY

_PART_BYTES = 4
_STEP_KEY_BYTES = len(PACKED_KEY) + 16 + _PART_BYTES

Change = tuple[bytes, bytes | None]


class ChangelogStep(NamedTuple):
    """What a step changed of its table partition; `offset` is that of its last record, `appended_at` in nanoseconds."""

    offset: int
    appended_at: int
    changes: list[Change]


class StepReader:
    """Reads one changelog partition in order.

    `owner` is the token in the record before the first that is read: of what was told, every record was of the owner of
    its time. `place` is the offset after the last record that is settled.
    """

    def __init__(self, place: int, owner: bytes | None) -> None:
        self.place = place
        self._succession = Succession(owner)
        self._begun: list[Change] = []
        self._last: tuple[int, int] | None = None

    def take(self, offset: int, appended_at: int, key: bytes, value: bytes | None) -> list[ChangelogStep]:
        """The steps that have ended with this record, or before it."""
        if token_of(key) is not None:
            return self._take_owned(offset, appended_at, key, value)
        # A slice of a long re-match consumes nothing: that it has ended is seen by what follows it.
        begins = len(key) == _STEP_KEY_BYTES and not int.from_bytes(key[-_PART_BYTES:], "big")
        found = self.end() if begins else []
        self._begun += self._succession.take(key, value)
        self._last = (offset, appended_at)
        return [*found, *self.end()] if key == INPUTS_KEY else found

    def _take_owned(
        self, offset: int, appended_at: int, key: bytes, value: bytes | None
    ) -> list[ChangelogStep]:
        found = self.end()
        owner = self._succession.owner
        changes = self._succession.take(key, value)
        if changes:
            self.place = offset + 1
            found.append(ChangelogStep(offset, appended_at, _of_the_table(changes)))
        elif self._succession.owner != owner:
            self.place = offset + 1
        return found

    def end(self) -> list[ChangelogStep]:
        """Nothing more is committed: the step that has begun in a transaction, if any, has ended."""
        if self._last is None:
            return []
        (offset, appended_at), changes = self._last, self._begun
        self._last, self._begun = None, []
        self.place = offset + 1
        return [ChangelogStep(offset, appended_at, _of_the_table(changes))]


def _of_the_table(changes: Iterable[Change]) -> list[Change]:
    """Without what a table partition notes of its inputs."""
    return [change for change in changes if not change[0].startswith(CONSUMED_KEY)]
