"""The forked side of `marked`: what the server imports once, and the workers that run in its children."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from connectors.embedded import store
from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.retention import Retention
from schemas.topics import FILLS
from tests.faults.marked import Marks, mark
from tests.faults.stages_worker import PARTITIONS, batches
from tests.support import Books
from topology import app
from topology.cli import application
from topology.drive import run_until_idle

for module in (
    "connectors.embedded.transport",
    "topology.cli.running",
    "topology.rebuilding.rebuild",
    "topology.up",
):
    import_module(module)  # once, here, so that no child has to


def run(
    path: Path,
    target: Callable[..., int],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    halt: tuple[str, int],
) -> None:
    """In the child: mark, run, and end with the exit code."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(path.with_name(path.name + ".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    marks = Marks(path)
    mark(marks, halt)
    sys.exit(target(marks, *arguments))


def command(_: Marks, *arguments: str) -> int:
    """One `pks` command."""
    return application.run(list(arguments))


def held_up(marks: Marks, *arguments: str) -> int:
    """`pks up` whose stages commit nothing until the test releases them."""
    step_together = app.step_together

    def held(*arguments: Any, **options: Any) -> Any:
        if not marks.released:
            raise CommitError("expected to be released, found a test that waits")
        return step_together(*arguments, **options)

    app.step_together = held
    # Nor may a request be stepped through in the commit that appends it.
    app.StageApp.caught_up_runners = lambda self: ()
    return command(marks, "up", *arguments)


def stages(marks: Marks, folder: Path, feed: Path, ahead: int = 4) -> int:
    """Append the frames that the log does not have yet, a few ahead of the stages, and apply it all."""
    frames = msgspec.msgpack.decode(feed.read_bytes(), type=list[bytes])
    with Books(folder, partitions=PARTITIONS, waiting_max=100_000) as books:
        # One frame an append: the end of the log says how much of the feed is in it.
        todo = frames[books.log.end_offset(FILLS.name, 0) :]
        for start in range(0, len(todo), ahead):
            for frame in todo[start : start + ahead]:
                transaction = books.log.transaction()
                transaction.append(FILLS.name, 0, None, frame)
                transaction.commit()
                marks.set("appended", books.log.end_offset(FILLS.name, 0))
            run_until_idle(books.runners, books.log, max_events=3)
        run_until_idle(books.runners, books.log)
    return 0


def restoring(marks: Marks, folder: Path) -> int:
    """`pks up` that restores its tables record by record."""
    store.RESTORE_RECORDS_MAX = 1
    return command(marks, "up", "--data", str(folder), "--json")


def retention(marks: Marks, folder: Path) -> int:
    """Appends to a topic bounded by size and to one that compacts, and keeps their retention, for ever."""
    with EmbeddedLog.owner(folder, sync="os") as log:
        log.create_topic("sized", 1, retention_bytes=20_000)
        log.create_topic("keyed", 1, compact=True)
        keeper = Retention(log)
        while True:
            for _ in range(20):
                transaction = log.transaction()
                base = log.end_offset("sized", 0)
                for number in range(base, base + 50):
                    transaction.append("sized", 0, b"k", b"%d" % number)
                    transaction.append("keyed", 0, b"%d" % (number % 70), b"%d" % number)
                transaction.commit()
                marks.set("appended", log.end_offset("sized", 0))
                keeper.step()


def half_flushed(marks: Marks, folder: Path, seed: int, number: int) -> int:
    """Apply a feed but for its last batch, the first half of it in sorted files and the rest in the write-ahead log, all synced; then wait."""
    with Books(folder, partitions=PARTITIONS, waiting_max=100_000, sync="group") as books:
        feed = batches(seed, number)[:-1]
        for index, batch in enumerate(feed):
            if index == len(feed) // 2:
                books.log._database.flush()
            books.book(*batch)
        assert books.log.wait_durable(books.log.sequence)
        marks.set("appended", len(feed))
        signal.pause()
    return 0
