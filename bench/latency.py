"""How long a fill takes from its append to a slot that another process can read.

A worker (`pks up`) on one core; on the other one process, which both sends fills by a fixed schedule through the
control socket and watches a slot. Latency counts from the moment the schedule says, not from when the sender got
round to it, so a stall shows in every fill that it delayed (no coordinated omission). Watched are the fills of one
position; they are every tenth, among fills of 10,000 other positions.
"""

import contextlib
import gc
import os
import random
import socket
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.row import Row
from clients.python.pks_client import PositionReader
from connectors.shm.writer import remove
from schemas import events, topics
from schemas.frames import wire
from schemas.times import Nanoseconds
from schemas.units import Side
from topology.control.entry import records_of
from topology.control.protocol import LENGTH, ControlClient, Request, encode, socket_path
from topology.demo.stack import Stack

RATES = (1_000, 10_000, 50_000)
"""Fills a second."""

SECONDS = 4.0
WARM_SECONDS = 1.5

_WATCHED = ("WATCHED", "X")
_WATCH_EVERY = 10
_BATCH_SECONDS = 0.0001
_ANSWERS_MAX = 400
_TOGETHER_MAX = 50
_ROUND_TRIPS = 500
_FillEvent = wire(events.FillEvent)


def _fills(number: int, first: int) -> list[Any]:
    chance = random.Random(first)
    found = []
    for place in range(first, first + number):
        watched = place % _WATCH_EVERY == 0
        book, instrument = _WATCHED if watched else (f"B{chance.randrange(200)}", f"I{chance.randrange(50)}")
        found.append(
            _FillEvent(
                event_id=f"bench-{place}",
                trade_id=f"bench-{place}",
                book=book,
                instrument=instrument,
                side=chance.choice((Side.BUY, Side.SELL)),
                quantity=Decimal(chance.randrange(1, 99_999)).scaleb(-2),
                price=Decimal(chance.randrange(9_000, 10_999)).scaleb(-2),
                executed_at=Nanoseconds(1_767_603_600_000_000_000 + place * 1_000),
                source_sequence=place,
                source="bench",
            )
        )
    return found


class Schedule:
    """Requests as they go over the socket, with the moment at which each is due, made before the clock runs."""

    def __init__(self, rate: int, seconds: float, first: int, partitions: int) -> None:
        number = int(rate * seconds)
        batch = max(1, round(rate * _BATCH_SECONDS))
        fills = _fills(number, first)
        self.requests: deque[tuple[float, bytes, int]] = deque()
        for place in range(0, number, batch):
            part = fills[place : place + batch]
            records = records_of(topics.FILLS, part, topics.fill_key, partitions)
            message = encode(Request("append", records=records, durable=False))
            watched = sum(1 for fill in part if fill.book == _WATCHED[0])
            due = (place + len(part) - 1) / rate
            self.requests.append((due, LENGTH.pack(len(message)) + message, watched))


class _Sender:
    """Sends what is due, together where several are, and counts the answers; never waits for the worker."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket_path(folder) as path:
            self._socket.connect(path)
        self._socket.setblocking(False)
        self._unsent = b""
        self._received = bytearray()
        self.unanswered = 0

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages as far as the socket takes them now."""
        self.unanswered += len(messages)
        self._unsent += b"".join(messages)
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    @property
    def has_room(self) -> bool:
        """Whether all was sent, and the worker is not too far behind with its answers."""
        return not self._unsent and self.unanswered < _ANSWERS_MAX

    def take_answers(self) -> None:
        """Count the answers that have come; send on what the socket did not take."""
        if self._unsent:
            self.send(())
        with contextlib.suppress(BlockingIOError):
            self._received += self._socket.recv(1 << 18)
        start = 0
        while len(self._received) - start >= LENGTH.size:
            end = start + LENGTH.size + LENGTH.unpack_from(self._received, start)[0]
            if end > len(self._received):
                break
            start = end
            self.unanswered -= 1
        del self._received[:start]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@dataclass(slots=True)
class Found:
    """What a run gave, in milliseconds: of each watched fill, and how late each request was sent."""

    latencies: list[float]
    sent_late: list[float]


