"""Poison on one key: what cannot be applied goes aside with its bytes, and its partition goes on."""

import time
from pathlib import Path

import pytest

from schemas import topics
from schemas.frames import encode_frames
from tests.faults import stages_worker
from tests.faults.up_support import Watch, pks, planted, request_of, running, settle
from tests.support import Books, eventually, fill
from topology.control.protocol import ControlClient, Outgoing, Request

GARBAGE = b"\xff\x00 no JSON"
MOVED_ON_SECONDS = 1.0


def poison(number: int) -> list:
    """A burst for one key: fills that the code fails on, that a rule refuses, and bytes that are none."""
    fills = [fill(f"p{turn}", at=turn, trader="poison") for turn in range(number)]
    return [*fills, fill("r", settlement_date="never")]


def send_poison(client: ControlClient, number: int) -> None:
    (frame,) = encode_frames(poison(number))
    client.ask(
        Request(
            "append",
            records=[
                Outgoing(topics.FILLS.name, 0, None, GARBAGE),
                Outgoing(topics.FILLS.name, 0, None, frame),
            ],
        )
    )


def test_the_partition_goes_on_behind_poison(tmp_path: Path):
    folder, number = tmp_path / "data", 5
    with running(folder, command=planted("failing")) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        client.ask(request_of([fill("before")]))
        send_poison(client, number)
        client.ask(request_of([fill("after", at=1)]))
        settle(client)
        assert not any(watch.lags_of_books().values())
        metrics = watch.metrics()
        assert metrics['pks_dead_letters_total{stage="trade_capture"}'] == number + 2
        assert metrics['pks_partitions_stopped{stage="trade_capture"}'] == 0
        assert metrics['pks_identity_residual{stage="trade_capture"}'] == 0
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    assert pks(folder, "verify", "--quick").returncode == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        letters = books.dead_letters()
        assert [letter.kind for letter in letters].count("failed") == number
        originals = {bytes(letter.original) for letter in letters}
        assert originals == {GARBAGE, *(encode_frames([event])[0][1:-1] for event in poison(number))}
        assert books.position().quantity == 20


def test_poison_that_is_retried_without_the_defect_is_applied(tmp_path: Path):
    folder = tmp_path / "data"
    with running(folder, command=planted("failing")) as process:
        client = ControlClient(folder)
        send_poison(client, 3)
        settle(client)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    with running(folder):
        done = pks(folder, "dlq", "retry", "--all", "--kind", "failed", "--json")
        assert done.returncode == 0 and '"rejected_again": 0' in done.stdout
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.position().quantity == 30


@pytest.mark.soak
def test_behind_a_burst_of_a_hundred_the_partition_moves_on_within_a_second(tmp_path: Path):
    folder = tmp_path / "data"
    with running(folder, command=planted("failing")) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        client.ask(request_of([fill("before")]))
        settle(client)
        started = time.perf_counter()
        send_poison(client, 100)
        client.ask(request_of([fill("after", at=1)]))
        settle(client)
        took = time.perf_counter() - started
        print(f"behind a burst of 100: applied after {took:.3f} s")
        assert took < MOVED_ON_SECONDS
        eventually(lambda: watch.metrics()['pks_dead_letters_total{stage="trade_capture"}'] == 102)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
