"""The names of Lean's quote files: whose quotes, of which day, in what form.

A quote file is `.../equity/usa/tick/bac/20131007_quote.zip`, `.../future/comex/minute/gc/20131007_quote.zip` (one CSV a
contract) or, of hours and days, `.../forex/oanda/daily/eurusd.zip`. The CSV's own name says day, symbol, resolution and
expiry; the folders say the kind of instrument, and the resolution where the name does not.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePath

from connectors.files.faults import refuse
from connectors.venues.lean_files import CURRENCY, EQUITY_PRICE_SCALE
from schemas.quotes import FX_CLASS
from schemas.units import identifier_fault

KINDS = ("equity", "forex", "future", "crypto")
PERIODS = {"tick": 0, "second": 1, "minute": 60, "hour": 3_600, "daily": 86_400}
"""Seconds of a bar by resolution; a tick has none."""

_CSV = re.compile(
    r"(?:(?P<day>[0-9]{8})_)?(?P<symbol>[a-z0-9.$-]+?)"
    r"(?:_(?:(?P<resolution>tick|second|minute)_quote|quote_tick))?(?:_(?P<expiry>[0-9]{6,8}))?\.csv",
    re.ASCII | re.IGNORECASE,
)
_PAIR_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class QuoteFile:
    """One CSV of quotes. `day` is None where each line has its own date; times of `new_york` files are its clock's."""

    instrument: str
    instrument_class: str
    underlying: str
    currency: str
    day: date | None
    resolution: str
    price_scale: int
    new_york: bool


def find_quote_files(path: str) -> list[str]:
    """The file itself, or of a folder every quote file below it: `*_quote.zip`, and zips of hours and days."""
    if path == "-" or not Path(path).is_dir():
        return [path]
    found = sorted(
        str(file)
        for file in Path(path).rglob("*.zip")
        if file.name.endswith("_quote.zip") or _is_long_bars(file)
    )
    if not found:
        refuse(path, "a folder with quote files (*_quote.zip, or hours and days of forex)", "none")
    return found


def _is_long_bars(file: Path) -> bool:
    # Hours and days of equities are prices of trades.
    folders = {part.lower() for part in file.parts[:-1]}
    return bool(folders & {"hour", "daily"}) and "forex" in folders


def quote_file(path: str, member: str) -> QuoteFile:
    """What the names of a file and of its CSV say. Raises InputFaults where they say too little."""
    csv = _CSV.fullmatch(PurePath(member).name)
    if csv is None:
        refuse(
            path, "a CSV named as Lean names quotes: 20131007_bac_Quote_Tick.csv", member, field="file name"
        )
    folders = [part.lower() for part in PurePath(path).parts[:-1]]
    kind = next((part for part in reversed(folders) if part in KINDS), None)
    ticks = "quote_tick" in member.lower()
    resolution = (csv["resolution"] or ("tick" if ticks else "")).lower() or next(
        (part for part in reversed(folders) if part in PERIODS), ""
    )
    if kind is None:
        kind = "future" if csv["expiry"] else "equity" if ticks else None
    if kind is None or not resolution:
        refuse(path, f"a folder that says {', '.join(KINDS)} and the resolution", member, field="file name")
    if csv["day"] is None and resolution not in ("hour", "daily"):
        refuse(path, "a name that begins with the day (yyyymmdd)", member, field="file name")
    return _terms(
        path, kind, csv["symbol"].upper(), csv["expiry"], _day(path, csv["day"]), resolution, folders
    )


def _day(path: str, text: str | None) -> date | None:
    try:
        return None if text is None else datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        refuse(path, "a day as yyyymmdd", str(text), field="file name")


def _terms(
    path: str,
    kind: str,
    symbol: str,
    expiry: str | None,
    day: date | None,
    resolution: str,
    folders: list[str],
) -> QuoteFile:
    fault = identifier_fault(symbol)
    if fault is not None:
        refuse(path, fault, symbol, field="symbol")
    if kind == "equity":
        return QuoteFile(symbol, "equity", symbol, CURRENCY, day, resolution, EQUITY_PRICE_SCALE, True)
    if kind == "future":
        if expiry is None:
            refuse(path, "one CSV a contract, whose name ends in its expiry", symbol, field="file name")
        return QuoteFile(f"{symbol}{expiry}", "future", symbol, CURRENCY, day, resolution, 0, True)
    if len(symbol) != _PAIR_CHARACTERS:
        refuse(path, "a pair of two currencies of three letters each", symbol, field="symbol")
    base, currency = symbol[:3], symbol[3:]
    if kind == "forex":
        return QuoteFile(symbol, FX_CLASS, base, currency, day, resolution, 0, False)
    venue = folders[folders.index("crypto") + 1].upper() if "crypto" in folders[:-1] else ""
    return QuoteFile(
        f"{symbol}.{venue}" if venue else symbol, "spot", base, currency, day, resolution, 0, False
    )
