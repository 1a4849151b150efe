"""The demonstration's worker process: started, killed, started again, as an operator would do it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "topology")
SHARED_MEMORY = "/pks-demo-positions"
STOP_SECONDS = 30.0


class Stack:
    """`pks up` on a folder, in a process of its own."""

    def __init__(self, data: Path, web_port: int = 0, shared_memory: str = SHARED_MEMORY) -> None:
        self.data = data
        self.shared_memory = shared_memory
        self.addresses: dict[str, Any] = {}
        self._web_port = web_port
        self._log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command of the demonstration."""
        return {**os.environ, "PKS_DATA": str(self.data), "PKS_SHARED_MEMORY": self.shared_memory}

    def start(self) -> None:
        """Start the worker and wait until it is ready. Raises RuntimeError with its own words where it ends."""
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
            self._process.wait()
            last = self._log.read_text(encoding="utf-8").strip().splitlines()[-5:]
            raise RuntimeError("\n".join(["expected the worker to start, found:", *last]))
        self.addresses = json.loads(line)

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
        """Until the worker ends by itself or by a signal."""
        assert self._process is not None, "started before"
        self._process.wait()

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
