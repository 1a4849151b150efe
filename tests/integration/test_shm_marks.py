"""Marks in shared memory: the C header and the Python reader against what is written, and against what a worker shows."""

import json
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.python.pks_client import LayoutMismatch, MarkReader, PositionReader, Status
from clients.python.pks_client import layout as client
from connectors.shm import layout
from connectors.shm.errors import SharedMemoryError
from connectors.shm.marks import MARKS, QUALITIES, MarkWriter
from connectors.shm.slots import key_hash
from connectors.shm.writer import PositionWriter, remove
from schemas.murmur2 import partition_of_key
from schemas.units import MarkQuality
from tests.integration.c_programs import compile_c, output
from tests.redis_support import mark
from tests.support import MONDAY, eventually
from topology.cli.application import run
from topology.demo.stack import Stack

PARTITIONS = 4


@pytest.fixture
def writer(shared_memory_name: str) -> Any:
    opened = MarkWriter(shared_memory_name, slots=16, partitions=PARTITIONS)
    yield opened
    opened.close(keep=False)


@pytest.fixture(scope="module")
def show(tmp_path_factory: Any) -> Any:
    program = compile_c("show_mark.c", tmp_path_factory.mktemp("c") / "show_mark")

    def run_it(*arguments: str) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in output(program, *arguments).splitlines())

    return run_it


def written(writer: MarkWriter, *marks: Any) -> None:
    for each in marks:
        writer.write(partition_of_key(each.instrument.encode(), PARTITIONS), each, 77)


CASES = [
    mark("X", "10.25", bid=Decimal("10.20"), ask=Decimal("10.30"), currency="USD", source_sequence=9),
    mark("Ω" * 60, "-37.63", quality=MarkQuality.STALE, at=-5, source="s" * 200),
    mark("RU000A0JWM07.MOEX", "91.1687", accrued_interest=Decimal("31.63"), currency="RUB"),
    mark("M", None, bid=Decimal("0.000000000000000001"), source=""),
    mark("I", "0.3333333333333333333333333333333333333333", quality=MarkQuality.INDICATIVE),
]


def test_the_places_of_version_1_never_move():
    assert {name: member.offset for name, member in MARKS.members.items()} == {
        "sequence": 0, "key_hash": 8, "price": 16, "bid": 24, "ask": 32, "accrued_interest": 40, "owner_epoch": 48,
        "quality": 56, "event_time": 64, "source_sequence": 72, "updated_at": 80, "instrument": 88, "currency": 92,
        "source": 96, "partition": 100, "price_exact": 128, "bid_exact": 152, "ask_exact": 176,
        "accrued_interest_exact": 200,
    }  # fmt: skip
    assert (MARKS.size, MARKS.body.size) == (256, 248)
    form = client.MARKS
    assert (form.size, form.slot.size) == (MARKS.size, 256 - 8 - MARKS.reserved)
    assert (form.directory_magic, form.segment_magic) == (MARKS.directory_magic, MARKS.segment_magic)
    assert MARKS.decimals == client.MARK_DECIMALS
    assert [QUALITIES[quality] for quality in MarkQuality] == [1, 2, 3, 4]


