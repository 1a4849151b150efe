"""Shared memory: nanoseconds of a slot's write, and of reads in Python and C, each against its bare reference.

References, in the same run: in Python one `struct.unpack_from` of the same bytes (no checks, no objects); in C a plain
copy of the slot. `run()` gives one row a figure.
"""

import os
import shutil
import subprocess
import tempfile
import timeit
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from agents.open_position import OpenPosition
from bench.row import Row
from clients.python.pks_client import PositionReader
from clients.python.pks_client.layout import SLOT
from connectors.shm.writer import PositionWriter, remove
from domain.lots.matching import apply
from domain.lots.position import Terms, Trade
from schemas.numbers import exact_arithmetic
from topology.shared_memory import PositionsPublisher

BOOK, INSTRUMENT = "BENCH", "BTCUSDT"
ROUNDS, CALLS = 500, 200
C_CALLS = 1_000_000
FIGURES = tuple(map(Decimal, ("12.50", "64250.125", "803126.5625", "-1520.75", "-1533.10", "12.35")))
_BARE, _COPY = "one struct.unpack_from of the slot", "plain copy of the slot"
_HEADER = Path(__file__).parents[1] / "clients" / "c"


def _nanoseconds(call: Callable[[], Any]) -> float:
    """The best of some rounds, less an empty call."""

    def empty() -> None:
        return None

    def best(function: Callable[[], Any]) -> float:
        return min(timeit.repeat(function, number=CALLS, repeat=ROUNDS)) / CALLS * 1e9

    return max(best(call) - best(empty), 0.0)


def _row(name: str, value: float | None, reference: float | None, reference_name: str, note: str = "") -> Row:
    return Row(
        name=name,
        value=value,
        unit="ns",
        reference=reference,
        reference_name="" if reference is None else reference_name,
        higher_is_better=False,
        note=note,
    )


def run() -> list[Row]:
    """A row for each kind of read and write."""
    name = f"/pks-bench-{os.getpid()}"
    writer = PositionWriter(name, slots=1024, partitions=1)
    try:
        return [*_python_rows(name, writer), *_c_rows(name, writer), _publisher_row(f"{name}-publisher")]
    finally:
        writer.close(keep=False)
        remove(name)


def _python_rows(name: str, writer: PositionWriter) -> list[Row]:
    key = (BOOK, INSTRUMENT)
    for number in range(500):
        writer.write((BOOK, f"I{number}"), 0, "USDT", FIGURES, (1, number), (number, number))
    writer.write(key, 0, "USDT", FIGURES, (3, 7), (1, 2))
    writer.claim()
    # Long enough for all rounds: what is measured is a live read.
    handle = PositionReader(name, stale_after_seconds=600).slot(*key)
    position = handle.read()
    assert position is not None and position.live

    def all_six() -> None:
        found = handle.read()
        assert found is not None
        _ = (
            found.quantity,
            found.average_price,
            found.cost_basis,
            found.realised_pnl,
            found.net_realised_pnl,
            found.fees,
        )

    def one() -> Decimal:
        found = handle.read()
        assert found is not None
        return found.quantity

    segment, place = handle._map, handle._start - 8
    bare = _nanoseconds(lambda: SLOT.unpack_from(segment, place))
    return [
        _row("python: six float64 (raw)", _nanoseconds(handle.raw), bare, _BARE),
        _row("python: whole slot, status", _nanoseconds(handle.read), bare, _BARE),
        _row("python: whole slot, one exact decimal", _nanoseconds(one), bare, _BARE),
        _row("python: whole slot, six exact decimals", _nanoseconds(all_six), bare, _BARE),
        _row("python: live", _nanoseconds(lambda: handle.live), bare, _BARE),
        _row(
            "python: write of a slot",
            _nanoseconds(lambda: writer.write(key, 0, "USDT", FIGURES, (3, 7), (1, 2))),
            bare,
            _BARE,
        ),
    ]


def _c_rows(name: str, writer: PositionWriter) -> list[Row]:
    names = ("c: six float64 (raw)", "c: whole slot, status")
    compiler = shutil.which("cc")
    if compiler is None:
        return [_row(each, None, None, "", "no C compiler `cc`") for each in names]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "shared_memory"
        source = Path(__file__).with_suffix(".c")
        options = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-I", str(_HEADER)]
        subprocess.run([compiler, *options, str(source), "-o", str(program)], check=True)
        arguments = [str(program), name, BOOK, INSTRUMENT, str(C_CALLS)]
        writer.heartbeat()
        found = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    raw, whole, copied = map(float, found[:3])
    return [
        _row(names[0], raw, copied, _COPY),
        _row(names[1], whole, copied, _COPY, "with the clock for the heartbeat"),
    ]


def _publisher_row(name: str) -> Row:
    """What the observer adds to a step for each position that it touched: figures from lots, then the slot."""
    publisher = PositionsPublisher(name, 1024, 1)
    try:
        with exact_arithmetic():
            opened = OpenPosition(BOOK, INSTRUMENT, Terms(currency="USDT"))
            for number in range(1, 4):
                trade = Trade(f"t{number}", number, number, Decimal("1.5"), Decimal("64250.125") + number)
                apply(opened.position, trade)
            opened.last = (3, 3, "t3")
            value = _nanoseconds(lambda: publisher.write_touched(opened, 0, 1))
        return _row("python: observer, one touched position of three lots", value, None, "")
    finally:
        publisher.writer.close(keep=False)
        remove(name)
