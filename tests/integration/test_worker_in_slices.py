"""A worker in the middle of long re-matches: it serves, others go on, it ends at once, and goes on after a restart."""

import asyncio
import json
from pathlib import Path
from typing import Any

from agents import positions, trade_capture
from schemas.topics import BOOKINGS, POSITIONS
from tests.integration.faust_support import quick_settings, until, worker_over
from tests.support import Books, booked

TRADES = 1_500
REMATCH_MIN = 100
SLICE = 20


def stages(**options: Any) -> tuple[Any, Any]:
    stage = positions.stage(rematch_min=REMATCH_MIN, slice_trades=SLICE, **options)
    return (trade_capture.stage(), stage)


def long_position() -> list[Any]:
    return [
        booked(
            f"t{number}", -3 if number % 3 == 2 else 2, 100 + number % 7, at=number, source_sequence=number
        )
        for number in range(TRADES)
    ]


def late(number: int) -> Any:
    return booked(f"late{number}", 1, 90, at=-1 - number)


def whole_hash(folder: Path, found: list[Any]) -> str:
    with Books(folder) as books:
        books.bookings(*found)
        books.run()
        return books.hash()


def test_ever_earlier_batches_hold_up_neither_health_nor_other_positions(tmp_path: Path):
    """Each of them matches the whole position again: what is asked meanwhile is answered between two slices."""
    flood = [late(number) for number in range(12)]

    async def run(books: Books) -> tuple[int, int]:
        answered = others = 0
        async with worker_over(books.log, quick_settings(tmp_path, partitions=1), stages()) as running:
            books.bookings(*long_position())
            await running.idle()
            (runner,) = running.worker.apps[-1].runners.values()
            for batch in range(4):
                books.bookings(*flood[batch * 3 : batch * 3 + 3])
                await until(lambda: runner.next_offset == books.log.end_offset(BOOKINGS.name, 0))
                books.bookings(booked(f"o{batch}", 1, 100, instrument="Y"))
                status, _ = await running.get("/health/ready")
                answered += status == 200 and runner.has_idle_work
                await until(lambda batch=batch: revision_of(books, "Y") == batch + 1)
                others += runner.has_idle_work
            shown = json.loads((await running.get("/positions/B1/X"))[1])
            assert shown["waiting_bookings"] > 0 and shown["revision"] < TRADES + len(flood)
            await until(lambda: not runner.has_idle_work, 60)
        return answered, others

    with Books(tmp_path / "data", stages=stages()) as books:
        assert asyncio.run(run(books)) == (4, 4)
        coming = [
            *long_position(),
            *flood,
            *(booked(f"o{number}", 1, 100, instrument="Y") for number in range(4)),
        ]
        assert books.hash() == whole_hash(tmp_path / "clean", coming)


def revision_of(books: Books, instrument: str) -> int:
    found = books.positions().get(("B1", instrument))
    return 0 if found is None else found.revision


def test_it_ends_between_two_slices_and_goes_on_after_a_restart(tmp_path: Path):
    settings = quick_settings(tmp_path, partitions=1)

    async def begin(books: Books) -> None:
        async with worker_over(books.log, settings, stages()) as running:
            books.bookings(*long_position())
            books.bookings(late(0), late(1))
            await until(lambda: books.counts(positions.NAME).waiting == 2)
            (runner,) = running.worker.apps[-1].runners.values()
            assert runner.has_idle_work

    async def go_on(books: Books) -> None:
        async with worker_over(books.log, settings, stages()) as running:
            (runner,) = running.worker.apps[-1].runners.values()
            await until(lambda: not runner.has_idle_work, 60)

    with Books(tmp_path / "data", stages=stages()) as books:
        asyncio.run(begin(books))
        assert books.counts(positions.NAME).waiting == 2
        books.reopen()
        asyncio.run(go_on(books))
        assert books.counts(positions.NAME).applied == TRADES + 2
        assert len(books.events(POSITIONS)) == TRADES + 2
        assert books.hash() == whole_hash(tmp_path / "clean", [*long_position(), late(0), late(1)])


def test_a_partition_that_is_full_waits_for_its_slices(tmp_path: Path):
    async def run(books: Books) -> int:
        async with worker_over(
            books.log, quick_settings(tmp_path, partitions=1), stages(waiting_bookings_max=2)
        ) as running:
            books.bookings(*long_position())
            await running.idle()
            (runner,) = running.worker.apps[-1].runners.values()
            books.bookings(late(0), late(1))
            await until(lambda: runner.is_full)
            books.bookings(booked("other", 1, 100, instrument="Y"))
            waited = books.log.end_offset(BOOKINGS.name, 0) - runner.next_offset
            await until(lambda: revision_of(books, "Y") == 1, 60)
            assert not runner.is_full
            return waited

    with Books(tmp_path / "data", stages=stages()) as books:
        assert asyncio.run(run(books)) == 1
