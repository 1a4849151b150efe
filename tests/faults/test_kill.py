"""kill -9 at random moments, in and between commits: nothing lost, nothing doubled, the outputs those of a clean run."""

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import positions, trade_capture
from schemas import topics
from schemas.frames import encode_frames
from tests.faults import marked_worker, stages_worker
from tests.faults.marked import AFTER_WRITE, BEFORE_WRITE, Marks, Worker
from tests.faults.up_support import connect, environment, request_of, settle
from tests.support import Books, eventually, soak_kills
from topology.control.protocol import ControlClient

FILLS, KILLS = 100_000, 30
OUTPUTS = (
    topics.BOOKINGS,
    topics.POSITIONS,
    topics.REJECTIONS,
    topics.FILL_DEAD_LETTERS,
    topics.BOOKING_DEAD_LETTERS,
)
AHEAD = 6
"""Requests that a sender has on their way at a time."""


class Identified(msgspec.Struct):
    """The identity of any event."""

    event_id: str


_identified = msgspec.json.Decoder(Identified).decode


def identities(events: list[bytes]) -> list[str]:
    return [_identified(event).event_id for event in events]


class Feed:
    """A feed, as frames in a file for the workers, and what a run of it that nothing disturbs leaves."""

    def __init__(self, scratch: Path, seed: int, fills: int) -> None:
        self.batches = stages_worker.batches(seed, fills)
        self.identities = {fill.event_id for batch in self.batches for fill in batch}
        self.file = scratch / "feed"
        frames = [frame for batch in self.batches for frame in encode_frames(batch)]
        assert len(frames) == len(self.batches)
        self.file.write_bytes(msgspec.msgpack.encode(frames))
        self.seconds = 120 + fills / 500
        """Within which a worker is done with all of it, also on a machine that has other work."""
        with Worker(scratch / "marks", marked_worker.stages, scratch / "clean", self.file) as worker:
            assert worker.wait(self.seconds) == 0
        self.clean = Outcome(scratch / "clean")
        assert self.clean.fills == self.identities
        assert self.clean.capture.applied > fills * 0.9 and self.clean.positions.refused == 0


class Outcome:
    """What a folder holds: books, counts, the fills' identities, and each output stream."""

    def __init__(self, folder: Path) -> None:
        with Books(folder, partitions=stages_worker.PARTITIONS) as books:
            self.hash = books.hash()
            self.capture = books.counts(trade_capture.NAME)
            self.positions = books.counts(positions.NAME)
            fills = identities(books.event_bytes(topics.FILLS))
            self.repeated = len(fills) - len(set(fills))
            self.fills = set(fills)
            self.streams = {topic.name: books.event_bytes(topic) for topic in OUTPUTS}


