"""The worker: fills to positions through Faust, its views, and what happens when something breaks."""

import asyncio
import dataclasses
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents import positions, trade_capture
from agents.stage import InvariantBroken
from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from schemas.murmur2 import partition_of_key
from schemas.topics import BOOKINGS, FILLS, POSITIONS, TOPICS
from tests.integration.faust_support import quick_settings, until, worker_over
from tests.support import Book, Books, fill
from topology.clock import append_ticks
from topology.stage_app import RETRY_SECONDS_FIRST
from topology.stages import build_spine, build_stages
from topology.web.server import listen
from topology.worker import serve

ROOT = Path(__file__).resolve().parents[2]


def some_fills(count: int, start: int = 0) -> list:
    """Fills of five books and three instruments, buys and sells."""
    return [
        fill(
            f"t{number}",
            (-1) ** (number % 3 == 2) * (1 + number % 7),
            100 + number % 11,
            book=f"B{number % 5}",
            instrument=f"I{number % 3}",
            at=number,
            source_sequence=number,
        )
        for number in range(start, start + count)
    ]


def clean_hash(folder: Path, found: list) -> str:
    """The book hash of a run of the same fills without Faust."""
    with Books(folder, partitions=2) as books:
        books.book(*found)
        return books.hash()


def test_fills_become_positions_and_a_restart_goes_on(tmp_path: Path):
    settings = quick_settings(tmp_path)
    first, second = some_fills(300), some_fills(300, 300)

    async def run(books, found):
        async with worker_over(books.log, settings) as running:
            for fill_found in found:
                books.fills(fill_found)
                await asyncio.sleep(0)
            await running.idle()
            return running.worker.health.document()

    with Books(tmp_path / "data", partitions=2) as books:
        assert asyncio.run(run(books, first))["ready"]
        books.reopen()
        document = asyncio.run(run(books, [*second, *first[:10]]))
        assert document["ready"]
        assert books.counts().applied == 600
        assert books.counts().duplicates == 10
        assert books.counts(positions.NAME).applied == 600
        assert books.hash() == clean_hash(tmp_path / "clean", first + second)
        for partition in range(2):
            end = books.log.end_offset(FILLS.name, partition)
            assert books.log.committed(trade_capture.NAME, FILLS.name, partition) == end


def test_both_stages_step_in_one_commit_where_the_second_has_caught_up(tmp_path: Path):
    settings = quick_settings(tmp_path)

    async def run(books):
        async with worker_over(books.log, settings) as running:
            for place in range(40):
                books.fills(fill(f"t{place}", book=f"B{place}"))
                if place % 4 == 3:
                    await running.idle()

    with Books(tmp_path / "data", partitions=2) as books:
        asyncio.run(run(books))
        commits = {
            topic: {
                record.appended_at
                for partition in range(2)
                for record in books.log.read(topic, partition, 0, 99, 1 << 20)
            }
            for topic in (BOOKINGS.name, POSITIONS.name)
        }
        assert len(commits[BOOKINGS.name]) >= 10
        assert commits[BOOKINGS.name] == commits[POSITIONS.name]
        assert books.counts(positions.NAME).applied == 40


