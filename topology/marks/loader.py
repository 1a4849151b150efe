"""The loader of marks: looks at one service again and again, judges its quotes, and brings the marks into the log.

Owns: the loop of one polled source; what waits for the log, and when a mark has grown old.
Assumes: the process of one source (`topology.sources.process`), and a worker that takes what is appended.
Guarantees: while the log does not take marks (a worker that is busy or away), the newest of each instrument waits and
what it replaced is counted; a service that fails is tried again by the one mechanism of sinks and sources (growing
pauses, a breaker); meanwhile the marks that it gave grow stale by the rule of their class, and that is said once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from connectors.marks.polled import PolledQuotes
from connectors.marks.reading import CONFLATED, LATE, Reading
from connectors.sink import Unavailable
from domain.marks.classes import ClassRules
from domain.marks.judging import MarkRefusal, judge
from domain.marks.newest import Conflator, LastMarks
from schemas.numbers import exact_arithmetic
from schemas.quotes import Quote
from topology.sinks.sessions import Sessions

SWEEP_SECONDS = 1.0
"""How often marks are looked at for their age."""

APPEND_RETRY_SECONDS = 1.0
REJECTIONS_TOLD = 5
"""Rejected quotes of a poll that are told one by one."""

_logger = structlog.get_logger(__name__)


class Into(Protocol):
    """Where marks go."""

    def append(self, marks: Sequence[Any]) -> None:
        """Append marks; they are durable when it returns. Raises Unavailable."""

    def close(self) -> None:
        """Let the worker go."""


class MarkLoader(Sessions):
    """Runs one polled source until it is cancelled. Its status counts marks: `written` those in the log, `refused` the
    quotes that no mark could be made of; `complaints` says of which kind, and how many were conflated, late or stale."""

    def __init__(
        self,
        source: PolledQuotes,
        into: Into,
        rules: ClassRules,
        data: Path,
        clock: Callable[[], int],
        known: Iterable[Any] = (),
    ) -> None:
        self.name = source.name
        self.complaints: Counter[str] = Counter()
        super().__init__(self, data)
        self._source = source
        self._into = into
        self._rules = rules
        self._clock = clock
        self._last = LastMarks(rules)
        self._last.know(known)
        self._waiting = Conflator()
        self._passed_over: Counter[str] = Counter()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, or until a part of it fails as nobody foresaw: the process ends then, and is started again."""
        parts = [asyncio.create_task(part) for part in (super().run(), self._deliver(), self._sweep())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._into.close()

    async def _session(self) -> None:
        await self._source.open()
        while True:
            await self._poll()
            self._succeeded = True
            self.status.batches += 1
            self._goes()
            await asyncio.sleep(self._source.poll_seconds)

    async def _end_session(self) -> None:
        await self._source.close()

    async def _poll(self) -> None:
        now = self._clock()
        reading = Reading(self.name)
        quotes = await self._source.poll(reading, now)
        with exact_arithmetic():
            judged = [judge(quote, self._rules, now) for quote in quotes]
        refusals = [found for found in judged if isinstance(found, MarkRefusal)]
        self.complaints.update(f"rejected: {refusal.kind}" for refusal in refusals)
        self.complaints["rejected: number"] += reading.counts.rejected
        self._passed_over.update({kind: reading.counts.skipped.get(kind, 0) for kind in (CONFLATED, LATE)})
        self.status.refused += len(refusals) + reading.counts.rejected
        told = [str(why) for why in reading.rejections] + [_told(refusal) for refusal in refusals]
        for text in told[:REJECTIONS_TOLD]:
            _logger.warning("a quote is no mark", source=self.name, why=text)
        self._hand_on(self._last.fresh(found for found in judged if not isinstance(found, MarkRefusal)))

    def _hand_on(self, marks: Sequence[Any]) -> None:
        for mark in marks:
            self._waiting.put(mark)
        self.complaints["conflated"] = self._waiting.conflated + self._passed_over[CONFLATED]
        self.complaints["late"] = self._last.late + self._passed_over[LATE]
        if marks:
            self._wake.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            stale = self._last.grown_stale(self._clock())
            self.complaints["grown stale"] += len(stale)
            self._hand_on(stale)

    async def _deliver(self) -> None:
        """Bring what waits into the log; while that is not possible, it waits, the newest of each instrument."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            marks = self._waiting.take()
            try:
                await asyncio.to_thread(self._into.append, marks)
            except Unavailable as error:
                self.complaints["log away"] += 1
                _logger.warning(
                    "marks wait for the log", source=self.name, marks=len(marks), error=str(error)
                )
                newer = self._waiting.take()
                self._hand_on([*marks, *newer])
                await asyncio.sleep(APPEND_RETRY_SECONDS)
            else:
                self.status.written += len(marks)

    def _say_failed(self, error: Unavailable) -> None:
        _logger.warning(
            "a source of marks failed, to be tried again",
            source=self.name,
            failures=self.status.failures,
            error=str(error),
        )


def _told(refusal: MarkRefusal) -> str:
    return f"{refusal.field}: expected {refusal.expected}, found {refusal.found}"


async def poll_once(source: PolledQuotes, reading: Reading, now: int) -> Iterable[Quote]:
    """One look at a service. Raises Unavailable."""
    try:
        await source.open()
        return await source.poll(reading, now)
    finally:
        await source.close()
