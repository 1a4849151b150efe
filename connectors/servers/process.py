"""A server as a child process: ports, start, readiness, kill and stop, the same for each server.

Assumes: started from a thread that lives as long as the server shall; Linux, where the child shall die with it.
Guarantees: `start` returns when the server answers; nothing of it is left when the thread that started it is gone.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_TAIL_BYTES = 2_000


class ServerUnavailable(Exception):
    """No such server can be started here; the text says what is missing and what to do."""


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    held = [socket.socket() for _ in range(number)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> list[str]:
    """What to put before a command so that the thread that starts it takes it along, where the system has that."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"]


class ServerProcess:
    """The process of a server; `log` is the file that its output goes to.

    `death_signal` is what it gets when whoever started it is gone; without, the one that stops it.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_seconds: float = STOP_SECONDS,
        death_signal: signal.Signals | None = None,
    ) -> None:
        self._name = name
        self._log = log
        self._stop_signal = stop_signal
        self._stop_seconds = stop_seconds
        self._death_signal = death_signal or stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> int | None:
        """Its number, while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(
        self, command: Sequence[str], ready: Callable[[], bool], seconds_max: float, **options: Any
    ) -> None:
        """Start it and wait until `ready`. Raises ServerUnavailable where it ends or says nothing in time."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*die_with_parent(self._death_signal), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for whoever started it, who then stops it in order.
                start_new_session=True,
                **options,
            )
        deadline = time.monotonic() + seconds_max
        while not ready():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.kill()
                found = "silence" if ended is None else f"that it ended with {ended}"
                tail = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
                raise ServerUnavailable(
                    f"expected {self._name} to answer within {seconds_max:.0f} s, found {found}: {tail}"
                )
            time.sleep(_POLL_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut of its machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Let it shut down in order."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(self._stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._stop_seconds)
        self.kill()


class LocalServer(ABC):
    """A server of this machine with its data in a folder; `start`, `kill` and `start` again keep what it holds.

    `port` 0 takes a free one; `log` is the file that its output goes to; `options` are those of `ServerProcess`.
    """

    def __init__(self, name: str, folder: Path, log: Path, port: int, **options: Any) -> None:
        # Programs may run in another folder, where a relative path would mean another place.
        self.folder = folder.absolute()
        self.port = port or free_ports(1)[0]
        self._server = ServerProcess(name, log.absolute(), **options)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerUnavailable."""

    @property
    def process(self) -> int | None:
        """Its number, while it runs."""
        return self._server.process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it hang, SIGCONT go on."""
        self._server.signal(number)

    def kill(self) -> None:
        """End it at once."""
        self._server.kill()

    def stop(self) -> None:
        """Let it shut down in order."""
        self._server.stop()
