"""The contract between the loader of marks and a service of quotes: one that is polled, or one that sends them by itself.

An adapter knows its service and nothing of the log, of marks or of rules: it asks, and hands back quotes.
"""

from collections.abc import Iterable
from typing import Protocol

from connectors.marks.reading import Reading
from schemas.quotes import Quote


class PolledQuotes(Protocol):
    """A service. Its methods raise `connectors.sink.Unavailable`."""

    name: str
    poll_seconds: float

    async def open(self) -> None:
        """Begin."""

    async def poll(self, reading: Reading, now: int) -> Iterable[Quote]:
        """What it says now, `now` in nanoseconds, or has sent since; waits a bounded time for it; complaints and counts go to `reading`."""

    async def close(self) -> None:
        """End; never raises."""
