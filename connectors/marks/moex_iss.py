"""`moex-iss-marks`: the Moscow Exchange's ISS: all securities of a market, or of a board, with what they are quoted at.

Reads the document of `/iss/engines/.../securities.json`: blocks `securities` and `marketdata`, each `columns` and `data`.
One quote a security, from one board:
- Board: the first of `MAIN_BOARDS` that lists the security (what an operator prefers stands before them); where none
  does, the one with the greatest turnover of the day (`VALTODAY`), of equal ones the first by name. So an odd-lot or
  negotiated board never makes the mark of a security that has a main board. The others are skipped by their name.
- Price: `LAST`; where it is null, in this order and as a fallback: `LCURRENTPRICE`, `MARKETPRICETODAY`, `SETTLEPRICE`, all of
  today, then `PREVPRICE` of `PREVDATE`. Where all are null the security has no price, and says so.
- Time: `TIME` on the day of `SYSTIME`, in Moscow; of `PREVPRICE` the end of the main session of `PREVDATE`. It was
  observed at `UPDATETIME`: what the exchange shows to everybody is that of a quarter of an hour ago.
- Bonds are quoted in percent of their face, beside `ACCRUEDINT` for one bond.

Guarantees: digit by digit; a row with a value that is no number is rejected alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.files.rows import JsonNumber
from connectors.files.source import open_source
from connectors.marks.reading import QuoteOptions, QuoteStream, Reading, decimal_of
from connectors.venues.decoding import source_of
from schemas.quotes import FX_CLASS, Quote

NAME = "moex-iss-marks"
VENUE = "MOEX"

MAIN_BOARDS = (
    "TQBR", "TQTF", "TQPI", "TQIF",
    "TQOB", "TQCB", "TQIR", "TQRD", "TQOY", "TQIY", "TQOD", "TQUD", "TQOE",
    "TQTD", "TQFD", "TQTE", "TQFE", "TQTY",
    "CETS", "RFUD", "ROPD",
)  # fmt: skip
"""Boards where the public trades in the order book: shares, funds, bonds (by currency), funds in other currencies,
currencies, futures, options."""

_MOSCOW = ZoneInfo("Europe/Moscow")
_SECOND = 1_000_000_000
_MAIN_SESSION_ENDS = "18:50:00"
_TODAY = (("LAST", False), ("LCURRENTPRICE", True), ("MARKETPRICETODAY", True), ("SETTLEPRICE", True))
_UNDERLYING = {FX_CLASS: "FACEUNIT", "future": "ASSETCODE"}
_CURRENCIES = {"SUR": "RUB", "RUR": "RUB"}
_DOCUMENT = "a document of ISS with blocks securities and marketdata (columns and data)"

Values = Mapping[str, Any]


class BadDocument(ValueError):
    """What came is no document of ISS: expected and found."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected, self.found = expected, found


def open_streams(path: str, options: QuoteOptions) -> list[QuoteStream]:
    """The quotes of one document."""
    return [QuoteStream(path, lambda reading: _read(path, options, reading))]


def _read(path: str, options: QuoteOptions, reading: Reading) -> Iterator[Quote]:
    with open_source(path).open() as stream:
        content = stream.read()
    try:
        found = rows_of(content)
    except BadDocument as error:
        reading.faults.add("", "", error.expected, error.found)
        return
    yield from quotes_of(found, options.boards, source_of(NAME, path), reading)


def rows_of(content: bytes) -> list[Values]:
    """The securities of a document, each with its market data. Raises BadDocument."""
    try:
        document = json.loads(
            content, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber
        )
    except (ValueError, RecursionError) as error:
        raise BadDocument(_DOCUMENT, f"no JSON: {error}") from None
    securities, market = (block_rows(document, name) for name in ("securities", "marketdata"))
    if securities is None or market is None:
        raise BadDocument(_DOCUMENT, content[:80].decode("utf-8", "replace"))
    quoted = {_place_of(row): row for row in market}
    return [{**quoted.get(_place_of(row), {}), **row} for row in securities]


def block_rows(document: Any, name: str) -> list[Values] | None:
    """The rows of a block by their columns; None where there is none."""
    block = document.get(name) if isinstance(document, dict) else None
    if not isinstance(block, dict):
        return None
    columns, data = block.get("columns"), block.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    if any(not isinstance(row, list) or len(row) != len(columns) for row in data):
        return None
    return [dict(zip(columns, row, strict=True)) for row in data]


