"""`pks topology repartition` on a real broker: the same books, whatever is killed, and nothing that is sent meanwhile lost."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from connectors.kafka.layout import in_force
from connectors.kafka.link import Link, parse_url
from connectors.kafka.local_broker import LocalBroker
from connectors.kafka.reader import TopicReader
from connectors.kafka.topics import partition_counts
from schemas.topics import CASH_BALANCES, FILL_DEAD_LETTERS, FILLS, FX_RATES, VALUATION_INPUT
from tests.faults.repartition_killed import POINTS
from tests.integration.test_up_on_kafka import Installation
from tests.kafka_support import PATIENCE, produce_records, running_broker
from tests.support import eventually
from topology.clock import tick_frames

OLD, NEW = 2, 3
FIGURES = (("ledger-hash",), ("pnl", "--days"))
"""Commands that show what the stages behind the books have come to."""

MARKS = """instrument,price,time,instrument_class
I1,101,2026-01-06T10:00:00Z,
EUR/USD,1.1,2026-01-06T10:00:00Z,fx
"""
COLUMNS = "trade_id,action,original_trade_id,book,instrument,side,quantity,price,executed_at,currency"


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


def write_trades(path: Path, start: int, number: int) -> Path:
    """Trades, amends to other books and cancels of earlier ones, corrections that wait, and what capture refuses."""
    rng = random.Random(start)
    rows = [COLUMNS]

    def row(identity: str, action: str, original: str, quantity: int = 5) -> None:
        book, instrument, side = f"B{rng.randrange(20)}", f"I{rng.randrange(5)}", rng.choice(("BUY", "SELL"))
        time = f"2026-01-05T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z"
        rows.append(
            f"{identity},{action},{original},{book},{instrument},{side},{quantity},{rng.randrange(90, 110)},{time},USD"
        )

    for trade in range(start, start + number):
        row(f"t{trade}", "NEW", "", rng.randrange(1, 999))
        if trade % 7 == 3:
            row(f"a{trade}", "AMEND", f"t{rng.randrange(trade)}", rng.randrange(1, 999))
        if trade % 11 == 5:
            row(f"c{trade}", "CANCEL", f"t{rng.randrange(trade)}")
        if trade % 50 == 9:
            # Its trade is in the next file.
            row(f"w{trade}", "AMEND", f"t{trade + number}")
            row(f"t{trade}", "NEW", "", 1_000)
    path.write_text("\n".join(rows) + "\n")
    return path


class Cluster:
    """A cluster with two files in it, and the embedded log that has the same."""

    def __init__(self, folder: Path, broker: LocalBroker) -> None:
        self.folder = folder
        self.link = parse_url(f"kafka://{broker.address}")
        self.figures: dict[str, Any] = {}
        self.embedded = Installation(folder / "embedded", "embedded://")
        self.cluster = self.installation("cluster", OLD)

    def installation(self, name: str, partitions: int) -> Installation:
        return Installation(
            self.folder / name,
            f"kafka://{self.link.brokers}",
            PKS_PARTITIONS=str(partitions),
            PKS_STAGES="all",
        )

    def file(self, number: int) -> tuple[str, ...]:
        path = self.folder / f"{number}.csv"
        if not path.exists():
            write_trades(path, number * 150, 150)
        return ("import", str(path), "--format", "canonical")

    def both(self, cluster: Installation, number: int) -> None:
        """A file into both: what becomes of it is the same."""
        assert cluster.ask(*self.file(number)) == self.embedded.ask(*self.file(number))

    def expected(self) -> str:
        return str(self.embedded.ask("book-hash")["book_hash"])

    def value(self, cluster: Installation) -> None:
        """Marks, a rate, and the tick of the clock with which what the rate changes is told."""
        path = self.folder / "marks.csv"
        path.write_text(MARKS)
        cluster.ask("import", str(path), "--format", "csv-marks")
        with closing(TopicReader(self.link, "rates")) as reader:
            eventually(lambda: reader.bounds(FX_RATES.name, 0)[1], PATIENCE)
        ticks = [(partition, frame) for partition in range(OLD) for frame in tick_frames("", partition, 1)]
        for topic in (VALUATION_INPUT, CASH_BALANCES):
            produce_records(self.link, topic, ticks)


def figures(cluster: Installation) -> dict[str, Any]:
    """What the stages behind the books have come to, when they have come to the end."""

    def look() -> dict[str, Any] | None:
        found = {}
        for command in FIGURES:
            done = cluster.run(*command, "--json")
            assert done.returncode == 0, done.stderr
            if "has not applied" in done.stderr:
                return None
            found[command[0]] = json.loads(done.stdout)
        return found

    return eventually(look, PATIENCE)


@pytest.fixture
def filled(tmp_path_factory: pytest.TempPathFactory, broker: LocalBroker) -> Cluster:
    """A cluster of two partitions, which every stage has read, with no worker at work."""
    found = Cluster(tmp_path_factory.mktemp("filled"), broker)
    with found.cluster.up():
        found.both(found.cluster, 0)
        found.value(found.cluster)
        found.figures = figures(found.cluster)
        refused = found.cluster.run("topology", "repartition", "--partitions", str(NEW))
        assert refused.returncode == 3
        assert "expected that no worker runs, found" in refused.stderr
    return found


def move(cluster: Installation, partitions: int) -> dict[str, Any]:
    found: dict[str, Any] = cluster.ask("topology", "repartition", "--partitions", str(partitions))
    return found


def start_move(cluster: Installation, partitions: int, signalled: str) -> "subprocess.Popen[str]":
    """A move that signals itself at a point."""
    command = [sys.executable, "-m", "tests.faults.repartition_killed", signalled]
    return subprocess.Popen(
        [*command, "topology", "repartition", "--partitions", str(partitions)],
        env=cluster.environment,
        cwd=cluster.folder,
        stderr=subprocess.PIPE,
        text=True,
    )


def kills_in_a_move_leave_the_old_topics_whole_or_the_new_ones(
    filled: Cluster, points: tuple[str, ...]
) -> None:
    """The last point is the one after which the new ones are in force."""
    cluster, expected = filled.cluster, filled.expected()
    for name in points:
        killed = start_move(cluster, NEW, f"{name}/SIGKILL")
        _, said = killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL, (name, said)
        assert (in_force(filled.link).generation > 0) == (name == "in force")
        assert cluster.ask("book-hash")["book_hash"] == expected, name
        if name == "sealed":
            # Workers do not begin on topics that are about to be left, and nobody loses what he sends there.
            up = cluster.run("up")
            assert up.returncode == 3 and "run `pks topology repartition` again" in up.stderr
            assert send_late(filled, 0) == KafkaError.MSG_SIZE_TOO_LARGE


def the_number_that_is_there_is_refused(filled: Cluster) -> None:
    again = filled.cluster.run("topology", "repartition", "--partitions", str(NEW))
    assert again.returncode == 3
    assert "found one with it already" in again.stderr


def send_late(filled: Cluster, generation: int) -> int | None:
    """Send a fill to topics of a generation; returns why it was refused."""
    errors: list[KafkaError] = []
    link = replace(filled.link, generation=generation)
    producer = Producer(link.producer())
    value = b'[{"type":"FillEvent","event_id":"late","trade_id":"late"}]'
    producer.produce(
        link.topic(FILLS.name),
        value,
        partition=0,
        on_delivery=lambda error, _: error and errors.append(error),
    )
    assert producer.flush(30) == 0
    return errors[0].code() if errors else None


def workers_go_on_with_the_new_number_and_know_what_they_knew(filled: Cluster) -> None:
    assert in_force(filled.link).generation > 0
    old = filled.cluster.run("up")
    assert old.returncode == 3
    assert f"pd.canonical.g{in_force(filled.link).generation} {NEW} of {OLD}" in old.stderr
    cluster = filled.installation("cluster", NEW)
    assert figures(cluster) == filled.figures
    with cluster.up():
        # What was there is a duplicate; what waited meets its trade.
        filled.both(cluster, 0)
        filled.both(cluster, 1)
        assert cluster.ask("book-hash")["book_hash"] == filled.expected()
        assert figures(cluster)["ledger-hash"] == filled.embedded.ask("ledger-hash")
        checks = cluster.ask("verify")
        assert checks["ok"], checks
    assert send_late(filled, 0) == KafkaError.MSG_SIZE_TOO_LARGE


def times_of(link: Link, partitions: int) -> Counter[tuple[str, int]]:
    """Every event of fills and of letters, with the time of its record."""
    reader, link = TopicReader(link, "times"), in_force(link)
    found = Counter(
        (event, record.appended_at)
        for topic in (FILLS, FILL_DEAD_LETTERS)
        for partition in range(partitions)
        for record in reader.read(link.topic(topic.name), partition, 0, 1_000_000, 1 << 40)
        for event in topic.codec.items(record.value or b"")
    )
    reader.close()
    return found


def a_second_move_and_its_old_topics(filled: Cluster) -> None:
    cluster = filled.installation("cluster", NEW)
    expected, times = filled.expected(), times_of(filled.link, NEW)
    before = set(partition_counts(filled.link))
    found = move(cluster, 5)
    assert (found["partitions_before"], found["partitions"]) == (NEW, 5)
    assert found["book_hash_before"] == found["book_hash"] == expected
    assert times_of(filled.link, 5) == times
    five = filled.installation("cluster", 5)
    dropped = five.ask("topology", "repartition", "--drop-old")["dropped"]
    left = set(partition_counts(filled.link))
    assert set(dropped) == before - left and FILLS.name in dropped
    with five.up():
        filled.both(five, 2)
        assert five.ask("book-hash")["book_hash"] == filled.expected()
        assert figures(five)["ledger-hash"] == filled.embedded.ask("ledger-hash")
        assert five.ask("verify")["ok"]


def what_is_sent_while_the_log_moves_is_not_left_behind(filled: Cluster) -> None:
    cluster = filled.installation("cluster", 5)
    before = in_force(filled.link)
    moving = start_move(cluster, 3, "written/SIGSTOP")
    try:
        os.waitid(os.P_PID, moving.pid, os.WSTOPPED | os.WNOWAIT)
        assert send_late(filled, before.generation) is None
        moving.send_signal(signal.SIGCONT)
        _, said = moving.communicate(timeout=120)
        assert moving.returncode == 3
        assert "expected that nothing is sent while the log moves, found records in pd.canonical" in said
    finally:
        moving.kill()
        moving.communicate()
    assert in_force(filled.link) == before
    # The old topics go on as they were.
    assert send_late(filled, before.generation) is None
    refused = cluster.run("topology", "repartition", "--partitions", "3")
    assert refused.returncode == 3
    assert "records that are not: start the workers until they are" in refused.stderr
    with cluster.up():
        assert cluster.ask("dlq", "list")["dead_letters"]


def test_a_log_that_moves(filled: Cluster) -> None:
    kills_in_a_move_leave_the_old_topics_whole_or_the_new_ones(filled, ("in force",))
    workers_go_on_with_the_new_number_and_know_what_they_knew(filled)


@pytest.mark.soak
def test_a_log_that_moves_again_and_again(filled: Cluster) -> None:
    kills_in_a_move_leave_the_old_topics_whole_or_the_new_ones(filled, tuple(POINTS))
    the_number_that_is_there_is_refused(filled)
    workers_go_on_with_the_new_number_and_know_what_they_knew(filled)
    a_second_move_and_its_old_topics(filled)
    what_is_sent_while_the_log_moves_is_not_left_behind(filled)
