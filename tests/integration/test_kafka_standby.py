"""Hosts that come, go and are lost: partitions go where their tables are warm, views and slots follow."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from bench.host import Host
from bench.workload import WORKLOADS, frames_of, fresh_log, make_fills
from clients.python.pks_client import PositionReader, Status
from connectors.kafka.link import Link, parse_url
from connectors.kafka.owners import OWNERS_TOPIC
from connectors.kafka.ownership import Owned, encode, record_key
from connectors.kafka.topics import TopicPlan, ensure_topics
from connectors.shm.writer import remove
from schemas.murmur2 import partition_of_key
from schemas.numbers import plain
from schemas.topics import BOOKINGS, FILLS
from tests.integration.c_programs import compile_c, output
from tests.kafka_support import events_of, ids_of, make_topics, running_broker
from tests.support import eventually
from topology.documents.queries import positions_document
from topology.drive import run_until_idle

PARTITIONS = 4
FILLS_COUNT = 9_000
SESSION_SECONDS = 5
STALE_SECONDS = 1.0
A_FEW = 10
"""Changelog records that a warm table may lack: what was committed in the last moment."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    """A broker of its own: what a lost host left open in a test before it would be met by this one."""
    with running_broker(tmp_path / "broker") as running:
        link = parse_url(f"kafka://{running.address}")
        make_topics(link)
        yield link


@pytest.fixture
def make_host(link: Link, tmp_path: Path) -> Iterator[Callable[[str, str], Host]]:
    """Hosts by name and shared memory; lost when the test ends."""
    made: list[Host] = []

    def make(name: str, shared_memory: str) -> Host:
        options = {"session_seconds": SESSION_SECONDS, "stages": "books"}
        made.append(Host(name, tmp_path / name, f"kafka://{link.brokers}", shared_memory, **options))
        return made[-1]

    yield make
    for host in made:
        if host.running:
            host.lose()


class Load:
    """The fills, appended in parts, and what the books are after each."""

    def __init__(self, link: Link) -> None:
        self._producer = Producer(link.producer())
        self.fills = make_fills(WORKLOADS["W"], FILLS_COUNT)
        self._frames = frames_of(FILLS, self.fills)
        self._appended = 0

    def append(self, share: float) -> list[dict[str, object]]:
        """Append up to a share of all; returns the positions of the embedded log after the same."""
        until = int(len(self._frames) * share)
        for partition, frame in self._frames[self._appended : until]:
            self._producer.produce(FILLS.name, frame, partition=partition)
        self._producer.flush()
        self._appended = until
        with fresh_log() as embedded:
            embedded.append(FILLS, self._frames[:until])
            run_until_idle(embedded.runners, embedded.log)
            return positions_document(embedded.log, PARTITIONS)


def books_of(host: Host, expected: list[dict[str, object]]) -> list[dict[str, object]]:
    """The positions of the same books, as one host answers for all."""
    found = []
    for book in sorted({str(position["book"]) for position in expected}):
        status, _, document = host.get(f"/positions/{book}")
        if status != 200:
            return []
        found += document["positions"]
    return found


def shows(host: Host, expected: list[dict[str, object]]) -> bool:
    """Whether a host answers as the embedded log would."""
    wanted = {(position["book"], position["instrument"]): position["quantity"] for position in expected}
    found = books_of(host, expected)
    return {(each["book"], each["instrument"]): each["quantity"] for each in found} == wanted


def a_book(partition: int) -> str:
    return next(
        f"BOOK{number}"
        for number in range(200)
        if partition_of_key(f"BOOK{number}".encode(), PARTITIONS) == partition
    )


class Watch(threading.Thread):
    """Reads a slot without pause; notes the last moment at which an outdated figure looked live."""

    def __init__(self, name: str, book: str, instrument: str) -> None:
        super().__init__(daemon=True)
        self._name, self._key = name, (book, instrument)
        self._stopping = threading.Event()
        self.outdated: object = None
        self.looked_live_at = 0.0

    def run(self) -> None:
        handle = PositionReader(self._name).slot(*self._key)
        while not self._stopping.is_set():
            # Before the read, so that a reader which is held up proves nothing that is not so.
            now = time.monotonic()
            position = handle.read()
            if position is not None and position.live and position.owner_epoch == self.outdated:
                self.looked_live_at = now
            self._stopping.wait(0.005)

    def end(self) -> None:
        self._stopping.set()
        self.join()


def test_a_host_that_joins_and_one_that_is_lost(
    link: Link, make_host: Callable[[str, str], Host], shared_memory_name: str, tmp_path: Path
) -> None:
    # Both use this machine's memory, as two workers of one host do.
    a, b = (make_host(name, shared_memory_name) for name in "ab")
    show = compile_c("show_position.c", tmp_path / "show_position")
    load = Load(link)
    a.start()
    expected = load.append(0.4)
    eventually(lambda: shows(a, expected), 60)
    assert a.owners() == dict.fromkeys(range(PARTITIONS), ("a-1", 0))

    # 1 -> 2. The one that comes was warm before it took part: nothing was restored while nobody owned the books.
    b.start()
    eventually(lambda: {worker for worker, _ in a.owners().values()} == {"a-1", "b-1"}, 30)
    owners = eventually(lambda: all(worker for worker, _ in b.owners().values()) and b.owners(), 30)
    assert owners == a.owners()
    assert {worker: [p for p in owners if owners[p][0] == worker] for worker in ("a-1", "b-1")} == {
        "a-1": [0, 1],
        "b-1": [2, 3],
    }
    assert all(records <= A_FEW for _, records in owners.values())
    expected = load.append(0.8)
    for host in (a, b):
        eventually(lambda host=host: shows(host, expected), 60)
    status, headers, _ = a.get(f"/positions/{a_book(3)}")
    assert (status, headers["X-PKS-Worker"]) == (200, "b-1")
    assert "X-PKS-Worker" not in b.get(f"/positions/{a_book(3)}")[1]
    place = a.get(f"/owners/{a_book(3)}")[2]
    assert (place["worker"], place["partition"], place["shared_memory"]) == ("b-1", 3, shared_memory_name)

    # Capture keeps a trade by its id and positions by its book, so that it may take both workers to answer.
    for fill in load.fills[:20]:
        [(status, _, trade), other] = [host.get(f"/trades/{fill.trade_id}") for host in (a, b)]
        assert (status, trade["book"], trade["quantity"].lstrip("-")) == (
            200,
            fill.book,
            plain(fill.quantity),
        )
        assert other[::2] == (200, trade)
    assert [host.get("/trades/none")[0] for host in (a, b)] == [404, 404]

    # Each slot is found through the directory, in the segment of the worker that owns its book.
    reader = PositionReader(shared_memory_name)
    eventually(lambda: sorted(slot.worker for slot in reader.segments()) == ["a-1", "b-1"])
    eventually(lambda: reader.owned_partitions() == {0: 2, 1: 2})
    moving = next(each for each in expected if each["book"] == a_book(3))
    key = (str(moving["book"]), str(moving["instrument"]))
    handle = reader.slot(*key)
    before = eventually(lambda: (found := handle.read()) is not None and found.live and found)
    assert plain(before.quantity) == moving["quantity"]
    watch = Watch(shared_memory_name, *key)
    watch.outdated = before.owner_epoch
    watch.start()
    eventually(lambda: watch.looked_live_at)

    # 2 -> 1, without a word. Its slots look live no longer than a heartbeat may be old.
    warm = eventually(lambda: [row["standbys"] for row in a.get("/owners")[2]["partitions"]])
    assert warm == [["b-1"], ["b-1"], ["a-1"], ["a-1"]]
    b.lose()
    lost_at = time.monotonic()
    expected = load.append(1.0)
    statuses: dict[Status, int] = {}
    answers: dict[int, str | None] = {}

    def taken_over() -> bool:
        found = handle.read()
        statuses[found.status] = found.owner_epoch
        status, headers, _ = a.get(f"/positions/{a_book(3)}")
        answers[status] = headers.get("Retry-After")
        unknown, headers, _ = a.get("/trades/none")
        answers[unknown] = headers.get("Retry-After")
        return {worker for worker, _ in a.owners().values()} == {"a-1"}

    eventually(taken_over, 60)
    # Whatever was seen meanwhile: the old state, marked as such, or the new one; an answer, or when to ask again.
    assert statuses.keys() <= {Status.LIVE, Status.STALE, Status.NOT_OWNED}
    assert answers.items() <= {200: None, 404: None, 503: "1"}.items()
    assert all(records <= A_FEW for _, records in a.owners().values())
    eventually(lambda: shows(a, expected), 60)
    after = eventually(lambda: (found := handle.read()) is not None and found.live and found)
    assert after.owner_epoch > before.owner_epoch
    now = next(each for each in expected if (each["book"], each["instrument"]) == key)
    assert plain(after.quantity) == now["quantity"]
    in_c = dict(line.split(" ", 1) for line in output(show, shared_memory_name, *key).splitlines())
    assert (in_c["status"], in_c["quantity_exact"]) == ("0", now["quantity"])
    watch.end()
    assert watch.looked_live_at - lost_at <= STALE_SECONDS
    # What is left of the lost one is there, and nothing of it is live.
    left = [slot for slot in reader.positions() if slot.owner_epoch == before.owner_epoch]
    assert left and not any(slot.live for slot in left)

    # It comes back, with what it had: what it lacks is what it missed, and the last of that came before it took part.
    b.start()
    eventually(lambda: {worker for worker, _ in a.owners().values()} == {"a-1", "b-1"}, 30)
    eventually(lambda: shows(b, expected), 60)
    assert all(records <= A_FEW for _, records in b.owners().values())
    eventually(lambda: handle.live)
    a.stop()
    b.stop()


@pytest.mark.soak
def test_a_host_that_was_suspended_shows_nothing_that_others_own(
    link: Link, make_host: Callable[[str, str], Host], shared_memory_name: str
) -> None:
    # Each has a memory of its own, as on two machines: nobody else can mark what the suspended one shows.
    remote = f"{shared_memory_name}-b"
    a, b = make_host("a", shared_memory_name), make_host("b", remote)
    load = Load(link)
    try:
        for host in (a, b):
            host.start()
        expected = load.append(0.5)
        eventually(lambda: shows(a, expected), 60)
        moving = next(each for each in expected if each["book"] == a_book(3))
        key = (str(moving["book"]), str(moving["instrument"]))
        assert a.get(f"/owners/{a_book(3)}")[2]["shared_memory"] == remote
        before = eventually(lambda: (found := PositionReader(remote).read(*key)) and found.live and found)
        watch = Watch(remote, *key)
        watch.outdated = before.owner_epoch
        watch.start()
        b.pause()
        paused_at = time.monotonic()
        expected = load.append(1.0)
        eventually(lambda: {worker for worker, _ in a.owners().values()} == {"a-1"}, 30)
        eventually(lambda: shows(a, expected), 60)
        assert a.get(f"/owners/{a_book(3)}")[2]["shared_memory"] == shared_memory_name
        b.resume()
        # It finds out by itself, ends, is started again, and takes part as any other.
        eventually(lambda: {worker for worker, _ in a.owners().values()} == {"a-1", "b-1"}, 60)
        after = eventually(lambda: (found := PositionReader(remote).read(*key)) and found.live and found, 30)
        watch.end()
        assert watch.looked_live_at - paused_at <= STALE_SECONDS
        assert after.owner_epoch > before.owner_epoch
        now = next(each for each in expected if (each["book"], each["instrument"]) == key)
        assert plain(after.quantity) == now["quantity"]
        ids = ids_of(events_of(link))
        assert len(ids) == len(set(ids))
    finally:
        remove(remote)


def test_what_a_lost_worker_had_begun_to_emit_holds_nobody_up(
    link: Link, make_host: Callable[[str, str], Host]
) -> None:
    # It owned everything, and was lost when the first output of a step was there and nothing in the changelog.
    ensure_topics(link, [TopicPlan(OWNERS_TOPIC, 1, compact=True)])
    owned = Owned("gone-1", "a life", dict.fromkeys(range(PARTITIONS), 0))
    producer = Producer(link.producer())
    producer.produce(OWNERS_TOPIC, encode(owned), record_key(owned, "trade_capture"), 0)
    producer.flush()
    # Nobody waits for the end of its time.
    lost = Producer(
        link.producer(transactional_id="pks-trade_capture-gone-1", transaction_timeout_ms=600_000)
    )
    lost.init_transactions(30)
    lost.begin_transaction()
    for partition in range(PARTITIONS):
        lost.produce(BOOKINGS.name, b"[]", None, partition)
    assert lost.flush(30) == 0
    a = make_host("a", "")
    a.start()
    load = Load(link)
    expected = load.append(0.2)
    eventually(lambda: shows(a, expected), 90)
    with pytest.raises(KafkaException):
        lost.commit_transaction(30)
