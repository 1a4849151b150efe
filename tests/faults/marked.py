"""Workers to be killed at a chosen place: forked from a server that has everything imported, with marks of where they are.

A worker is a real process and dies by a real kill -9; that it is forked saves the second of imports, so that thirty
kills cost what one start does. It writes its marks into a mapped file, which survives it: so a test sees in which
phase the kill fell, and need not believe that it did.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from connectors.embedded import copying, retention, store, transaction
from connectors.embedded import log as embedded_log
from connectors.shm import writer
from topology import app, drive
from topology.control import intake
from topology.rebuilding import rebuild, repartition
from topology.rebuilding import stage_log as rebuilding

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.marked_worker"])

PHASES = (
    "starting",
    "between",
    "stepping",
    "restoring",
    "retaining",
    "growing",
    "rebuilding",
    "exchanging",
    "copying",
    "carrying",
    "moving",
)
WORDS = (
    "phase",
    "writes_begun",
    "writes_done",
    "writing",
    "opened",
    "appended",
    "released",
    "halting",
    "halted",
    *PHASES,
)

BEFORE_WRITE, AFTER_WRITE = 1, 2
"""Values of `halting`: the next commit of a step, or of what is restored, stands still there."""


class Marks:
    """Where a worker is: words in a mapped file.

    `writing` is the sequence that the running commit will have, `opened` that of the log when it was opened,
    `appended` the end of what a worker feeds itself, `released` lets go what waits for the test, and under the name of a phase how often it was entered.
    """

    def __init__(self, path: Path) -> None:
        import mmap

        if not path.exists():
            path.write_bytes(bytes(8 * len(WORDS)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._map).cast("Q")

    def __getattr__(self, name: str) -> int:
        return self._words[WORDS.index(name)]

    def set(self, name: str, value: int) -> None:
        self._words[WORDS.index(name)] = value

    def add(self, name: str) -> None:
        self._words[WORDS.index(name)] += 1

    def inside(self, phase: str) -> bool:
        """Whether the worker is in a phase."""
        return self.phase == PHASES.index(phase)

    def committing(self) -> bool:
        """Whether the worker is writing the commit of a step."""
        return self.inside("stepping") and self.writes_begun != self.writes_done

    @property
    def where(self) -> str:
        """The phase, and whether a write of the log is under way."""
        return PHASES[self.phase] + (", writing" if self.writes_begun != self.writes_done else "")

    def clear(self) -> None:
        for name in WORDS:
            self.set(name, 0)

    @contextmanager
    def during(self, phase: str) -> Any:
        """A worker is in a phase."""
        before = self.phase
        self.set("phase", PHASES.index(phase))
        try:
            yield
        finally:
            self.set("phase", before)


def _around(owner: Any, name: str, marks: Marks, phase: str, halt: tuple[str, int]) -> None:
    """Mark a phase around a function of a module or class; stand still there where told to."""
    original = getattr(owner, name)

    def marked(*arguments: Any, **options: Any) -> Any:
        with marks.during(phase):
            marks.add(phase)
            if halt == (phase, getattr(marks, phase)):
                signal.pause()
            return original(*arguments, **options)

    setattr(owner, name, marked)


def _halt_in_commit(marks: Marks, place: int) -> None:
    if marks.halting == place and (marks.inside("stepping") or marks.inside("restoring")):
        marks.set("halted", 1)
        signal.pause()


def mark(marks: Marks, halt: tuple[str, int]) -> None:
    """Let this process mark what it does; nothing of what it does is changed, but that it stands still at `halt`.

    `halt` is a phase, and the how-many-th entry into it.
    """
    write, commit = embedded_log.EmbeddedLog.write, transaction.EmbeddedTransaction.commit
    load = embedded_log.EmbeddedLog._load

    def marked_write(self: Any, batch: Any) -> None:
        marks.add("writes_begun")
        _halt_in_commit(marks, BEFORE_WRITE)
        write(self, batch)
        _halt_in_commit(marks, AFTER_WRITE)
        marks.add("writes_done")

    def marked_commit(self: Any) -> int:
        marks.set("writing", self._sequence)
        return commit(self)

    def marked_load(self: Any) -> None:
        load(self)
        marks.set("opened", self.sequence)

    embedded_log.EmbeddedLog.write = marked_write
    transaction.EmbeddedTransaction.commit = marked_commit
    embedded_log.EmbeddedLog._load = marked_load
    for owner, name, phase in (
        (drive, "step_together", "stepping"),
        (app, "step_together", "stepping"),
        (intake, "append_through", "stepping"),
        (store.EmbeddedStore, "restore_slice", "restoring"),
        (retention.Retention, "step", "retaining"),
        (writer.PositionWriter, "_grow", "growing"),
        (rebuilding.RebuildingTransaction, "commit", "rebuilding"),
        (rebuild, "exchange", "exchanging"),
        (copying.RecordCopies, "add", "copying"),
        (repartition._NewTables, "write", "carrying"),
        (repartition, "exchange", "moving"),
    ):
        _around(owner, name, marks, phase, halt)
    marks.set("phase", PHASES.index("between"))


class Worker:
    """A forked process that runs `target(marks, *arguments)` with its marks on.

    With `halt` it stands still as it enters a phase for the so many-th time: what comes next is the kill.
    """

    def __init__(
        self,
        marks: Path,
        target: Callable[..., int],
        *arguments: Any,
        environment: dict[str, str] | None = None,
        halt: tuple[str, int] = ("", 0),
    ) -> None:
        from tests.faults.marked_worker import run

        self.marks = Marks(marks)
        self._said = marks.with_name(marks.name + ".said")
        self.marks.clear()
        self._halt = halt
        self._process = _context.Process(target=run, args=(marks, target, arguments, environment or {}, halt))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def until(
        self, reached: Callable[[Marks], bool], *, closely: bool = False, timeout: float = 60.0
    ) -> None:
        """Look at the marks until something is so; it fails where the worker ends before.

        `closely` looks without a pause, where it is so for microseconds only.
        """
        assert self.reaches(reached, closely=closely, timeout=timeout), (
            f"expected the mark within {timeout} s, found {self.marks.where}"
        )

    def reaches(
        self, reached: Callable[[Marks], bool], *, closely: bool = False, timeout: float = 60.0
    ) -> bool:
        """As `until`; False where it did not come to be so in time."""
        ends = time.monotonic() + timeout
        while not any(reached(self.marks) for _ in range(200 if closely else 1)):
            if wait([self._process.sentinel], 0 if closely else 0.001):
                assert reached(self.marks), f"the worker ended with {self.wait()}: {self.said()}"
            elif time.monotonic() > ends:
                return False
        return True

    def until_halted(self) -> None:
        """Wait until it stands still."""
        phase, times = self._halt
        self.until(lambda marks: getattr(marks, phase) >= times)

    def after(self, seconds: float) -> None:
        """Let some time pass; it fails where the worker ends before."""
        assert not wait([self._process.sentinel], seconds), (
            f"the worker ended with {self.wait()}: {self.said()}"
        )

    def ended(self) -> bool:
        """Whether it has ended."""
        return bool(wait([self._process.sentinel], 0))

    def said(self) -> str:
        """What it wrote to stderr."""
        return self._said.read_text(errors="replace")

    def kill(self) -> str:
        """kill -9; returns where it fell."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL
        return self.marks.where

    def order_to_stop(self) -> None:
        """SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def terminate(self) -> int:
        """SIGTERM, and wait for the exit code."""
        self.order_to_stop()
        return self.wait()

    def wait(self, timeout: float = 120.0) -> int:
        """Wait for the exit code."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"expected the worker to end within {timeout} s"
        return self._process.exitcode

    def close(self) -> None:
        """Kill it if it still runs."""
        self._process.kill()
        self._process.join()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
