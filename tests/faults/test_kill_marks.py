"""The worker killed with -9 while marks come: bars and newest marks are those of a run in which nothing was killed."""

import random
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from agents import bars
from agents.bar_state import scan_marks
from clients.python.pks_client import MarkReader
from connectors.shm.writer import remove
from domain.marks.bars import LENGTHS
from domain.marks.judging import order_of
from schemas import topics
from tests.faults.up_support import connect, running
from tests.redis_support import mark
from tests.support import eventually
from topology.cli.reading_options import opened_log_of
from topology.control.entry import records_of
from topology.control.protocol import ControlClient, Request
from topology.log_reading import read_events, table_partition
from topology.settings import Settings

KILLS = 3
PARTITIONS = 4


def some_marks(number: int, choose: random.Random) -> list[Any]:
    """Marks of three instruments, one in five late."""
    return [
        mark(
            f"I{index % 3}",
            f"{100 + choose.randint(-20, 20)}.5",
            at=number * 40 + index - (60 if choose.random() < 0.2 else 0),
            source_sequence=number * 1_000 + index,
        )
        for index in range(40)
    ]


def expected_bars(marks: list[Any]) -> dict[tuple[str, str, int], tuple[Decimal, ...]]:
    ticks: dict[tuple[str, str, int], list[Any]] = {}
    for each in marks:
        for interval, length in LENGTHS.items():
            key = (each.instrument, str(interval), each.event_time // length * length)
            ticks.setdefault(key, []).append(each)
    found = {}
    for key, of_bar in ticks.items():
        prices = [each.price for each in sorted(of_bar, key=lambda tick: (*order_of(tick), tick.event_id))]
        found[key] = (prices[0], max(prices), min(prices), prices[-1])
    return found


def shown_bars(settings: Settings) -> dict[tuple[str, str, int], tuple[Decimal, ...]]:
    with opened_log_of(settings) as log:
        return {
            (bar.instrument, str(bar.interval), bar.opened_at): (bar.open, bar.high, bar.low, bar.close)
            for partition in range(PARTITIONS)
            for _, bar in read_events(log, topics.BARS, partition)
        }


def send(client: ControlClient, marks: list[Any], *, wait: bool = True) -> None:
    request = Request("append", records=records_of(topics.MARKS, marks, topics.MARKS.key_of, PARTITIONS))
    if wait:
        client.ask(request)
    else:
        client.send(request)


def newest_of(marks: list[Any]) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    for each in marks:
        held = newest.get(each.instrument)
        if held is None or order_of(each) >= order_of(held):
            newest[each.instrument] = each
    return newest


def kept_marks(settings: Settings) -> dict[str, Any]:
    with opened_log_of(settings) as log:
        return {
            each.instrument: each
            for partition in range(PARTITIONS)
            for each in scan_marks(table_partition(log, bars.NAME, partition))
        }


def test_kills_while_marks_come(tmp_path: Path, shared_memory_name: str):
    choose = random.Random(11)
    folder = tmp_path / "data"
    told = {"PKS_PARTITIONS": str(PARTITIONS), "PKS_SHARED_MEMORY": shared_memory_name}
    batches = [some_marks(number, choose) for number in range(40)]
    everything = [each for batch in batches for each in batch]
    settings = Settings(data=folder, partitions=PARTITIONS)
    acknowledged = 0
    for kill in range(KILLS):
        with running(folder, **told) as process, closing(eventually(lambda: connect(folder))) as client:
            while acknowledged < (kill + 1) * 10:
                send(client, batches[acknowledged])
                acknowledged += 1
            # This one is under way, and sent again after the kill: it may come twice.
            send(client, batches[acknowledged], wait=False)
            process.kill()
    with running(folder, **told), closing(eventually(lambda: connect(folder))) as client:
        for batch in batches[acknowledged:]:
            send(client, batch)
        expected, newest = expected_bars(everything), newest_of(everything)
        eventually(lambda: shown_bars(settings) == expected, 30)
        reader = MarkReader(f"{shared_memory_name}.md.marks")
        eventually(
            lambda: (
                {slot.instrument: slot.price for slot in reader.marks()}
                == {name: each.price for name, each in newest.items()}
            )
        )
        assert all(slot.live for slot in reader.marks())
        assert kept_marks(settings) == newest
    remove(shared_memory_name)
