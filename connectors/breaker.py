"""A circuit breaker: whoever calls a far side that is down hears so at once, and few knock on it until it is back.

Owns: the count of failures in a row, and when the next attempt is let through.
Assumes: one event loop, or one thread; a clock that does not go back.
Guarantees: from `failures_max` failures in a row on the circuit is open: attempts are refused without being made, but for
one probe after a pause; a probe that fails doubles the pause up to `seconds_max`, one that succeeds closes the circuit.
Pauses are spread, so that many callers do not knock together.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors.sink import Unavailable

FAILURES_MAX = 5
SECONDS_FIRST = 0.5
SECONDS_MAX = 30.0


class CircuitOpen(Unavailable):
    """An attempt that was not made: the far side failed many times; `seconds` until the next one is let through."""

    def __init__(self, name: str, seconds: float, trouble: str) -> None:
        super().__init__(
            f"{name}: expected an answer, found an open circuit for {seconds:.1f} s more ({trouble})"
        )
        self.seconds = seconds


class CircuitBreaker:
    """The circuit to one far side. `name` is what errors call it; `chance` gives a number from 0 to 1."""

    def __init__(
        self,
        name: str,
        *,
        failures_max: int = FAILURES_MAX,
        seconds_first: float = SECONDS_FIRST,
        seconds_max: float = SECONDS_MAX,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._failures_max = failures_max
        self._seconds_first = seconds_first
        self._seconds_max = seconds_max
        self._clock = clock
        self._chance = chance
        self._retry_at = 0.0
        self._probing = False
        self._trouble = ""
        self.failures = 0
        self.refused = 0

    @property
    def is_open(self) -> bool:
        """Whether the far side counts as down: each attempt that is let through is a probe."""
        return self.failures >= self._failures_max

    @property
    def seconds_left(self) -> float:
        """How long attempts are still refused; 0 where one would be let through."""
        if not self.is_open:
            return 0.0
        return max(0.0, self._retry_at - self._clock())

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One attempt; Unavailable counts as its failure, another exception says nothing of the far side.

        Raises CircuitOpen in its place where none is let through now.
        """
        if self.is_open:
            if self._probing or self.seconds_left > 0.0:
                self.refused += 1
                raise CircuitOpen(self._name, self.seconds_left, self._trouble)
            self._probing = True
        try:
            yield
        except Unavailable as error:
            self.failed(str(error))
            raise
        else:
            self.succeeded()
        finally:
            self._probing = False

    def succeeded(self) -> None:
        """The far side did what was asked."""
        self.failures, self._trouble = 0, ""

    def failed(self, trouble: str) -> None:
        """The far side did not."""
        self.failures += 1
        self._trouble = trouble
        if self.is_open:
            # Beyond 60 doublings the pause is the longest there is; a float has no more of them.
            doublings = min(self.failures - self._failures_max, 60)
            pause = min(self._seconds_first * 2.0**doublings, self._seconds_max)
            self._retry_at = self._clock() + pause * (0.5 + 0.5 * self._chance())
