"""kill -9 at random moments: nothing is lost, nothing is doubled, and the outputs are those of a clean run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from agents import positions, trade_capture
from schemas import topics
from tests.faults import stages_worker
from tests.support import Books

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = (
    topics.BOOKINGS,
    topics.POSITIONS,
    topics.REJECTIONS,
    topics.FILL_DEAD_LETTERS,
    topics.BOOKING_DEAD_LETTERS,
)


def start(folder: Path, seed: int, fills: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "tests.faults.stages_worker", str(folder), str(seed), str(fills)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def outcome(folder: Path) -> dict:
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        streams = {topic.name: books.event_bytes(topic) for topic in OUTPUTS}
        return {
            "hash": books.hash(),
            "capture": books.counts(trade_capture.NAME),
            "positions": books.counts(positions.NAME),
            "fills": len(books.event_bytes(topics.FILLS)),
            "streams": {name: sorted(found) if "dlq" in name else found for name, found in streams.items()},
        }


def kill_and_compare(scratch: Path, *, seed: int, fills: int, kills: int) -> int:
    """Run the worker, kill it `kills` times, and hold what it leaves against a clean run; returns the kills that hit."""
    choose = random.Random(seed)
    hit = 0
    worker = start(scratch / "killed", seed, fills)
    try:
        for _ in range(kills):
            # Most moments are counted in rounds, so that a fast machine is killed as often as a slow one; the
            # others fall into loading and recovery.
            assert worker.stdout is not None
            for _ in range(choose.randint(0, 4) if choose.random() < 0.8 else 0):
                worker.stdout.readline()
            try:
                worker.wait(choose.uniform(0.0, 0.05) if choose.random() < 0.8 else choose.uniform(0.1, 0.6))
            except subprocess.TimeoutExpired:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
                hit += 1
            worker.stdout.close()
            worker = start(scratch / "killed", seed, fills)
        assert worker.wait(120) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()
    stages_worker.run(scratch / "clean", seed, fills)
    killed, clean = outcome(scratch / "killed"), outcome(scratch / "clean")
    assert killed["fills"] == fills
    assert killed["capture"].read == fills
    for name in ("capture", "positions", "hash"):
        assert killed[name] == clean[name], name
    for name, found in killed["streams"].items():
        identities = [msgspec.json.decode(event)["event_id"] for event in found]
        assert len(set(identities)) == len(identities), f"{name}: an event twice"
        assert found == clean["streams"][name], name
    capture = killed["capture"]
    assert capture.applied + capture.duplicates + capture.refused + capture.waiting == fills
    assert capture.applied > fills * 0.9 and killed["positions"].refused == 0
    return hit


def test_ten_kills_in_50_000_fills(tmp_path: Path):
    hit = kill_and_compare(tmp_path, seed=20261125, fills=50_000, kills=10)
    assert hit >= 8


@pytest.mark.soak
def test_many_kills(tmp_path: Path):
    kills = int(os.environ.get("PKS_SOAK_KILLS", "100"))
    ends = time.monotonic() + 60 * float(os.environ.get("PKS_SOAK_MINUTES", "10"))
    hit = number = 0
    while hit < kills and time.monotonic() < ends:
        number += 1
        folder = tmp_path / str(number)
        hit += kill_and_compare(folder, seed=number, fills=100_000, kills=min(30, kills))
    assert hit > 0
