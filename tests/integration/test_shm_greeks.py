"""Greeks in shared memory: the C header and the Python reader against what is written, and against what a worker values."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from agents import valuation
from clients.python.pks_client import GreeksReader, LayoutMismatch, MarkReader, Status
from clients.python.pks_client import layout as client
from connectors.shm.greeks import GREEKS, GreeksWriter, Shown
from schemas.numbers import exact_arithmetic
from tests.integration.c_programs import compile_c, output
from tests.stage_support import StageInMemory
from tests.support import eventually
from tests.valuation_support import NOON, book, mark, option, position, rate
from topology.cli.application import run
from topology.demo.stack import Stack
from topology.greeks_publisher import GreeksPublisher

PARTITIONS = 4
FIGURES = tuple(float(number) / 4 for number in range(1, 12))


@pytest.fixture
def writer(shared_memory_name: str) -> Any:
    opened = GreeksWriter(shared_memory_name, slots=16, partitions=PARTITIONS)
    yield opened
    opened.close(keep=False)


def test_the_places_of_version_1_never_move(tmp_path: Path):
    lines = [
        f'printf("%zu %zu\\n", offsetof(pks_greeks_slot, {name}), sizeof(((pks_greeks_slot *)0)->{name}));'
        for name in GREEKS.members
    ]
    lines.append('printf("%zu 0\\n", sizeof(pks_greeks_slot));')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_GREEKS_DIRECTORY_MAGIC);')
    lines.append('printf("%llu 0\\n", (unsigned long long)PKS_GREEKS_SEGMENT_MAGIC);')
    source = tmp_path / "offsets.c"
    source.write_text('#include "pks_greeks.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
    found = [
        tuple(map(int, line.split())) for line in output(compile_c(source, tmp_path / "offsets")).splitlines()
    ]
    expected = [(member.offset, member.size) for member in GREEKS.members.values()]
    assert found == [*expected, (GREEKS.size, 0), (GREEKS.directory_magic, 0), (GREEKS.segment_magic, 0)]
    form = client.GREEKS
    assert (form.size, form.slot.size) == (GREEKS.size, 192 - 8 - GREEKS.reserved) == (192, 184)
    assert (form.directory_magic, form.segment_magic) == (GREEKS.directory_magic, GREEKS.segment_magic)
    assert GREEKS.floats == client.GREEK_FIGURES
    assert {name: GREEKS.members[name].offset for name in ("market_value", "owner_epoch", "book")} == {
        "market_value": 16,
        "owner_epoch": 104,
        "book": 152,
    }


def test_both_readers_read_what_was_written(writer: GreeksWriter, shared_memory_name: str, tmp_path: Path):
    writer.put(("B1", "Ω"), Shown(2, FIGURES, 1, 0, 2, NOON, 77, "USD", "X"))
    writer.put(("", "book:B1"), Shown(0, (math.nan,) * 11, 3, 3, 0, -1, 78, "EUR", ""))
    program = compile_c("show_greeks.c", tmp_path / "show_greeks")
    writer.claim()
    reader = GreeksReader(shared_memory_name)
    for key, handle in ((("B1", "Ω"), reader.slot("B1", "Ω")), (("", "book:B1"), reader.book("B1"))):
        writer.heartbeat()
        found = handle.read()
        assert found is not None and found.live
        shown = dict(
            line.split(" ", 1)
            for line in output(program, shared_memory_name, *key).splitlines()
            if " " in line
        )
        assert (shown["open"], shown["read"], shown["status"], shown["raw_result"]) == ("0", "0", "0", "0")
        raw = [float(text) for text in shown["raw"].split()]
        assert str(raw) == str(list(found.raw)) == str(list(handle.raw()))
        assert (found.book, found.instrument) == key
        for name in ("positions", "unvalued", "event_time", "updated_at", "partition"):
            assert int(shown[name]) == getattr(found, name)
    sum_of = reader.book("B1").read()
    assert (sum_of.positions, sum_of.unvalued, sum_of.quality, sum_of.currency) == (3, 3, "", "EUR")
    one = reader.slot("B1", "Ω").read()
    assert (one.raw.market_value, one.raw.spot, one.quality, one.underlying) == (0.25, 2.75, "stale", "X")
    assert len(list(reader.slots())) == 2
    assert reader.desk("none").read() is None and reader.underlying("none").raw() is None
    with pytest.raises(LayoutMismatch):
        MarkReader(shared_memory_name)


class Runner:
    """What a publisher asks of the runner of a stage in memory."""

    stopped = None
    partition = 0

    def __init__(self, stage: StageInMemory) -> None:
        self.stage, self.state = stage.stage, stage.state


class Log:
    reopened, sequence, durable_sequence = 0, 1, 1


def test_positions_and_sums_are_those_of_the_stage(shared_memory_name: str):
    stage = StageInMemory(valuation.stage())
    stage.define(
        option("C", "X", "100"), book("B", "EUR", "d1"), book("E", "EUR", "d1"), rate("EUR/USD", "2")
    )
    publisher = GreeksPublisher(shared_memory_name, 16, 1, "USD")
    try:
        stage.step(position("C", multiplier="10"), position("X", cost="900"), mark(price="100"))
        runner = Runner(stage)
        publisher.start([runner], Log())
        publisher.beat([runner], Log())
        reader = GreeksReader(shared_memory_name)
        share, call = reader.slot("B", "X").read(), reader.slot("B", "C").read()
        assert (share.raw.market_value, share.raw.unrealised_pnl, share.raw.delta_value) == (
            1000.0,
            100.0,
            1000.0,
        )
        assert share.live and share.quality == "live" and math.isnan(share.raw.vega)
        whole = reader.book("B").read()
        assert whole.raw.delta == pytest.approx(share.raw.delta + call.raw.delta)
        assert whole.raw.vega == call.raw.vega > 0 and math.isnan(whole.raw.spot)
        assert (whole.positions, whole.unvalued, whole.currency) == (2, 0, "USD")
        step = stage.step(
            position("X", book="E", quantity="3", currency="EUR"),
            position("N", book="E", currency="JPY"),
            mark(price="110", at=NOON + 1),
        )

        class Report:
            touched, sequence = step.touched, 2

        publisher(runner, Report())
        publisher._sums_due = 0.0
        publisher.beat([runner], Log())
        assert reader.slot("B", "X").raw().market_value == 1100.0
        desk = reader.desk("d1").read()
        assert (desk.positions, desk.unvalued) == (4, 1)
        expected = 1100.0 + 660.0 + reader.slot("B", "C").raw().market_value
        assert desk.raw.market_value == pytest.approx(expected)
        assert reader.underlying("X").read().raw.market_value == pytest.approx(expected)
        assert reader.underlying("N").read().unvalued == 1
    finally:
        publisher.writer.close(keep=False)


def test_many_positions_take_several_beats(shared_memory_name: str, monkeypatch):
    monkeypatch.setattr("topology.greeks_publisher.SLOTS_A_BEAT", 10)
    stage = StageInMemory(valuation.stage())
    publisher = GreeksPublisher(shared_memory_name, 16, 1, "USD")
    try:
        runner = Runner(stage)
        publisher.start([runner], Log())
        with exact_arithmetic():
            step = stage.step(*(position("X", f"B{number}") for number in range(25)), mark(price="3"))

        class Report:
            touched, sequence = step.touched, 2

        publisher(runner, Report())
        counts = []
        for _ in range(4):
            publisher.beat([runner], Log())
            counts.append(sum(slot.book != "" for slot in GreeksReader(shared_memory_name).slots()))
        assert counts == [10, 20, 25, 25]
    finally:
        publisher.writer.close(keep=False)


@pytest.fixture
def stack(tmp_path: Path, shared_memory_name: str) -> Any:
    started = Stack(tmp_path / "data", 0, shared_memory_name)
    started.start()
    yield started
    started.stop()


def test_a_worker_shows_what_it_values_and_again_after_a_kill(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name = stack.addresses["shared_memory_greeks"]
    fills, marks = tmp_path / "fills.csv", tmp_path / "marks.csv"
    fills.write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t1,B1,X,BUY,100,10,USD,2026-01-05T09:30:00Z\n"
    )
    marks.write_text("instrument,time,price\nX,2026-01-05T09:30:01Z,11\n")
    for path, given in ((fills, "canonical"), (marks, "csv-marks")):
        assert run(["import", str(path), "--format", given, "--data", str(stack.data)]) == 0
    reader = GreeksReader(name)
    handle = reader.slot("B1", "X")
    eventually(lambda: (raw := handle.raw()) is not None and raw.market_value == 1100.0)
    stack.kill()
    eventually(lambda: handle.read().status is Status.STALE)
    stack.start()
    eventually(lambda: handle.live)
    assert handle.raw().unrealised_pnl == 100.0
    eventually(lambda: (found := reader.book("B1").read()) is not None and found.live)
    capsys.readouterr()
    assert run(["shm", "dump", "--name", name, "--json"]) == 0
    shown = {
        (each["book"], each["instrument"]): each for each in json.loads(capsys.readouterr().out)["greeks"]
    }
    assert shown["B1", "X"]["delta"] == 100.0 and shown["B1", "X"]["vega"] is None
    assert shown["", "book:B1"]["market_value"] == 1100.0
    assert run(["shm", "dump", "--name", name]) == 0
    assert "book:B1" in capsys.readouterr().out
