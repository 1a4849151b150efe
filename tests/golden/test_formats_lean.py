"""Real prints of October 2013: every row a fill, sides by the tick test, times of New York."""

import csv
import io
import zipfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.venues.formats import decode
from schemas.times import format_time

pytestmark = pytest.mark.tapes

DAYS = ("20131007", "20131008", "20131009", "20131010")
PRINTS = {
    "SPY": (250_601, 451_545, 439_677, 460_032),
    "BAC": (88_172, 125_872, 122_832, 124_567),
    "IBM": (24_293, 33_381, 27_042, 22_415),
    "AIG": (25_351, 43_342, 52_008, 54_318),
}


def tick_file(tapes: Path, symbol: str, day: str) -> Path:
    return tapes / f"lean/equity/usa/tick/{symbol.lower()}/{day}_trade.zip"


def rows(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.reader(io.StringIO(text)))


def test_two_days_of_ibm_are_what_a_plain_reading_of_the_files_says(tapes: Path):
    midnight = ZoneInfo("America/New_York")
    expected = []
    price, side = None, "BUY"
    for day in DAYS[:2]:
        start = datetime.strptime(day, "%Y%m%d").replace(tzinfo=midnight)
        for line, (elapsed, text, quantity, *_) in enumerate(rows(tick_file(tapes, "IBM", day)), start=1):
            if price is not None and int(text) != price:
                side = "BUY" if int(text) > price else "SELL"
            price = int(text)
            at = start + timedelta(milliseconds=int(elapsed))
            expected.append(
                (f"lean:ibm:{day}:{line}", side, price, int(quantity), round(at.timestamp() * 1000))
            )
    paths = [str(tick_file(tapes, "IBM", day)) for day in reversed(DAYS[:2])]
    decoded = decode("lean-tick", paths)
    found = [
        (fill.trade_id, fill.side, fill.price * 10_000, fill.quantity, fill.executed_at // 1_000_000)
        for fill in decoded.fills()
    ]
    assert found == expected
    assert decoded.counts.fills == sum(PRINTS["IBM"][:2])


def test_the_first_print_and_the_book(tapes: Path):
    first = decode("lean-tick", [str(tick_file(tapes, "IBM", DAYS[0]))]).fills()[0]
    assert (first.trade_id, first.instrument, str(first.price), str(first.quantity)) == (
        "lean:ibm:20131007:1", "IBM", "181.52", "283",
    )  # fmt: skip
    assert format_time(first.executed_at) == "2013-10-07T08:00:30.27Z"


def test_gold_futures_have_an_instrument_a_contract(tapes: Path):
    decoded = decode("lean-tick", [str(tapes / "lean/future/comex/tick/gc/20131007_trade.zip")])
    found = Counter(fill.instrument for batch in decoded for fill in batch)
    assert decoded.counts.read == 40_192
    assert decoded.counts.skipped == {"print without quantity": 147}
    assert sum(found.values()) == 40_045
    # The tenth contract of the zip has prints without quantity only.
    assert len(found) == 9 and found.most_common(1)[0][0] == "GC201312"


@pytest.mark.soak
def test_all_four_days_of_all_four_names(tapes: Path):
    decoded = decode("lean-tick", [str(tapes / "lean/equity/usa/tick")])
    found: Counter[tuple[str, str]] = Counter()
    for batch in decoded:
        found.update((fill.instrument, fill.trade_id.split(":")[2]) for fill in batch)
    assert found == {
        (symbol, day): count
        for symbol, counts in PRINTS.items()
        for day, count in zip(DAYS, counts, strict=True)
    }
    assert decoded.counts.fills == decoded.counts.read == 2_345_448