def _place_of(row: Values) -> tuple[str, str]:
    return str(row.get("SECID") or ""), str(row.get("BOARDID") or "")


def quotes_of(
    rows: Sequence[Values], boards: Sequence[str], source: str, reading: Reading
) -> Iterator[Quote]:
    """One quote a security; `boards` are preferred. Counts every row."""
    reading.counts.read += len(rows)
    by_security: dict[str, list[Values]] = {}
    for row in rows:
        by_security.setdefault(_place_of(row)[0], []).append(row)
    for security, listed in by_security.items():
        chosen = choose_board(listed, boards)
        for row in listed:
            if row is not chosen:
                reading.counts.skip(f"board {_place_of(row)[1]}, not the main one")
        try:
            quote = _quote(chosen, source)
        except _BadValue as error:
            reading.reject("number", error.place, error.field, error.expected, error.found)
            continue
        assert quote.instrument == instrument_of(security), "a security has one id"
        yield quote


def choose_board(listed: Sequence[Values], preferred: Sequence[str] = ()) -> Values:
    """The row of the board that makes the mark."""
    order = (*preferred, *MAIN_BOARDS)

    def rank(row: Values) -> tuple[int, Decimal, str]:
        board = _place_of(row)[1]
        place = order.index(board) if board in order else len(order)
        return place, -_turnover(row), board

    return min(listed, key=rank)


def _turnover(row: Values) -> Decimal:
    try:
        return decimal_of(row.get("VALTODAY")) or Decimal(0)
    except ValueError:
        return Decimal(0)


def instrument_of(security: str) -> str:
    """The instrument's id: `GAZP.MOEX`."""
    return f"{security}.{VENUE}"


class _BadValue(ValueError):
    def __init__(self, row: Values, field: str, expected: str, found: str) -> None:
        super().__init__(field)
        self.place = " ".join(_place_of(row))
        self.field, self.expected, self.found = field, expected, found


def _number(row: Values, field: str) -> Decimal | None:
    try:
        return decimal_of(row.get(field))
    except ValueError as error:
        raise _BadValue(row, field, str(error), str(row.get(field))) from None


def _moment(row: Values, field: str, day: Any, clock: Any) -> int:
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=_MOSCOW)
    except ValueError:
        raise _BadValue(row, field, "a date and a time of day", f"{day} {clock}") from None
    return int(moment.timestamp()) * _SECOND


def _quote(row: Values, source: str) -> Quote:
    day, _, clock = str(row.get("SYSTIME") or "").partition(" ")
    seen_at = _moment(row, "UPDATETIME", day, row.get("UPDATETIME") or clock)
    price, fallback = None, False
    event_time = seen_at
    for field, stands_in in _TODAY:
        price = _number(row, field)
        if price is not None:
            event_time, fallback = _moment(row, "TIME", day, row.get("TIME") or clock), stands_in
            break
    else:
        price = _number(row, "PREVPRICE")
        if price is not None:
            event_time, fallback = _moment(row, "PREVDATE", row.get("PREVDATE"), _MAIN_SESSION_ENDS), True
    security, _ = _place_of(row)
    instrument_class = _class_of(row)
    currency = str(row.get("CURRENCYID") or "")
    return Quote(
        instrument=instrument_of(security),
        event_time=event_time,
        observed_at=seen_at,
        source=source,
        price=price,
        bid=_number(row, "BID"),
        ask=_number(row, "OFFER"),
        fallback=fallback,
        no_price=price is None,
        source_sequence=int(_number(row, "SEQNUM") or 0),
        instrument_class=instrument_class,
        # Of a pair the currency that is bought, of a future its asset.
        underlying=str(row.get(_UNDERLYING.get(instrument_class, "")) or ""),
        currency=_CURRENCIES.get(currency, currency),
        accrued_interest=_number(row, "ACCRUEDINT") if instrument_class == "bond" else None,
        place=" ".join(_place_of(row)),
    )


def _class_of(row: Values) -> str:
    """What a security is, by the columns that only its market has."""
    if "ACCRUEDINT" in row:
        return "bond"
    if row.get("MARKETCODE") == "CURR":
        return FX_CLASS
    return "future" if "LASTTRADEDATE" in row or "LASTDELDATE" in row else "equity"