def test_every_offset_of_the_header_is_the_tables(tmp_path: Path):
    lines = [
        f'printf("%zu %zu\\n", offsetof(pks_mark_slot, {name}), sizeof(((pks_mark_slot *)0)->{name}));'
        for name in MARKS.members
    ]
    lines.append('printf("%zu 0\\n", sizeof(pks_mark_slot));')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_MARKS_DIRECTORY_MAGIC);')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_MARKS_SEGMENT_MAGIC);')
    source = tmp_path / "offsets.c"
    source.write_text('#include "pks_marks.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
    found = [
        tuple(map(int, line.split())) for line in output(compile_c(source, tmp_path / "offsets")).splitlines()
    ]
    expected = [(member.offset, member.size) for member in MARKS.members.values()]
    assert found == [*expected, (MARKS.size, 0), (MARKS.directory_magic, 0), (MARKS.segment_magic, 0)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.instrument[:5])
def test_both_readers_read_what_was_written(
    writer: MarkWriter, show: Any, shared_memory_name: str, case: Any
):
    written(writer, mark("other", "1"), case, mark("another", "2"))
    writer.claim()
    found = MarkReader(shared_memory_name).read(case.instrument)
    assert found is not None and found.live
    if case.instrument != "I":
        assert found.price == case.price and found.inexact == ()
    else:
        assert found.inexact == ("price",)
    assert (found.bid, found.ask, found.accrued_interest) == (case.bid, case.ask, case.accrued_interest)
    assert (found.quality, found.event_time, found.source_sequence) == (
        case.quality, case.event_time, case.source_sequence,
    )  # fmt: skip
    assert (found.instrument, found.currency, found.source) == (
        case.instrument,
        case.currency,
        case.source[:60],
    )
    assert found.updated_at == 77
    shown = show(shared_memory_name, case.instrument)
    assert (shown["open"], shown["read"], shown["status"], shown["raw_result"]) == ("0", "0", "0", "0")
    for name in MARKS.decimals:
        value = getattr(found, name)
        assert shown[f"{name}_exact"] == ("none" if value is None else format(value, "f"))
    assert int(shown["quality"]) == QUALITIES[case.quality]
    assert (int(shown["event_time"]), shown["instrument"]) == (case.event_time, case.instrument)
    assert (shown["source"], int(shown["partition"])) == (case.source[:60], found.partition)
    raw = [float(text) for text in shown["raw"].split()]
    for value, exact in zip(raw, (found.price, found.bid, found.ask, found.accrued_interest), strict=True):
        assert math.isnan(value) if exact is None else value == float(exact)


def test_a_handle_follows_marks_growth_and_the_end(writer: MarkWriter, shared_memory_name: str):
    written(writer, mark("X", "1"))
    writer.claim()
    reader = MarkReader(shared_memory_name)
    handle, absent = reader.slot("X"), reader.slot("Y")
    assert handle.price == 1.0 and handle.live and absent.price is None and absent.read() is None
    written(writer, mark("X", "2"), *(mark(f"I{number}", "3") for number in range(40)))
    assert handle.price == 2.0 and writer.segment.slot_count == 64
    assert len(list(reader.marks())) == 41
    writer.release(range(PARTITIONS))
    assert handle.read().status is Status.NOT_OWNED


def test_a_reader_of_positions_refuses_marks_and_the_other_way_round(
    writer: MarkWriter, shared_memory_name: str, show: Any
):
    writer.claim()
    with pytest.raises(LayoutMismatch):
        PositionReader(shared_memory_name)
    with pytest.raises(SharedMemoryError, match="expected positions of layout version 1"):
        PositionWriter(shared_memory_name, slots=16, partitions=PARTITIONS)
    positions = PositionWriter(f"{shared_memory_name}.positions", slots=16, partitions=PARTITIONS)
    try:
        assert show(f"{shared_memory_name}.positions", "X") == {"open": "3"}
    finally:
        positions.close(keep=False)


def test_the_hash_of_a_key_is_the_same_everywhere():
    assert key_hash("B1", "X") == layout.key_hash("B1", "X") == client.key_hash("B1", "X")
    assert key_hash("X") == client.key_hash("X") != key_hash("X", "")


@pytest.fixture
def stack(tmp_path: Path, shared_memory_name: str) -> Any:
    started = Stack(tmp_path / "data", 0, shared_memory_name)
    started.start()
    yield started
    started.stop()


def test_a_worker_shows_the_newest_marks_and_again_after_a_kill(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name = stack.addresses["shared_memory_marks"]
    rows = [f"X,2026-01-05T09:30:0{second}Z,1{second}" for second in (1, 3, 2)]
    file = tmp_path / "marks.csv"
    file.write_text("\n".join(["instrument,time,price", *rows]) + "\n")
    assert run(["import", str(file), "--format", "csv-marks", "--data", str(stack.data)]) == 0
    handle = MarkReader(name).slot("X")
    eventually(lambda: handle.price == 13.0)
    stack.kill()
    eventually(lambda: handle.read().status is Status.STALE)
    stack.start()
    eventually(lambda: handle.live)
    mark_now = handle.read()
    assert (mark_now.price, mark_now.quality) == (Decimal(13), "live")
    capsys.readouterr()
    assert run(["shm", "dump", "--name", name, "--json"]) == 0
    [shown] = json.loads(capsys.readouterr().out)["marks"]
    assert (shown["instrument"], shown["price"], shown["quality"], shown["status"]) == (
        "X",
        "13",
        "live",
        "live",
    )
    assert shown["event_time"] == "2026-01-05T09:30:03Z" and mark_now.event_time > MONDAY
    assert run(["shm", "stat", "--name", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["live"] is True


_WRITE = """
import sys, time
from decimal import Decimal
from connectors.shm.marks import MarkWriter
from tests.redis_support import mark
writer = MarkWriter(sys.argv[1], slots=16, partitions=4)
number, end = 0, time.monotonic() + 2
writer.write(0, mark("X", "0", bid=Decimal(0), ask=Decimal(0), accrued_interest=Decimal(0), source_sequence=0), 0)
writer.claim()
print("ready", flush=True)
while time.monotonic() < end:
    number += 1
    value = Decimal(number * (10**25 if number % 2 else 1))
    writer.write(
        0, mark("X", str(value), bid=value, ask=value, accrued_interest=value, source_sequence=number), number
    )
    writer.heartbeat()
print(number)
"""


def test_a_mark_is_never_torn(shared_memory_name: str):
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITE, shared_memory_name], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        handle = MarkReader(shared_memory_name).slot("X")
        seen = set()
        while process.poll() is None:
            raw = handle.raw()
            assert raw is not None and len(set(raw)) == 1
            found = handle.read()
            assert found is not None
            assert found.price == found.bid == found.ask == found.accrued_interest
            number = found.source_sequence
            assert found.price == number * (10**25 if number % 2 else 1) and found.updated_at == number
            seen.add(number)
        written_marks = int(process.stdout.read())
    finally:
        process.kill()
        process.communicate()
        remove(shared_memory_name)
    assert len(seen) > 100 and written_marks > 1_000
