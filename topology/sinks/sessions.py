"""Connections to an outside system, one after the other: the loop of every sink and source, its breaker and its status.

Guarantees: after a failure the adapter is closed and opened anew, after a pause that grows while nothing succeeds in
between; a status is written twice a second, and at each failure.
"""

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

import stamina

from connectors.breaker import CircuitBreaker
from connectors.sink import Unavailable
from topology.sinks.status import SinkStatus, write_status

RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 10.0
RETRY_JITTER_SECONDS = 0.5
"""Between attempts after a failure: doubled each time, up to the most, and spread so that sinks do not knock together."""

STATUS_SECONDS = 0.5


class Adapter(Protocol):
    """A sink or a source, as far as its sessions go."""

    name: str


class Sessions(ABC):
    """Runs the sessions of one adapter until it is cancelled."""

    def __init__(self, adapter: Adapter, data: Path) -> None:
        self._adapter = adapter
        self._data = data
        self._succeeded = False
        # It counts; when to try again is for the attempts below, which are the only ones here.
        self._breaker = CircuitBreaker(adapter.name)
        self.status = SinkStatus(adapter.name, process=os.getpid())

    @abstractmethod
    async def _session(self) -> None:
        """One connection, until it fails. Raises Unavailable."""

    @abstractmethod
    async def _end_session(self) -> None:
        """Let go of the connection; never raises."""

    @abstractmethod
    def _say_failed(self, error: Unavailable) -> None:
        """Log a failure, of which the status knows already."""

    def _before_showing(self) -> None:  # noqa: B027 - a source has nothing to bring up to date
        """Bring the status up to date."""

    async def run(self) -> None:
        """Work until cancelled."""
        showing = asyncio.create_task(self._keep_showing())
        try:
            while True:
                # A failure after some success begins a new row of attempts.
                async for attempt in stamina.retry_context(
                    on=Unavailable,
                    attempts=None,
                    timeout=None,
                    wait_initial=RETRY_SECONDS_FIRST,
                    wait_max=RETRY_SECONDS_MAX,
                    wait_jitter=RETRY_JITTER_SECONDS,
                ):
                    self._succeeded = False
                    with attempt:
                        try:
                            await self._session()
                        except Unavailable as error:
                            self._failed(error)
                            if not self._succeeded:
                                raise
                        finally:
                            await self._end_session()
        finally:
            showing.cancel()
            self.status.state = "stopped"
            self._show()

    def _goes(self) -> None:
        self._breaker.succeeded()
        self.status.state, self.status.trouble, self.status.failures = "running", "", 0

    def _failed(self, error: Unavailable) -> None:
        status = self.status
        self._breaker.failed(str(error))
        status.failures = self._breaker.failures
        status.state = "open" if self._breaker.is_open else "retrying"
        status.trouble = str(error)
        self._say_failed(error)
        self._show()

    async def _keep_showing(self) -> None:
        while True:
            self._before_showing()
            self._show()
            await asyncio.sleep(STATUS_SECONDS)

    def _show(self) -> None:
        self.status.complaints = dict(getattr(self._adapter, "complaints", {}))
        with contextlib.suppress(OSError):  # a full disk; the books do not wait for a status
            write_status(self._data, self.status)
