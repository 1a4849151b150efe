"""Whose turn it is in a process: the stages that keep the books go first, then what hangs on them, a slice at a time.

Owns: when a later stage may step.
Assumes: one event loop; a step is one call that the loop waits for.
Guarantees: between two slices of later stages, whichever they are, the loop goes round, so that the spine waits for one
slice at most; while the spine has work, later stages together get a slice in `SLICE_SECONDS`, so that they stand still
under no load.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

TURNS_BETWEEN_SLICES = 8
"""Turns of the event loop between two slices: whatever takes several turns (a step, a request) is not held up for as many
slices."""

SLICE_SECONDS = 0.1
"""Between two slices while the spine has work."""

SLICE_RECORDS_MAX = 64
SLICE_BYTES_MAX = 64 * 1024
"""Most of its input that a later stage takes in a slice, where a record is not larger by itself."""

_LOOK_SECONDS = 0.002


class Turns:
    """Gives later stages their turns; `spine_waits` says whether the spine has work."""

    def __init__(self, spine_waits: Callable[[], bool] = lambda: False) -> None:
        self.spine_waits = spine_waits
        self._lock = asyncio.Lock()
        self._ended = 0.0

    @contextlib.asynccontextmanager
    async def slice(self) -> AsyncIterator[None]:
        """A turn, when it has come."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            while self.spine_waits() and loop.time() < self._ended + SLICE_SECONDS:
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                yield
            finally:
                self._ended = loop.time()
            for _ in range(TURNS_BETWEEN_SLICES):
                await asyncio.sleep(0)
