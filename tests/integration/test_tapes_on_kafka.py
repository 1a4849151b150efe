"""Real tapes through `pks import` into workers on a real broker: the books of the embedded log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.local_broker import LocalBroker
from tests.integration.test_up_on_kafka import Installation
from tests.kafka_support import running_broker

pytestmark = pytest.mark.tapes


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("kafka") / "broker") as running:
        yield running


Tape = tuple[str, list[Path], int]
"""Format, files, and fills."""

# A book an instrument, so that the partitions share the work.
BOOKS = {
    **{f"{name}.BINANCE": f"BOOK-{name}" for name in ("BTCUSDT", "ETHUSDT", "BTCUSD_PERP", "ETHUSD_PERP")},
    **{f"{name}-PERP.BINANCE": f"BOOK-{name}-PERP" for name in ("BTCUSDT", "ETHUSDT")},
    **{name: f"BOOK-{name}" for name in ("SPY", "BAC", "IBM", "AIG")},
}


def assert_same_books(folder: Path, broker: LocalBroker, seconds: float, tapes: list[Tape]) -> None:
    """Each tape into both, one after the other: the same receipts, then the same hash."""
    (folder / "books.json").write_text(json.dumps(BOOKS))
    embedded = Installation(folder / "embedded", "embedded://")
    cluster = Installation(folder / "cluster", f"kafka://{broker.address}")
    with cluster.up("--workers", "2"):
        for format_name, paths, fills in tapes:
            command = (
                "import",
                *map(str, paths),
                "--format",
                format_name,
                "--books",
                str(folder / "books.json"),
            )
            expected = embedded.ask(*command, seconds=seconds)
            assert expected["fills"] == fills
            assert cluster.ask(*command, seconds=seconds) == expected
            assert cluster.ask("book-hash")["book_hash"] == embedded.ask("book-hash")["book_hash"]


def streams(tapes: Path, market: str = "*") -> list[Path]:
    return sorted((tapes / "binance_hftbacktest").glob(f"{market}/*.trade.jsonl.gz"))


def test_recorded_streams_of_coin_margined_perpetuals(
    tapes: Path, tmp_path: Path, broker: LocalBroker
) -> None:
    assert_same_books(tmp_path, broker, 120, [("binance-stream", streams(tapes, "cm"), 4_018)])


@pytest.mark.soak
def test_all_recorded_streams_and_a_day_of_lean(tapes: Path, tmp_path: Path, broker: LocalBroker) -> None:
    ibm = tapes / "lean/equity/usa/tick/ibm/20131007_trade.zip"
    assert_same_books(
        tmp_path,
        broker,
        1_800,
        [("binance-stream", streams(tapes), 55_270), ("lean-tick", [ibm], 24_293)],
    )


@pytest.mark.soak
def test_all_four_days_of_all_four_names(tapes: Path, tmp_path: Path, broker: LocalBroker) -> None:
    whole = [tapes / "lean/equity/usa/tick"]
    assert_same_books(tmp_path, broker, 7_200, [("lean-tick", whole, 2_345_448)])
