"""The newest mark of each instrument, as one source has it: conflation under load, and marks that grow old.

Owns: what is under way to the log (`Conflator`), and what was last said of each instrument (`LastMarks`).
Guarantees: of what waits, only the newest of an instrument is handed on, and what it replaced is counted; a mark that
grows older than its class stays live is said again as stale, once.
"""

from collections.abc import Iterable
from typing import Any

from domain.marks.classes import ClassRules
from domain.marks.judging import order_of, restated
from schemas.times import NANOSECONDS_PER_SECOND
from schemas.units import MarkQuality


class Conflator:
    """Marks that wait to be handed on: one an instrument, the newest."""

    def __init__(self) -> None:
        self._waiting: dict[str, Any] = {}
        self.conflated = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, mark: Any) -> None:
        """A mark comes: it replaces an older one of its instrument that waits, or is itself the older one."""
        held = self._waiting.get(mark.instrument)
        if held is not None:
            self.conflated += 1
            if order_of(held) > order_of(mark):
                return
        self._waiting[mark.instrument] = mark

    def take(self) -> list[Any]:
        """All that waits, in the order in which the instruments came."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting.values())


class LastMarks:
    """The newest mark of each instrument of one source."""

    def __init__(self, rules: ClassRules) -> None:
        self._rules = rules
        self._last: dict[str, Any] = {}
        self.late = 0
        """Marks that came after a newer one of their instrument."""

    def know(self, marks: Iterable[Any]) -> None:
        """What was said of instruments before, as the log has it."""
        self._last.update((mark.instrument, mark) for mark in marks)

    def fresh(self, marks: Iterable[Any]) -> list[Any]:
        """Those marks that say something new: neither the last one again, nor that one in another quality only."""
        found = []
        for mark in marks:
            held = self._last.get(mark.instrument)
            if held is not None and _content(held) == _content(mark):
                continue
            if held is not None and order_of(held) > order_of(mark):
                self.late += 1
            else:
                self._last[mark.instrument] = mark
            found.append(mark)
        return found

    def grown_stale(self, now: int) -> list[Any]:
        """Marks that were live or indicative until they grew too old, now said to be stale."""
        found = []
        for instrument, mark in self._last.items():
            if mark.quality not in (MarkQuality.LIVE, MarkQuality.INDICATIVE):
                continue
            limit = self._rules.of(mark.instrument_class).stale_seconds * NANOSECONDS_PER_SECOND
            if now - mark.event_time > limit:
                stale = self._last[instrument] = restated(mark, MarkQuality.STALE)
                found.append(stale)
        return found


def _content(mark: Any) -> tuple[Any, ...]:
    """What a mark says, without how far it may be trusted: a source that repeats itself does not make it younger."""
    return (
        mark.event_time,
        mark.source_sequence,
        mark.price,
        mark.bid,
        mark.ask,
        mark.accrued_interest,
    )