def send_and_watch(folder: Path, reader: PositionReader, schedule: Schedule) -> Found:
    """Send by schedule and watch."""
    handle = reader.slot(*_WATCHED)
    slot = handle.read()
    revision = seen = 0 if slot is None else slot.revision
    due_of_revision: deque[tuple[int, float]] = deque()
    found = Found([], [])
    sender = _Sender(folder)
    remaining = schedule.requests
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        deadline = started + remaining[-1][0] + 30.0
        while remaining or due_of_revision or sender.unanswered:
            now = time.perf_counter()
            if remaining and now - started >= remaining[0][0] and sender.has_room:
                messages: list[bytes] = []
                while remaining and now - started >= remaining[0][0] and len(messages) < _TOGETHER_MAX:
                    due, message, watched = remaining.popleft()
                    messages.append(message)
                    found.sent_late.append((now - started - due) * 1e3)
                    for _ in range(watched):
                        revision += 1
                        due_of_revision.append((revision, started + due))
                sender.send(messages)
            elif sender.unanswered:
                sender.take_answers()
            position = handle.read() if due_of_revision else None
            if position is not None and position.revision > seen:
                at = time.perf_counter()
                seen = position.revision
                while due_of_revision and due_of_revision[0][0] <= seen:
                    found.latencies.append((at - due_of_revision.popleft()[1]) * 1e3)
            if now > deadline:
                raise RuntimeError(f"expected every fill to show, found {len(due_of_revision)} that did not")
    finally:
        gc.enable()
        sender.close()
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _round_trip(client: ControlClient) -> float:
    """The reference: p50 of asking the worker something on the same socket, in milliseconds."""
    found = []
    for _ in range(_ROUND_TRIPS):
        started = time.perf_counter()
        client.ask(Request("status"))
        found.append((time.perf_counter() - started) * 1e3)
    return quantile(found, 0.5)


def _processor_seconds(process: int) -> float:
    """What a process has used of the processor, in all its threads."""
    # After the name, which is in brackets and may hold anything; user and system time are fields 14 and 15.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rows(rate: int, found: Sequence[float], reference: float, work: str) -> list[Row]:
    return [
        Row(
            name=f"fill appended -> slot readable, {rate // 1_000}k/s, p{share * 100:g}",
            value=quantile(found, share),
            unit="ms",
            reference=reference,
            reference_name="round trip on the same socket, p50",
            higher_is_better=False,
            note=f"of {len(found):,} watched fills; longest {max(found):.2f} ms; {work}",
        )
        for share in (0.5, 0.99)
    ]


def run() -> list[Row]:
    """p50 and p99 for each rate, in milliseconds."""
    cores = sorted(os.sched_getaffinity(0))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pks-bench-") as folder:
        stack = Stack(Path(folder) / "data", 0, f"/pks-bench-{os.getpid()}")
        stack.start()
        try:
            process = int(stack.addresses["process"])
            if len(cores) > 1:
                _pin(process, cores[0])
                os.sched_setaffinity(0, {cores[1]})
            client = ControlClient(stack.data)
            partitions = int(client.ask(Request("status")).document["partitions"])
            reader = PositionReader(stack.shared_memory)
            send_and_watch(stack.data, reader, Schedule(2_000, WARM_SECONDS, 0, partitions))
            first = 1_000_000
            for rate in RATES:
                schedule = Schedule(rate, SECONDS, first, partitions)
                began, used = time.perf_counter(), _processor_seconds(process)
                found = send_and_watch(stack.data, reader, schedule)
                used, took = _processor_seconds(process) - used, time.perf_counter() - began
                work = (
                    f"worker {used / took:.0%} busy, {used / (rate * SECONDS) * 1e6:.0f} us of it a fill; "
                    f"sent late by {quantile(found.sent_late, 0.99):.2f} ms at p99, counted in"
                )
                first += 10_000_000
                rows += _rows(rate, found.latencies, _round_trip(client), work)
            client.close()
        finally:
            os.sched_setaffinity(0, set(cores))
            stack.stop()
            # A worker leaves its last state readable.
            remove(stack.shared_memory)
    return rows


def _pin(process: int, core: int) -> None:
    for task in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})
