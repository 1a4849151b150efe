"""The names of Lean's tick files: which instrument, which day, which terms; and New York's clock of that day.

A trade file is `.../equity/usa/tick/spy/20131007_trade.zip` with one CSV, or
`.../future/comex/tick/gc/20131007_trade.zip` with one CSV a contract. The CSV's own name
(`20131007_spy_Trade_Tick.csv`, `20131007_gc_tick_trade_201312.csv`) says day, symbol and expiry, so it is enough by
itself; where it says less, the folder gives the symbol and the file the day.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PurePath
from zoneinfo import ZoneInfo

from connectors.files.faults import refuse
from connectors.venues.decoding import Numbers, shifted
from schemas.numbers import ONE, parse_decimal, plain
from schemas.units import identifier_fault

NEW_YORK = ZoneInfo("America/New_York")

EQUITY_PRICE_SCALE = 4
"""Decimals of an equity price that is written as a whole number; futures are written as they are."""

CURRENCY = "USD"

CONTRACT_SIZES = {
    "GC": Decimal(100), "MGC": Decimal(10), "SI": Decimal(5_000), "HG": Decimal(25_000), "PL": Decimal(50),
    "PA": Decimal(100), "CL": Decimal(1_000), "NG": Decimal(10_000), "ES": Decimal(50), "MES": Decimal(5),
    "NQ": Decimal(20), "MNQ": Decimal(2), "YM": Decimal(5), "RTY": Decimal(50),
}  # fmt: skip
"""Units of a futures contract (CME Group contract specifications); a root that is not here is refused, not guessed."""

_TRADE_FILE = re.compile(r"([0-9]{8})_trade\.(?:zip|csv)", re.ASCII | re.IGNORECASE)
_TRADE_CSV = re.compile(
    r"([0-9]{8})_([a-z0-9.$-]+)_(?:trade_tick|tick_trade)(?:_([0-9]{6,8}))?\.csv", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class TickFile:
    """One CSV of prints: whose, of which day, and its terms. `trade_prefix` and a line number name a print."""

    instrument: str
    day: date
    trade_prefix: str
    instrument_class: str
    underlying: str
    multiplier: Decimal
    price_scale: int
    price_may_be_negative: bool
    venue: str


class ScaledPrices(Numbers):
    """Prices by their text, moved by the file's scale."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self._scale = scale

    def read(self, text: str) -> Decimal:
        """The price that a text of the file means."""
        return Decimal(plain(shifted(parse_decimal(text), -self._scale)))


def find_trade_files(path: str) -> list[str]:
    """The file itself, or of a folder every `*_trade.zip` of a tick folder below it."""
    if path == "-" or not Path(path).is_dir():
        return [path]
    found = sorted(str(file) for file in Path(path).rglob("*_trade.zip") if _is_ticks(file))
    if not found:
        refuse(path, "a folder with tick files (*_trade.zip)", "none")
    return found


def _is_ticks(file: Path) -> bool:
    resolutions = {"minute", "second", "hour", "daily"}
    return file.is_file() and not resolutions.intersection(part.lower() for part in file.parts[:-1])


def tick_file(path: str, member: str) -> TickFile:
    """What the names of a file and of its CSV say. Raises InputFaults where they say too little."""
    csv = _TRADE_CSV.fullmatch(PurePath(member).name)
    outer = _TRADE_FILE.fullmatch(PurePath(path).name)
    folders = [part.lower() for part in PurePath(path).parts[:-1]]
    if csv is not None:
        day_text, symbol, expiry = csv.groups()
    elif outer is not None and folders:
        day_text, symbol, expiry = outer.group(1), folders[-1], None
    else:
        expected = "a file of Lean's trade ticks: <symbol>/<yyyymmdd>_trade.zip, or <yyyymmdd>_<symbol>_Trade_Tick.csv"
        refuse(path, expected, member, field="file name")
    kind = next((part for part in reversed(folders) if part in _OTHER_KINDS), None)
    if kind is not None:
        refuse(path, "ticks of equities or futures", kind, field="file name")
    try:
        day = datetime.strptime(day_text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        refuse(path, "a day as yyyymmdd", day_text, field="file name")
    return _terms(path, symbol.upper(), expiry, day, folders)


_OTHER_KINDS = ("forex", "crypto", "cfd", "option", "futureoption", "cryptofuture", "index")


def _terms(path: str, symbol: str, expiry: str | None, day: date, folders: list[str]) -> TickFile:
    if identifier_fault(symbol) is not None:
        refuse(path, str(identifier_fault(symbol)), symbol, field="symbol")
    if expiry is None:
        if "future" in folders:
            refuse(path, "one CSV a contract, whose name ends in its expiry", symbol, field="file name")
        prefix = f"lean:{symbol.lower()}:{day:%Y%m%d}:"
        return TickFile(symbol, day, prefix, "equity", symbol, ONE, EQUITY_PRICE_SCALE, False, "")
    size = CONTRACT_SIZES.get(symbol)
    if size is None:
        refuse(path, f"a future of {', '.join(CONTRACT_SIZES)}", symbol, field="symbol")
    venue = folders[folders.index("future") + 1].upper() if "future" in folders[:-1] else ""
    contract = f"{symbol}{expiry}"
    prefix = f"lean:{contract.lower()}:{day:%Y%m%d}:"
    return TickFile(contract, day, prefix, "future", symbol, size, 0, True, venue)


def clock_of(day: date) -> list[int]:
    """For each hour on New York's wall that day: what to add to nanoseconds since midnight there, for UTC.

    Daylight saving time changes on the hour, so one figure an hour is exact. An hour that comes twice is taken
    the first time, one that is left out as if the clock had not been moved yet.
    """
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock, which gets its zone below
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001
    start = int((midnight - epoch) / timedelta(seconds=1))
    hours = []
    for hour in range(24):
        offset = (midnight + timedelta(hours=hour)).replace(tzinfo=NEW_YORK).utcoffset()
        assert offset is not None
        hours.append((start - int(offset.total_seconds())) * 1_000_000_000)
    return hours