def test_the_views_show_positions_trades_health_and_metrics(tmp_path: Path):
    settings = quick_settings(tmp_path)
    paths = [
        "/",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/positions/A%2FB%20%C3%A9",
        "/positions/A%2FB%20%C3%A9/X",
        "/positions/B1/X?lots=no",
        "/trades/t1",
        "/positions/none",
        "/positions/B1/none",
        "/trades/none",
    ]

    async def run(books):
        async with worker_over(books.log, settings) as running:
            books.fills(fill("t1", "1.50", 10), fill("t1", "1.50", 10), fill("t2", 1, book="A/B é"))
            await running.idle()
            return {path: await running.get(path) for path in paths}

    with Books(tmp_path / "data", partitions=2) as books:
        answers = asyncio.run(run(books))
    assert {path: status for path, (status, _) in answers.items()} == {
        path: 404 if path in ("/positions/B1/none", "/trades/none") else 200 for path in paths
    }
    assert set(json.loads(answers["/"][1])["views"]) == {
        "/",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/positions/{book}",
        "/positions/{book}/{instrument}",
        "/trades/{trade_id}",
    }
    live, ready = (json.loads(answers[path][1]) for path in ("/health/live", "/health/ready"))
    assert live == {"live": True, "process": os.getpid()}
    assert ready["ready"] and ready["trouble"] is None
    names = [stage["stage"] for stage in ready["stages"]]
    assert names[:2] == [trade_capture.NAME, positions.NAME]
    assert names == [stage.name for stage in build_stages(quick_settings(tmp_path))]
    assert {
        (part["lag"], part["caught_up"], part["stopped"])
        for stage in ready["stages"][:2]
        for part in stage["partitions"]
    } == {(0, True, None)}
    position = json.loads(answers["/positions/B1/X?lots=no"][1])
    assert (position["quantity"], position["average_price"]) == ("1.5", "10")
    assert [lot["trade_id"] for lot in position["lots"]] == ["t1"]
    book = json.loads(answers["/positions/A%2FB%20%C3%A9"][1])["positions"]
    assert [(found["book"], found["instrument"]) for found in book] == [("A/B é", "X")]
    assert json.loads(answers["/positions/A%2FB%20%C3%A9/X"][1])["quantity"] == "1"
    assert json.loads(answers["/positions/none"][1]) == {"positions": []}
    trade = json.loads(answers["/trades/t1"][1])
    assert (trade["book"], trade["instrument"], trade["quantity"]) == ("B1", "X", "1.5")
    metrics = answers["/metrics"][1].splitlines()
    for line in (
        'pks_events_total{outcome="applied",stage="trade_capture"} 2.0',
        'pks_events_total{outcome="duplicate",stage="trade_capture"} 1.0',
        'pks_events_total{outcome="applied",stage="positions"} 2.0',
        'pks_identity_residual{stage="positions"} 0.0',
        'pks_partitions_stopped{stage="positions"} 0.0',
        'pks_lag_events{partition="0",stage="trade_capture"} 0.0',
        'pks_dead_letters_total{stage="trade_capture"} 0.0',
        "pks_shared_memory_alarms_total 0.0",
        "pks_log_listener_failures_total 0.0",
    ):
        assert line in metrics
    steps = next(line for line in metrics if line.startswith('pks_step_seconds_count{stage="positions"}'))
    assert float(steps.split()[-1]) >= 1
    named = {line.split()[2] for line in metrics if line.startswith("# HELP ")}
    assert named == {line.split()[2] for line in metrics if line.startswith("# TYPE ")}


def test_fausts_own_pages_are_off(tmp_path: Path):
    paths = (
        "/nowhere",
        "/table",
        "/table/",
        "/table/positions/",
        "/table/positions/k/",
        "/router/",
        "/graph/",
        "/stats",
    )

    async def run(log):
        async with worker_over(log, quick_settings(tmp_path, partitions=1)) as running:
            return {path: await running.get(path) for path in paths}

    with EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        answers = asyncio.run(run(log))
    assert {path: status for path, (status, _) in answers.items()} == dict.fromkeys(paths, 404)
    assert all(f"found GET {path}: " in json.loads(text)["error"] for path, (_, text) in answers.items())


