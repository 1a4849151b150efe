"""The demonstration's worker process: started, killed, started again, as an operator would do it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

COMMAND = (sys.executable, "-m", "topology")
SHARED_MEMORY = "/pks-demo-positions"
STOP_SECONDS = 30.0


class StackFailed(Exception):
    """The worker did not start, or ended by itself; in its own words where it said any."""


class Stack:
    """`pks up` on a folder, in a process of its own; `settings` are further ones."""

    def __init__(
        self, data: Path, web_port: int = 0, shared_memory: str = SHARED_MEMORY, **settings: object
    ) -> None:
        self.data = data
        self._told = {f"PKS_{name.upper()}": str(value) for name, value in settings.items()}
        self.shared_memory = shared_memory
        self.addresses: dict[str, Any] = {}
        self._web_port = web_port
        self._log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command of the demonstration."""
        ours = {"PKS_DATA": str(self.data), "PKS_SHARED_MEMORY": self.shared_memory}
        return {**os.environ, **ours, **self._told}

    def start(self) -> None:
        """Start the worker and wait until it is ready. Raises StackFailed with its own words where it ends."""
        said = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*COMMAND, "up", "--json", "--web-port", str(self._web_port)],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None, "a pipe was asked for"
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            last = self._log.read_bytes()[said:].decode("utf-8", "replace").strip().splitlines()[-5:]
            raise StackFailed("\n".join(last) or f"expected the worker to start, found exit code {code}")
        self.addresses = json.loads(line)

    def check(self) -> None:
        """Raises StackFailed where the worker has ended by itself."""
        assert self._process is not None, "started before"
        code = self._process.poll()
        if code is not None:
            self._raise_ended(code)

    def _raise_ended(self, code: int) -> NoReturn:
        assert self._process is not None, "started before"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise StackFailed(
            f"the worker (process {self._process.pid}) ended with {how}; what it said stands in {self._log}"
        )

    def kill(self) -> int:
        """kill -9: no warning, no clean-up. Returns the process that is dead now."""
        assert self._process is not None, "started before"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close_output()
        return self._process.pid

    def stop(self) -> None:
        """End the worker in an orderly way."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
        self._close_output()

    def _close_output(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def wait(self) -> None:
        """Until the worker is stopped in an orderly way. Raises StackFailed where it ends otherwise."""
        assert self._process is not None, "started before"
        code = self._process.wait()
        if code:
            self._raise_ended(code)

    def ask(self, *arguments: str, data: Path | None = None) -> Any:
        """What a command of `pks` prints with --json."""
        environment = self.environment if data is None else {**self.environment, "PKS_DATA": str(data)}
        done = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *arguments, "--json"], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(
                done.stderr.strip() or f"pks {' '.join(arguments)}: exit code {done.returncode}"
            )
        return json.loads(done.stdout)
