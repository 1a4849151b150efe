"""More than the stages can take: senders are slowed by rule, memory and lag keep to their bounds, and it passes."""

import statistics
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults import stages_worker
from tests.faults.planted_up import HOLD
from tests.faults.up_support import Watch, planted, request_of, running, settle
from tests.support import MONDAY, SECOND, Books, eventually, fill, soak_minutes
from topology.control.protocol import LENGTH, ControlClient, ControlError, Request, encode
from topology.control.server import AHEAD_BYTES_MAX

FRAME_FILLS = 200
SENDERS = 4
SOCKET_BYTES = 2 * 1024 * 1024
"""More than the kernel and the loop hold of what was sent and not yet taken."""

RESIDENT_KILOBYTES_MAX = 450_000
"""`pks up` starts with 86 MB; the rest is RocksDB's write buffers, 4 of 64 MB at most."""


class Template:
    """Requests that are made by replacing digits in one: a sender costs little beside what it feeds."""

    TURN, SECONDS = b"@@@@@@", b"%d" % (MONDAY // SECOND)

    def __init__(self, sender: str) -> None:
        self.bytes = encode(
            request_of(
                [
                    fill(
                        f"s{sender}.@@@@@@.{number}",
                        1 if number % 2 else -1,
                        book=f"B{sender}.{number % 5}",
                        source_sequence=number,
                        event_id=f"e{sender}.@@@@@@.{number}",
                    )
                    for number in range(FRAME_FILLS)
                ]
            )
        )

    def message(self, turn: int) -> bytes:
        """The request of a turn, as it goes over the socket."""
        found = self.bytes.replace(self.TURN, b"%06d" % turn)
        found = found.replace(self.SECONDS, b"%d" % (int(self.SECONDS) + turn))
        return LENGTH.pack(len(found)) + found


class Flood:
    """Senders that send ahead of their answers as fast as they are let."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ending = threading.Event()
        self.acknowledged = [0] * SENDERS
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def _send(self, number: int) -> None:
        client, template = ControlClient(self._folder), Template(str(number))
        sent = 0
        while not self._ending.is_set() or self.acknowledged[number] < sent:
            if not self._ending.is_set():
                client._socket.sendall(template.message(sent))
                sent += 1
            while self.acknowledged[number] < sent and (self._ending.is_set() or client.answered()):
                client.receive()
                self.acknowledged[number] += 1
        client.close()

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def held(folder: Path):
    """The planted defect holds."""
    (folder / HOLD).touch()
    try:
        yield
    finally:
        (folder / HOLD).unlink()


def send_until_held(client: ControlClient, messages: Any, bytes_max: int) -> tuple[int, int]:
    """Send until nothing more is taken for a second; how many messages went whole, and how many bytes."""
    client._socket.settimeout(1.0)
    sent = 0
    for whole, message in enumerate(messages):
        left = memoryview(message)
        while left:
            try:
                taken = client._socket.send(left)
            except TimeoutError:
                client._socket.settimeout(60.0)
                client._rest = bytes(left)
                return whole, sent
            left, sent = left[taken:], sent + taken
        if sent > bytes_max:
            raise AssertionError(f"expected to be held before {bytes_max} bytes, found {sent} taken")
    raise AssertionError("expected to be held, found every message taken")


def test_a_flood_is_served_in_bounded_memory_and_leaves_no_lag(tmp_path: Path):
    folder = tmp_path / "data"
    with running(folder, PKS_QUEUE_RECORDS_MAX="50") as process:
        watch = Watch(process.pid, folder)
        resident, lags = [], []
        with Flood(folder) as flood:
            for wanted in range(50, 450, 50):
                eventually(lambda wanted=wanted: sum(flood.acknowledged) >= wanted, 60)
                resident.append(watch.resident_kilobytes())
                lags += watch.lags_of_books().values()
        assert max(resident) < RESIDENT_KILOBYTES_MAX
        # Each sender may have had what one read of its socket gives appended on top of the bound.
        assert max(lags) <= 50 + SENDERS
        # Nobody waits for what hangs on the books, and it comes after them.
        eventually(lambda: not any(watch.lags().values()), 60)
        client = ControlClient(folder)
        client.ask(request_of([fill("after", book="AFTER")]))
        settle(client)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.counts().applied == FRAME_FILLS * sum(flood.acknowledged) + 1
        assert books.position("AFTER").quantity == 10


def test_a_sender_is_held_while_the_disk_syncs_nothing(tmp_path: Path):
    folder, template = tmp_path / "data", Template("0")
    with running(folder, command=planted("held-disk")) as process:
        client = ControlClient(folder)
        with held(folder):
            messages = (template.message(turn) for turn in range(10_000))
            whole, sent = send_until_held(client, messages, 3 * AHEAD_BYTES_MAX)
            assert whole > 1 and sent < AHEAD_BYTES_MAX + SOCKET_BYTES
            assert not client.answered()
        client._socket.sendall(client._rest)
        for _ in range(whole + 1):
            client.receive()
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        books.run()
        assert books.counts().applied == FRAME_FILLS * (whole + 1)


def ask_until_held(client: ControlClient, number: int) -> int:
    """Append one fill after the other until one gets no answer within the client's time-out; which one that is."""
    for turn in range(number):
        try:
            client.ask(request_of([fill(f"t{turn}", at=turn)]))
        except ControlError:
            return turn
    raise AssertionError(f"expected to be held, found {number} appends answered")


def test_senders_are_held_by_the_lag_of_a_stage_and_go_on_with_it(tmp_path: Path):
    folder, bound = tmp_path / "data", 10
    with running(folder, command=planted("held-stage"), PKS_QUEUE_RECORDS_MAX=str(bound)) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder, timeout_seconds=1.0)
        with held(folder):
            asked = ask_until_held(client, 5 * bound)
            # One record of input is one of bookings; the one that waits is not in the log.
            assert watch.lags_of_books() == {"trade_capture": 0, "positions": bound + 1}
            assert asked == bound + 1
        client.close()
        eventually(lambda: not any(watch.lags().values()))
        process.terminate()
        assert process.wait(30) == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        books.run()
        assert books.position().quantity == 10 * books.counts().applied >= 10 * asked