def test_a_broken_invariant_stops_its_partition_only(tmp_path: Path):
    settings = quick_settings(tmp_path)
    place = partition_of_key(b"B1", 2)
    other = next(name for name in ("B2", "B3", "B4", "B5") if partition_of_key(name.encode(), 2) != place)
    capture, booking = build_spine(settings)

    def breaking(state, frames, step):
        if any(event.book == "B1" for frame in frames for event in frame.events):
            raise InvariantBroken("expected lots to sum to the position, found 1 less")
        booking.handler(state, frames, step)

    async def run(books):
        stages = (capture, dataclasses.replace(booking, handler=breaking))
        async with worker_over(books.log, settings, stages) as running:
            broken = next(
                runner
                for runner in running.worker.runners()
                if runner.partition == place and runner.stage is stages[1]
            )
            books.fills(fill("t1", book="B1"))
            await until(lambda: broken.stopped)
            books.fills(fill("t2", book="B1", at=1), fill("t3", book=other, at=1))
            await running.idle()
            await until(lambda: books.log.committed(positions.NAME, BOOKINGS.name, 1 - place))
            return await running.get("/health/ready"), await running.get("/metrics")

    with Books(tmp_path / "data", partitions=2) as books:
        (status, text), (_, metrics) = asyncio.run(run(books))
        stage = json.loads(text)["stages"][1]
        reasons = {part["partition"]: part["stopped"] for part in stage["partitions"]}
        assert status == 503
        assert reasons == {
            place: "expected lots to sum to the position, found 1 less",
            1 - place: None,
        }
        assert 'pks_partitions_stopped{stage="positions"} 1.0' in metrics.splitlines()
        assert set(books.positions()) == {(other, "X")}
        assert books.log.committed(positions.NAME, BOOKINGS.name, place) is None


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full for files of more than `size` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_waited_for_and_nothing_is_half_applied(tmp_path: Path):
    settings = quick_settings(tmp_path)
    found = some_fills(200)

    async def run(books):
        async with worker_over(books.log, settings) as running:
            books.fills(*found[:100])
            await running.idle()
            before = books.table(trade_capture.NAME)
            books.fills(*found[100:])
            written = max(file.stat().st_size for file in (tmp_path / "data" / "log").glob("*.log"))
            with files_no_larger_than(written + 100):
                await until(lambda: running.worker.apps[0].trouble)
                status, text = await running.get("/health/ready")
                assert status == 503
                assert "expected to write a commit" in json.loads(text)["trouble"]
                assert books.table(trade_capture.NAME) == before
                await asyncio.sleep(2 * RETRY_SECONDS_FIRST)
                assert books.log.reopened == 0
            await running.idle()
            return await running.get("/health/ready")

    with Books(tmp_path / "data", partitions=2) as books:
        status, text = asyncio.run(run(books))
        assert status == 200, text
        assert books.log.reopened == 1
        assert books.counts().applied == 200
        assert books.counts(positions.NAME).applied == 200
        assert books.hash() == clean_hash(tmp_path / "clean", found)


def test_time_comes_as_a_tick_in_every_partition_of_the_clocked_topics(tmp_path: Path):
    async def run(books):
        async with worker_over(books.log, quick_settings(tmp_path, clock_tick_seconds=0.01)) as running:
            clocked = [topic.name for topic in TOPICS if topic.clocked]
            await until(
                lambda: all(
                    running.log.end_offset(name, partition) >= 2 for name in clocked for partition in (0, 1)
                )
            )

    with Books(tmp_path / "data", partitions=2) as books:
        asyncio.run(run(books))
        ticks = books.events(FILLS)
        assert {type(tick).__name__ for tick in ticks} == {"ClockTick"}
        sequence = books.log.sequence
        clocked = sum(topic.clocked for topic in TOPICS)
        assert append_ticks(books.log, 2, clock=lambda: 7) == sequence + 2 * clocked
        assert books.events(FILLS)[-1].event_time == 7


def test_poison_moves_to_the_dead_letters_through_faust_as_well(tmp_path: Path):
    async def run(books):
        async with worker_over(books.log, quick_settings(tmp_path)) as running:
            books.append(FILLS, "k", [b"\xff not json", b"[]", b""])
            books.fills(fill("t1"))
            await running.idle()
            return await running.get("/metrics")

    with Books(tmp_path / "data", partitions=2) as books:
        _, metrics = asyncio.run(run(books))
        assert bytes(books.dead_letters()[0].original) == b"\xff not json"
        letters = len(books.dead_letters())
        assert f'pks_dead_letters_total{{stage="trade_capture"}} {float(letters)}' in metrics.splitlines()
        assert books.counts(positions.NAME).applied == 1


