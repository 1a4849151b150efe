"""Stock Faust on a real broker beside the positions stage, on the same fills in the same run.

One record a fill, tables and changelogs as Faust keeps them (`bench.stock_faust_app`). The worker has one core, the
broker the other. The figure is the positions stage's; the reference is stock Faust; the ratio says how many times.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench import throughput
from bench.row import Row
from bench.workload import WORKLOADS, make_fills
from connectors.kafka.local_broker import LocalBroker
from connectors.servers.process import ServerUnavailable

_FILLS = 50_000
"""Enough for a steady rate: stock Faust takes some seconds for them."""

_TOPICS = ("stock-fills", "stock-positions", "stock-stock-known-changelog", "stock-stock-held-changelog")
_SECONDS_MAX = 300


def run(count: int) -> list[Row]:
    """How many times faster than stock Faust bookings pass through positions, workload W."""
    ours = throughput.books(count)[0]
    name = "positions, W, beside stock Faust"
    try:
        stock = _stock(min(count, _FILLS))
    except ServerUnavailable as error:
        return [Row(name, None, "fills/s", note=str(error)[:200])]
    reference = min(count, _FILLS) / stock["processor"]
    note = f"stock Faust by the clock {min(count, _FILLS) / stock['wall']:,.0f}; positions {ours.note}"
    return [Row(name, ours.value, "fills/s", reference, "stock Faust", ours.cpu_us, note=note)]


def _stock(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        try:
            if len(cores) > 1:
                os.sched_setaffinity(0, {cores[0]})  # the broker inherits it
            with LocalBroker(Path(folder) / "broker", java_options=("-Xmx512m",)) as broker:
                prepare(broker.address, count)
                if len(cores) > 1:
                    os.sched_setaffinity(0, {cores[-1]})
                return measure(broker.address, Path(folder) / "worker", count)
        finally:
            if len(cores) > 1:
                os.sched_setaffinity(0, set(cores))


def prepare(address: str, count: int) -> None:
    """Append fills for stock Faust to a broker."""
    # Of topics that have just been made it says for a moment that they are not there, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(_load(address, count))


def measure(address: str, folder: Path, count: int) -> dict[str, float]:
    """Seconds by the clock and of processor time that stock Faust takes for what was prepared."""
    command = [sys.executable, "-m", "bench.stock_faust_app", address, str(folder), str(count)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    if found.returncode or not found.stdout.strip():
        raise RuntimeError(
            f"expected stock Faust to finish, found {found.returncode}: {found.stderr[-2_000:]}"
        )
    measured: dict[str, float] = json.loads(found.stdout.strip().splitlines()[-1])
    return measured


async def _load(address: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        # Before the worker starts: Faust's own creation of changelogs fails in some first starts.
        await admin.create_topics([NewTopic(name, 4, 1) for name in _TOPICS])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, linger_ms=20)
    await producer.start()
    try:
        for fill in make_fills(WORKLOADS["W"], count):
            await producer.send(_TOPICS[0], _record(fill), key=fill.book.encode())
    finally:
        await producer.stop()


def _record(fill: Any) -> bytes:
    return json.dumps(
        {
            "trade_id": fill.trade_id,
            "book": fill.book,
            "instrument": fill.instrument,
            "side": fill.side.value,
            "quantity": str(fill.quantity),
            "price": str(fill.price),
            "executed_at": fill.executed_at,
        }
    ).encode()
