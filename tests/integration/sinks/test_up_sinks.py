"""`pks up` with a sink: a process of its own, watched, seen in the metrics, and gone with the worker."""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
from nats.js.errors import NotFoundError

from connectors.redis.cache import MarketDataCache
from connectors.servers import redis
from connectors.servers.postgres import LocalPostgres
from schemas import topics
from tests.faults.stages_worker import PARTITIONS
from tests.faults.up_support import Watch, connect, pks, request_of, running, settle, started
from tests.postgres_support import as_user, execute, fetch, value
from tests.redis_support import mark
from tests.support import eventually, fill
from topology.control.entry import records_of
from topology.control.protocol import Request

COUNT = "select count(*) from trade.trade"


def soon(predicate: Callable[[], Any]) -> Any:
    """`eventually`, with the time that processes take to start on a busy machine."""
    return eventually(predicate, timeout=60)


def sink_process(folder: Path) -> int:
    """The process of the one sink, once it runs."""
    return int(soon(lambda: _running(folder))["process"])


def _running(folder: Path) -> dict[str, object] | None:
    file = folder / "sinks" / "postgres-trades.json"
    if not file.exists():
        return None
    status = json.loads(file.read_bytes())
    return status if status.get("state") == "running" else None


def send(folder: Path, first: int, last: int, **fields: object) -> None:
    client = connect(folder)
    client.ask(request_of([fill(f"t{number}", 1, 10, at=number, **fields) for number in range(first, last)]))
    settle(client)
    client.close()


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_sink_follows_the_worker_and_dies_with_it(
    tmp_path: Path, postgres_server: LocalPostgres, postgres: str
):
    folder = tmp_path / "data"
    with running(folder, PKS_POSTGRES=as_user(postgres_server, postgres, "pks_writer")) as worker:
        send(folder, 0, 100)
        soon(lambda: value(postgres, COUNT) == 100)
        process = sink_process(folder)
        # Killed, it is started again and goes on where it was.
        os.kill(process, signal.SIGKILL)
        send(folder, 100, 200)
        soon(lambda: value(postgres, COUNT) == 200)
        soon(lambda: value(postgres, "select quantity from position.position") == 200)
        watch = Watch(worker.pid, folder)
        soon(lambda: watch.metrics()['pks_sink_up{sink="postgres-trades"}'] == 1)
        assert watch.metrics()['pks_sink_lag_records{sink="postgres-trades"}'] == 0
        again = sink_process(folder)
        assert again != process
        worker.kill()
        soon(lambda: not alive(again))


def test_what_postgres_refuses_is_a_dead_letter_and_can_be_sent_again(tmp_path: Path, postgres: str):
    folder = tmp_path / "data"
    # A rule of this database that the log knows nothing of: a refusal that an operator can mend.
    execute(postgres, "alter table trade.trade add constraint small check (trader <> 'unknown')")
    with running(folder, PKS_POSTGRES=postgres):
        send(folder, 0, 3)
        send(folder, 3, 4, trader="unknown")
        send(folder, 4, 6)
        soon(lambda: value(postgres, COUNT) == 5)
        letters = soon(lambda: _letters(folder))
        assert [letter["trade_id"] for letter in letters] == ["t3"]
        assert letters[0]["stage"] == "sink postgres-trades"
        assert "small" in letters[0]["reason"]
        execute(postgres, "alter table trade.trade drop constraint small")
        retried = json.loads(pks(folder, "dlq", "retry", letters[0]["id"], "--json").stdout)
        assert retried["retried"] == [letters[0]["id"]]
        soon(lambda: value(postgres, COUNT) == 6)
        # The books had it all along: it is no second trade there.
        shown = json.loads(pks(folder, "positions", "--json").stdout)
        assert [position["quantity"] for position in shown["positions"]] == ["6"]
        assert json.loads(pks(folder, "dlq", "retry", letters[0]["id"], "--json").stdout)["already"]


def _letters(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(pks(folder, "dlq", "list", "--json").stdout)["dead_letters"]
    return found


def test_the_profile_demo_brings_its_own_server(postgres_server: LocalPostgres):
    """The server of the session says that the wheel is here; this one is the worker's own, and ends with it."""
    with tempfile.TemporaryDirectory(prefix="pks-demo-") as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "data"
        for quantity in (3, 6):
            with started(folder, "--profile", "demo") as (worker, addresses):
                send(folder, quantity - 3, quantity)
                quantities = "select sum(quantity) from position.position"
                url = addresses["postgres"]
                soon(lambda url=url, wanted=quantity, query=quantities: value(url, query) == wanted)
                soon(lambda url=addresses["nats"], wanted=quantity: _published(url) == wanted)
                if redis.available():
                    _quote(folder, quantity)
                    soon(lambda url=addresses["redis"], wanted=quantity: _price(url) == wanted)
                doctor = json.loads(pks(folder, "doctor", "--json").stdout)
                worker.terminate()
                assert worker.wait(30) == 0
            assert "optional: PostgreSQL" in [
                finding["part"] for finding in doctor["findings"] if finding["ok"]
            ]
            assert not _answers(addresses["postgres"])


def _quote(folder: Path, price: int) -> None:
    """Put a mark into the log, as whoever quotes does."""
    quoted = mark("X", str(price), at=price)
    client = connect(folder)
    client.ask(Request("append", records=records_of(topics.MARKS, [quoted], topics.MARKS.key_of, PARTITIONS)))
    client.close()


def _price(url: str) -> int:
    """What Redis has X at; 0 for nothing."""

    async def ask() -> int:
        cache = MarketDataCache(url)
        found = (await cache.mark("X")).value
        await cache.close()
        return 0 if found is None else int(found.price)

    return asyncio.run(ask())


def _published(url: str) -> int:
    """How many updates of positions NATS has; values and P&L stand in the same stream."""

    async def ask() -> int:
        client = await nats.connect(url, allow_reconnect=False)
        try:
            found = await client.jetstream().stream_info(
                "POSITIONS", subjects_filter="bo.position.updated.v1.>"
            )
            return sum((found.state.subjects or {}).values())
        except NotFoundError:  # the sink has not connected yet
            return 0
        finally:
            await client.close()

    return asyncio.run(ask())


def _answers(url: str) -> bool:
    try:
        fetch(url, "select 1")
    except OSError:
        return False
    return True