def test_a_client_that_reads_no_answers_is_not_read(tmp_path: Path):
    folder = tmp_path / "data"
    sources = [f"source {number} {'x' * 80}" for number in range(100)]
    message = encode(Request("counts", sources=sources))
    with running(folder) as process:
        client = ControlClient(folder)
        messages = (LENGTH.pack(len(message)) + message for _ in range(100_000))
        whole, sent = send_until_held(client, messages, 3 * AHEAD_BYTES_MAX)
        assert sent < AHEAD_BYTES_MAX + SOCKET_BYTES
        for _ in range(whole):
            assert len(client.receive().document) == len(sources)
        client._socket.sendall(client._rest)
        assert len(client.receive().document) == len(sources)
        client.close()
        process.terminate()
        assert process.wait(30) == 0


def seconds_to_apply(client: ControlClient, name: str, number: int) -> float:
    """The 99th percentile of the time from an append to its being applied."""
    found = []
    for turn in range(number):
        started = time.perf_counter()
        client.ask(request_of([fill(f"{name}{turn}", book=f"{name}{turn % 7}", at=turn)]))
        settle(client)
        found.append(time.perf_counter() - started)
    return statistics.quantiles(found, n=100)[98]


@pytest.mark.soak
def test_a_minute_of_flood_keeps_memory_flat_and_latency_comes_back(tmp_path: Path):
    folder = tmp_path / "data"
    seconds = min(60.0, 60 * soak_minutes())
    with running(folder) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        seconds_to_apply(client, "warm", 500)
        before = seconds_to_apply(client, "before", 1_000)
        resident, lags = [], []
        with Flood(folder) as flood:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                lags += watch.lags_of_books().values()
                resident.append(watch.resident_kilobytes())
        settle(client)
        eventually(lambda: not any(watch.lags().values()), 600)
        after = seconds_to_apply(client, "after", 1_000)
        client.close()
        process.terminate()
        assert process.wait(60) == 0
    third = len(resident) // 3
    middle, last = max(resident[third : 2 * third]), max(resident[2 * third :])
    print(
        f"{FRAME_FILLS * sum(flood.acknowledged)} fills in {seconds:.0f} s; resident {resident[0]} kB at first, "
        f"{middle} in the middle, {last} in the last third; lag {max(lags)}; p99 {before:.6f} s before, {after:.6f} after"
    )
    assert last < RESIDENT_KILOBYTES_MAX and last < 1.3 * middle
    assert max(lags) <= 10_000 + SENDERS
    assert after < 3 * before
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.counts().applied == FRAME_FILLS * sum(flood.acknowledged) + 2_500
