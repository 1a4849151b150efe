"""The disk of a server is full: its sink waits and loses nothing, and when there is room it has what the log has.

Each server that is still there goes on by itself, but NATS: it does without its streams until it is started again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.sinks.far_sides import FarSide, NatsSide, PostgresSide, QuestdbSide, RedisSide, until
from tests.faults.sinks.feeding import Feeder
from tests.nats_support import running_nats
from tests.postgres_support import make_database, make_template, running_postgres
from tests.questdb_support import running_questdb
from tests.redis_support import Quoter, running_redis
from tests.sink_support import following
from tests.small_disk import fill_up, make_room, small_disk
from tests.support import Books, eventually

# By default QuestDB takes 16 MiB of the disk for each column at once.
SMALL_PAGES = {
    f"cairo.{part}.append.page.size": "64K"
    for part in (
        "writer.data",
        "system.writer.data",
        "wal.writer.data",
        "writer.data.index.value",
        "writer.misc",
    )
}


@contextmanager
def postgres(disk: Path, books: Books) -> Iterator[FarSide]:
    with running_postgres(disk, max_wal_size="32MB", min_wal_size="32MB") as server:
        make_template(server)
        yield PostgresSide(Feeder(books), server, make_database(server))


@contextmanager
def nats(disk: Path, books: Books) -> Iterator[FarSide]:
    with running_nats(disk / "nats") as server:
        yield NatsSide(Feeder(books), server)


@contextmanager
def questdb(disk: Path, books: Books) -> Iterator[FarSide]:
    with running_questdb(disk / "questdb", SMALL_PAGES) as server:
        yield QuestdbSide(Feeder(books), server)


@contextmanager
def redis(disk: Path, books: Books) -> Iterator[FarSide]:
    with running_redis(disk / "redis") as server:
        yield RedisSide(Quoter(books), server)


@pytest.mark.parametrize(
    ("make", "megabytes", "ends_its_streams"),
    [(postgres, 224, False), (nats, 32, True), (questdb, 128, False), (redis, 16, False)],
)
def test_a_full_disk_is_waited_for(books: Books, make: Any, megabytes: int, ends_its_streams: bool):
    with (
        small_disk(megabytes) as disk,
        make(disk, books) as side,
        following(side.sink(), books.folder) as status,
    ):
        until(side, lambda: status.written > 50)

        def noticed() -> bool:
            fill_up(disk)
            return status.failures > 0

        until(side, noticed)
        make_room(disk)
        if ends_its_streams:
            side.server.stop()
            side.server.start()

        def goes_on() -> bool:
            # QuestDB maps its files: where their file system is in memory, and full, its process may end.
            if side.server.process is None:
                side.server.start()
            return status.state == "running" and not status.lag_records

        eventually(goes_on, 120)
        side.ties()
        assert status.refused == 0