class Kills:
    """Where kills fell, and whether the commit that was being written then was found afterwards."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.found = self.absent = 0
        self._writing: int | None = None
        self._aim = ""

    def begin(self, worker: Worker) -> None:
        """The worker may have opened the log: what was being written is in it, whole, or is not there."""
        opened = worker.marks.opened
        if opened and self._writing is not None:
            self.found += opened >= self._writing
            self.absent += opened < self._writing
            self._writing = None

    def aim(self, worker: Worker, choose: random.Random) -> None:
        """Choose how the next kill comes about; before what it shall fall into is under way."""
        self._aim = choose.choice(("before a write", "after a write", *("in a write", "at a moment") * 2))
        worker.marks.set(
            "halting", {"before a write": BEFORE_WRITE, "after a write": AFTER_WRITE}.get(self._aim, 0)
        )

    def kill(self, worker: Worker, choose: random.Random) -> None:
        """Wait until a commit stands still at its write, or is just being written, or a little; then kill."""
        if worker.marks.halting:
            worker.until(lambda marks: marks.halted > 0)
        elif self._aim == "in a write":
            # Where all is applied already there is none to wait for.
            worker.reaches(Marks.committing, closely=True, timeout=0.5)
        else:
            worker.after(choose.uniform(0.0, 0.02))
        place = worker.kill()
        self.begin(worker)
        self.places[place] += 1
        if place.endswith("writing"):
            self._writing = worker.marks.writing

    def __str__(self) -> str:
        places = ", ".join(f"{number} {place}" for place, number in sorted(self.places.items()))
        return f"{places}; of commits that were being written {self.found} found, {self.absent} not there"

    def assert_in_and_between_commits(self, kills: int) -> None:
        print(self)
        assert self.places.total() == kills
        inside = sum(number for place, number in self.places.items() if place.endswith("writing"))
        assert kills < 20 or 0 < inside < kills, str(self)


def kill_points(choose: random.Random, appends: int, kills: int) -> list[int]:
    """After how many appends of the feed each kill comes; what is left is enough to be killed in."""
    return sorted(choose.randrange(appends * 17 // 20) for _ in range(kills))


def kill_stages(scratch: Path, feed: Feed, *, seed: int, kills: int) -> Kills:
    """Run the stages over a feed, kill them, and hold what they leave against a clean run."""
    choose, told = random.Random(seed), Kills()
    arguments = (scratch / "marks", marked_worker.stages, scratch / "killed", feed.file)
    for point in kill_points(choose, len(feed.batches), kills):
        with Worker(*arguments) as worker:
            worker.until(lambda marks, point=point: marks.appended >= point, timeout=feed.seconds)
            told.aim(worker, choose)
            told.kill(worker, choose)
    with Worker(*arguments) as worker:
        assert worker.wait(feed.seconds) == 0
    found, clean = Outcome(scratch / "killed"), feed.clean
    assert found.fills == feed.identities and found.repeated == clean.repeated
    assert (found.hash, found.capture, found.positions) == (clean.hash, clean.capture, clean.positions)
    for name, events in found.streams.items():
        assert len(set(identities(events))) == len(events), f"{name}: an event twice"
        assert (
            sorted(events) == sorted(clean.streams[name]) if "dlq" in name else events == clean.streams[name]
        ), name
    return told


class Sender:
    """Sends a feed through the control socket, and knows only what was acknowledged."""

    def __init__(self, folder: Path, feed: Feed) -> None:
        self._folder = folder
        self._requests = [request_of(batch) for batch in feed.batches]
        self.acknowledged = 0

    def connect(self) -> ControlClient:
        return eventually(lambda: connect(self._folder), 30)

    def send(self, client: ControlClient, until: int) -> None:
        """Send until so many are acknowledged."""
        sent = self.acknowledged
        while self.acknowledged < until:
            if sent < min(until, self.acknowledged + AHEAD):
                client.send(self._requests[sent])
                sent += 1
            else:
                client.receive()
                self.acknowledged += 1

    def send_one_ahead(self, client: ControlClient) -> None:
        """Send one more, and wait for no answer; a socket takes so much even where nobody reads any more."""
        client.send(self._requests[self.acknowledged])


def kill_up(scratch: Path, feed: Feed, *, seed: int, kills: int) -> Kills:
    """Feed `pks up`, kill it, and hold what it leaves against a clean run; what was not acknowledged is sent again."""
    choose, told = random.Random(seed), Kills()
    sender = Sender(scratch / "killed", feed)
    settings = {**environment(), "PKS_WAITING_CORRECTIONS_MAX": "100000"}
    arguments = (scratch / "marks", marked_worker.command, "up", "--data", str(scratch / "killed"), "--json")
    for point in kill_points(choose, len(feed.batches), kills):
        with Worker(*arguments, environment=settings) as worker, closing(sender.connect()) as client:
            sender.send(client, point)
            told.aim(worker, choose)
            sender.send_one_ahead(client)
            told.kill(worker, choose)
    with Worker(*arguments, environment=settings) as worker:
        with closing(sender.connect()) as client:
            sender.send(client, len(feed.batches))
            settle(client)
        assert worker.terminate() == 0
    found, clean = Outcome(scratch / "killed"), feed.clean
    assert found.fills == feed.identities
    assert found.hash == clean.hash and found.positions == clean.positions
    assert found.capture.read == clean.capture.read + found.repeated - clean.repeated
    assert found.capture.applied == clean.capture.applied and found.capture.waiting == clean.capture.waiting
    for name in (topics.BOOKINGS.name, topics.POSITIONS.name):
        assert found.streams[name] == clean.streams[name], name
    refused = [set(identities(outcome.streams[topics.REJECTIONS.name])) for outcome in (found, clean)]
    assert refused[0] == refused[1]
    return told


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return Feed(tmp_path_factory.mktemp("feed"), 20261125, FILLS)


def test_thirty_kills_of_the_stages_in_100_000_fills(feed: Feed, tmp_path: Path):
    kill_stages(tmp_path, feed, seed=1, kills=KILLS).assert_in_and_between_commits(KILLS)


def test_thirty_kills_of_pks_up_in_100_000_fills(feed: Feed, tmp_path: Path):
    kill_up(tmp_path, feed, seed=2, kills=KILLS).assert_in_and_between_commits(KILLS)


@pytest.mark.soak
@pytest.mark.parametrize("killed", [kill_stages, kill_up])
def test_many_kills(tmp_path: Path, killed: Any):
    """`make soak KILLS=1000` makes them in a million fills, as far as its minutes go."""
    kills, fills = soak_kills(1.0), min(1_000 * soak_kills(1.0), 1_000_000)
    feed = Feed(tmp_path, kills, fills)
    killed(tmp_path, feed, seed=kills, kills=kills).assert_in_and_between_commits(kills)
