"""Two workers on a real broker, each started again where it ends, and the tables that they leave."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from connectors.kafka.link import Link
from tests.kafka_support import PATIENCE, View, environment_of, make_topics, start_worker
from tests.support import eventually

WORKERS = ("one", "two")
STUCK_SECONDS = 20.0
"""Without any progress for so long the workers are killed, as the supervisor's watchdog does."""


class Stand:
    """Workers of every stage, positions with a guarantee, and further settings of the environment.

    `stuck` counts how often they were killed for no progress.
    """

    def __init__(self, link: Link, folder: Path, guarantee: str, **environment: str) -> None:
        make_topics(link)
        self.stuck = 0
        self._link = link
        self._folder = folder
        self._environment = {**environment_of(guarantee), **environment}
        self._view = View(link, folder / "view")
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: set[str] = set()
        for name in WORKERS:
            (folder / name).mkdir()
        self.keep()

    def keep(self) -> None:
        """Start who does not run and was not ended, as a supervisor does."""
        for name in WORKERS:
            worker = self._workers.get(name)
            if name not in self._ended and (worker is None or worker.poll() is not None):
                self._workers[name] = start_worker(self._link, self._folder / name, name, **self._environment)

    def hash(self) -> str:
        """The books as the changelog has them now."""
        return self._view.hash()

    def until(self, wanted: Callable[[str], bool]) -> None:
        """Wait until the books are as wanted; who is stuck on the way is killed and started again."""
        seen, since = "", time.monotonic()

        def reached() -> bool:
            nonlocal seen, since
            self.keep()
            found, now = self.hash(), time.monotonic()
            if found != seen:
                seen, since = found, now
            elif now > since + STUCK_SECONDS:
                since = now
                self.stuck += 1
                for worker in self._workers.values():
                    worker.kill()
                    worker.wait()
            return wanted(found)

        eventually(reached, PATIENCE)

    def pause(self, name: str) -> subprocess.Popen[bytes]:
        """A worker stands still, as on a suspended machine."""
        self._workers[name].send_signal(signal.SIGSTOP)
        return self._workers[name]

    def go_on(self, name: str) -> None:
        """It goes on."""
        self._workers[name].send_signal(signal.SIGCONT)

    def end(self, name: str) -> None:
        """A worker is lost for good."""
        self._ended.add(name)
        self._workers[name].kill()
        self._workers[name].wait()

    def close(self) -> None:
        """Leave nothing running."""
        self._view.close()
        for name in self._workers:
            self.end(name)
