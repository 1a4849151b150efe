"""A host of a cluster, as a test or a measurement has it: `pks up` on Kafka with one worker, that can be lost at once."""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from connectors.servers.process import free_ports
from topology.demo.stack import Stack

_ANSWER_SECONDS = 60.0


class Host(Stack):
    """`pks up --workers 1` under a name of its own; `options` are further settings."""

    def __init__(
        self, name: str, data: Path, transport: str, shared_memory: str = "", **options: object
    ) -> None:
        # A port of its own, which it has again when its worker is started again.
        told = {"transport": transport, "worker_name": name, "workers": 1, **options}
        super().__init__(data, free_ports(1)[0], shared_memory, **told)
        self.name = name

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"{self.name}-1"

    def processes(self) -> list[int]:
        """Its supervisor, and the worker that it has now."""
        assert self._process is not None, "started before"
        supervisor = self._process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii")
        return [supervisor, *map(int, children.split())]

    @property
    def web(self) -> str:
        """The address of its worker's web views."""
        return str(self.addresses["workers"][0]["web"])

    @property
    def running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def lose(self) -> None:
        """Everything on it ends at once, as by a power cut: a supervisor that lives would start the worker again."""
        for process in self.pause()[1:]:
            os.kill(process, signal.SIGKILL)
        self.kill()

    def pause(self) -> list[int]:
        """Everything on it stands still, as in a suspended machine; returns the processes."""
        # The supervisor first: it makes no more workers then.
        found = self.processes()
        for process in found:
            os.kill(process, signal.SIGSTOP)
        return found

    def resume(self) -> None:
        """What stood still goes on."""
        for process in self.processes():
            os.kill(process, signal.SIGCONT)

    def get(self, path: str) -> tuple[int, dict[str, str], Any]:
        """What its worker answers: status, headers and document."""
        try:
            with urllib.request.urlopen(self.web + path, timeout=_ANSWER_SECONDS) as answer:
                return answer.status, dict(answer.headers), json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.load(error)

    def text(self, path: str) -> str:
        """What its worker answers, as text."""
        with urllib.request.urlopen(self.web + path, timeout=_ANSWER_SECONDS) as answer:
            return str(answer.read().decode())

    def owners(self) -> dict[int, tuple[str | None, int | None]]:
        """The worker of each partition of the books, with the changelog records that it took over with."""
        rows = self.get("/owners")[2]["partitions"]
        return {row["partition"]: (row["worker"], row["taken_over_with_records"]) for row in rows}
