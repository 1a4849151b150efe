"""kill -9 in the middle of a batch of marks: every change of a position is told once, and what was told last is what is."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from agents import valuation
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from schemas.frames import encode_frames
from schemas.murmur2 import partition_of_key
from schemas.valuation import single_events
from tests.faults.valuation_worker import PARTITIONS, main
from tests.valuation_support import NOON, book, mark, option, position, rate
from topology.documents.valuations import valuation_documents
from topology.log_reading import read_events
from topology.stages import create_topics

EVENTS, KILLS, UNDERLYINGS = 6_000, 4, 40
FIGURES = ("quantity", "market_value", "unrealised_pnl", "mark", "fx_rate", "reason", "delta", "revision")


def feed(choose: random.Random) -> list[tuple[str, Any]]:
    """Updates of positions and marks, each with its key; some positions are options on the marked ones."""
    found: list[tuple[str, Any]] = []
    revisions: Counter[tuple[str, str]] = Counter()
    for number in range(EVENTS):
        underlying = f"U{choose.randrange(UNDERLYINGS)}"
        if choose.random() < 0.3:
            instrument = choose.choice((underlying, f"{underlying}C"))
            name = f"B{choose.randrange(3)}"
            revisions[name, instrument] += 1
            update = position(
                instrument, name, str(choose.randrange(-5, 6)), cost="7", revision=revisions[name, instrument]
            )
            found.append((underlying, update))
        else:
            found.append((underlying, mark(underlying, str(choose.randrange(50, 150)), at=NOON + number)))
    return found


def fill(folder: Path, events: list[tuple[str, Any]]) -> None:
    """Definitions, and the events in small records."""
    with closing(EmbeddedLog.owner(folder, sync="os")) as log:
        create_topics(log, [valuation.stage()], PARTITIONS)
        transaction = log.transaction()
        definitions = {
            topics.INSTRUMENTS: [option(f"U{n}C", f"U{n}", "100") for n in range(UNDERLYINGS)],
            topics.BOOKS: [book(f"B{n}", "EUR") for n in range(3)],
            topics.FX_RATES: [rate("EUR/USD", "1.25")],
        }
        for topic, some in definitions.items():
            for frame in encode_frames(some):
                transaction.append(topic.name, 0, None, frame)
        for start in range(0, len(events), 10):
            parts: dict[int, list[Any]] = {}
            for key, event in events[start : start + 10]:
                parts.setdefault(partition_of_key(key.encode(), PARTITIONS), []).append(event)
            for partition, some in parts.items():
                transaction.append(topics.VALUATION_INPUT.name, partition, None, encode_frames(some)[0])
        transaction.commit()


def outcome(folder: Path) -> tuple[dict, dict, Counter[str]]:
    """What each position is worth by the tables, by what was told last, and how often each change was told."""
    told: dict[tuple[str, str], Any] = {}
    changes: Counter[str] = Counter()
    with closing(EmbeddedLog.reader(folder)) as log:
        for partition in range(PARTITIONS):
            for _, frame in read_events(log, topics.VALUATIONS, partition):
                changes.update(change.trade_id for change in frame.changes)
                told.update({(row.book, row.instrument): row for row in single_events(frame)})
        shown = {(each["book"], each["instrument"]): each for each in valuation_documents(log, "USD")}
    assert shown.keys() == told.keys()
    return shown, told, changes


def test_marks_and_positions_after_kills_in_the_middle(tmp_path: Path):
    choose = random.Random(20260105)
    events = feed(choose)
    for name in ("clean", "killed"):
        fill(tmp_path / name, events)
    main(tmp_path / "clean")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = 0
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.faults.valuation_worker", str(tmp_path / "killed")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as worker:
            assert worker.stdout is not None and worker.stdout.readline() == b"ready\n"
            time.sleep(choose.uniform(0.0, 0.25))
            killed += worker.poll() is None
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    assert killed > 0
    main(tmp_path / "killed")
    (clean, _, _), (shown, told, changes) = outcome(tmp_path / "clean"), outcome(tmp_path / "killed")
    updates = [event.trade_id for _, event in events if hasattr(event, "trade_id")]
    assert changes == Counter(updates), "each change is told once"
    assert len(updates) > 1_500
    for key, figures in shown.items():
        for name in FIGURES:
            assert figures[name] == clean[key][name], (key, name)
            last = getattr(told[key], name)
            expected = figures[name]
            assert last == (Decimal(expected) if isinstance(last, Decimal) else expected), (key, name)