def test_definitions_that_come_while_it_runs_hold_for_later_fills(tmp_path: Path):
    async def run(books):
        async with worker_over(books.log, quick_settings(tmp_path)) as running:
            books.define(Book(event_id="d1", book="B1", entity="Fund"))
            books.fills(fill("t1"))
            await running.idle()

    with Books(tmp_path / "data", partitions=2) as books:
        asyncio.run(run(books))
        assert [event.entity for event in books.events(BOOKINGS)] == ["Fund"]


def test_services_start_when_ready_and_end_with_the_worker(tmp_path: Path):
    told: list[str] = []

    async def service(worker):
        told.append("ready" if worker.health.document()["ready"] else "early")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("stopped" if not worker.apps[0].should_stop else "late")

    async def done(worker):
        told.append("done")

    async def run(log):
        async with worker_over(log, quick_settings(tmp_path), services=[service, done]) as running:
            await until(lambda: told == ["ready", "done"])
            return await running.stop()

    with EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        assert asyncio.run(run(log)) == 0
    assert told == ["ready", "done", "stopped"]


def test_a_service_that_fails_ends_the_worker_with_1(tmp_path: Path):
    async def failing(worker):
        raise RuntimeError("expected a socket, found none")

    async def run(log):
        return await serve(
            quick_settings(tmp_path),
            build_stages(quick_settings(tmp_path)),
            log=log,
            services=[failing],
            handle_signals=False,
        )

    with EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        assert asyncio.run(run(log)) == 1


def test_a_web_address_in_use_is_an_error_of_the_start(tmp_path: Path):
    with listen("127.0.0.1", 0) as taken, EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        taken.listen()
        settings = quick_settings(tmp_path, web_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            asyncio.run(serve(settings, build_stages(settings), log=log, handle_signals=False))


WORKER = """
import sys
from pathlib import Path
from connectors.embedded.log import EmbeddedLog
from topology.settings import Settings
from topology.stages import build_stages
from topology.worker import run_worker

settings = Settings(data=Path(sys.argv[1]), web_port=0, partitions=2, sync="group")
with EmbeddedLog.owner(settings.data) as log:
    code = run_worker(
        settings, build_stages(settings), log=log, on_ready=lambda worker: print(worker.web_address, flush=True)
    )
sys.exit(code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_all_that_was_applied_is_kept(tmp_path: Path, number: signal.Signals):
    data = tmp_path / "data"
    found = some_fills(50)
    with Books(data, partitions=2) as books:
        books.fills(*found)
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(data)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with pytest.raises(OwnedElsewhereError, match=str(process.pid)):
            EmbeddedLog.owner(data)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors) == (0, "", "")
    with Books(data, partitions=2) as books:
        books.run()
        assert books.counts().applied == 50
        assert books.hash() == clean_hash(tmp_path / "clean", found)


def test_the_views_listen_on_addresses_of_both_kinds(tmp_path: Path):
    async def run(log, host):
        async with worker_over(log, quick_settings(tmp_path, partitions=1, web_host=host)) as running:
            return running.worker.web_address, (await running.get("/positions/B1"))[0]

    hosts = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]
    for host in hosts:
        with EmbeddedLog.owner(tmp_path / host.replace(":", "_"), sync="os") as log:
            address, status = asyncio.run(run(log, host))
            assert status == 200
            assert host in address


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of version 6."""
    try:
        listen("::1", 0).close()
    except OSError:
        return False
    return True


def test_a_listening_socket_is_bound_before_anything_starts():
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert (host, port > 0, listener.family) == ("127.0.0.1", True, socket.AF_INET)
