"""A recorded tape of a venue through all connectors of the profile demo: equal counts everywhere, and again the same."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from connectors.embedded.log import EmbeddedLog
from connectors.questdb.server import QuestdbSettings, query
from connectors.servers import questdb
from schemas import topics
from tests.faults.up_support import pks, started
from tests.nats_support import count
from tests.postgres_support import value
from tests.support import eventually
from topology.demo.elsewhere import ask_all
from topology.settings import Settings

pytestmark = pytest.mark.tapes

WAIT_SECONDS = 120.0
NATS_PLACES = (("BOOKINGS", "backoffice.booking.v1.TradeBooked"), ("POSITIONS", "bo.position.updated.v1.*"))
"""Streams, and the subjects of them that are counted: what positions are worth is in the same stream."""


def logged(folder: Path, *wanted: topics.Topic) -> dict[str, int]:
    """The events of the topics that leave the log."""
    found = {}
    log = EmbeddedLog.reader(folder)
    try:
        for topic in wanted or (topics.BOOKINGS, topics.POSITIONS):
            found[topic.name] = sum(
                type(event).__name__ != "ClockTick"
                for partition in range(log.topics()[topic.name].partitions)
                for record in log.read(topic.name, partition, 0, 1 << 62, 1 << 62)
                for event in topic.codec.decode(record.value)
            )
    finally:
        log.close()
    return found


def money_ties(folder: Path, database: str) -> bool:
    """Whether Postgres has every transfer of the ledger, and its accounts sum to zero."""
    transfers = logged(folder, topics.LEDGER_ENTRIES)[topics.LEDGER_ENTRIES.name]
    if not transfers or value(database, "select count(*) from back_office.ledger_entry") != transfers:
        return False
    return bool(value(database, "select sum(balance) = 0 from back_office.trial_balance"))


def stored(addresses: Mapping[str, str]) -> dict[str, int]:
    """What each server has of them."""

    async def published() -> list[int]:
        client = await nats.connect(addresses["nats"], allow_reconnect=False)
        try:
            return [await count(client, *each) for each in NATS_PLACES]
        except NotFoundError:  # the sink has not connected yet
            return [0, 0]
        finally:
            await client.close()

    bookings, positions = asyncio.run(published())
    found = {
        "postgres trades": value(addresses["postgres"], "select count(*) from trade.trade"),
        "postgres effects": value(addresses["postgres"], "select count(*) from position.effect"),
        "nats bookings": bookings,
        "nats positions": positions,
    }
    if "questdb" in addresses:
        asked = query(QuestdbSettings(addresses["questdb"]), "select count() from bo_positions")
        found["questdb bookings"] = asked[0][0]
    return found


@pytest.mark.parametrize(
    ("market", "trades"), [("cm", 4_018), pytest.param("*", 55_270, marks=pytest.mark.soak)]
)
def test_a_real_tape_is_in_every_server_once_and_imported_again_changes_nothing(
    tapes: Path, market: str, trades: int
):
    files = [str(path) for path in sorted((tapes / "binance_hftbacktest").glob(f"{market}/*.trade.jsonl.gz"))]
    command = ("import", *files, "--format", "binance-stream", "--book", "BINANCE", "--json")
    # A folder that a server which is started as another user may enter.
    with tempfile.TemporaryDirectory(prefix="pks-tape-") as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "data"
        with started(folder, "--profile", "demo") as (worker, addresses):
            if not {"postgres", "nats"} <= addresses.keys():
                pytest.skip("expected the servers of the extra `servers`, found them missing")
            assert ("questdb" in addresses) == questdb.available()
            assert json.loads(pks(folder, *command).stdout)["fills"] == trades
            assert logged(folder) == dict.fromkeys((topics.BOOKINGS.name, topics.POSITIONS.name), trades)
            eventually(lambda: set(stored(addresses).values()) == {trades}, WAIT_SECONDS)
            eventually(lambda: money_ties(folder, addresses["postgres"]), WAIT_SECONDS)
            shown = json.loads(pks(folder, "positions", "--json").stdout)["positions"]
            servers = {name: addresses[name] for name in ("postgres", "nats", "questdb") if name in addresses}
            answers = ask_all(Settings(data=folder, **servers), shown)
            assert {answer.server: answer.equal for answer in answers} == dict.fromkeys(servers, True)
            receipt = json.loads(pks(folder, *command).stdout)
            assert (receipt["fills"], receipt["duplicates"]) == (0, trades)
            # What a sink would write twice it would write before what comes after.
            marker = json.loads(
                pks(folder, "import", str(_marker(above)), "--format", "canonical", "--json").stdout
            )
            assert marker["fills"] == 1
            eventually(lambda: set(stored(addresses).values()) == {trades + 1}, WAIT_SECONDS)
            assert logged(folder)[topics.BOOKINGS.name] == trades + 1
            # In order, so that its servers write nothing more where they were.
            worker.terminate()
            assert worker.wait(120) == 0


def _marker(above: str) -> Path:
    path = Path(above) / "marker.csv"
    path.write_text(
        "trade_id,book,instrument,side,quantity,price,executed_at\nm1,M,X,BUY,1,1,2026-01-05T00:00:00Z\n"
    )
    return path
