"""A wall clock that jumps: `pks up` goes on, no book changes, and what must not go back does not.

The clock of the process is changed by a library that is preloaded into it; nothing of PKS is.
"""

import struct
from itertools import pairwise
from pathlib import Path

import pytest

from clients.python.pks_client import PositionReader
from schemas import topics
from tests.faults import stages_worker
from tests.faults.up_support import Watch, pks, request_of, running, settle
from tests.integration.c_programs import compile_c
from tests.support import Books, ClockTick, eventually, fill
from topology.control.protocol import ControlClient

HOUR = 3_600
NANOSECONDS = 1_000_000_000


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library."""
    source = Path(__file__).parent / "c" / "wall_clock.c"
    target = tmp_path_factory.mktemp("c") / "wall_clock.so"
    return compile_c(source, target, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")


class Clock:
    """The wall clock of a worker."""

    def __init__(self, file: Path, preload: Path) -> None:
        self._file = file
        self.settings = {"LD_PRELOAD": str(preload), "PKS_TEST_CLOCK": str(file)}
        self.set(0)

    def set(self, seconds_ahead: int) -> None:
        """Jump, in one store."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(struct.pack("=q", seconds_ahead))


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_jump_of_an_hour_changes_no_book(tmp_path: Path, preload: Path, shared_memory_name: str, jump: int):
    folder, clock = tmp_path / "data", Clock(tmp_path / "clock", preload)
    batches = stages_worker.batches(23, 3_000)
    with running(
        folder,
        **clock.settings,
        PKS_SHARED_MEMORY=shared_memory_name,
        PKS_CLOCK_TICK_SECONDS="0.02",
        PKS_WAITING_TICKS_MAX="1000000",
    ) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        for number, batch in enumerate(batches):
            if number == len(batches) // 2:
                clock.set(jump)
            client.ask(request_of(batch))
        client.ask(request_of([fill("after", book="AFTER", instrument="AFTER")]))
        settle(client)
        slot = PositionReader(shared_memory_name).slot("AFTER", "AFTER")
        eventually(lambda: slot.live and slot.quantity == 10)
        eventually(lambda: not any(watch.lags().values()))
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    assert pks(folder, "verify", "--json").returncode == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        records = books.log.read(topics.FILLS.name, 0, 0, 100_000, 1 << 40)
        appended = [record.appended_at for record in records]
        ticks = [event.event_time for event in books.events(topics.FILLS) if type(event) is ClockTick]
        found = books.hash()
    steps = [later - earlier for earlier, later in pairwise(ticks)]
    jumped = max(steps, key=abs)
    assert abs(jumped - jump * NANOSECONDS) < 600 * NANOSECONDS, "the clock did not jump"
    # Each append of the sender is a commit of its own, told apart by its time.
    assert appended == sorted(set(appended)) and len(appended) > len(batches)
    with Books(tmp_path / "clean", partitions=stages_worker.PARTITIONS, waiting_max=100_000) as clean:
        for batch in batches:
            clean.book(*batch)
        clean.book(fill("after", book="AFTER", instrument="AFTER"))
        assert clean.hash() == found
