"""What one `Trade` row of a Flex statement says: its terms, exact, or every fault of it.

The attributes are Interactive Brokers' own ("Activity Flex Query Reference", Trades). A query chooses which of them
a statement has, so most may be missing.
- Times are wall-clock times in New York unless they name a zone. Without `dateTime`, `tradeDate` (and `tradeTime`)
  hold; a day alone is its midnight in New York, so that its trades come before those of the day with a time.
- `quantity` is signed in the file; the side is that of `buySell`, or where that is missing, of the sign.
- `BUY (Ca.)` and `SELL (Ca.)` (or the transaction type `TradeCancel` where there is no `buySell`) take a trade away.
- Prices of bonds and bills are percent of the face, so their multiplier is a hundredth, unless `tradeMoney` says
  otherwise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.files.faults import FaultCollector
from connectors.venues.decoding import EXECUTED_AT_MAX, EXECUTED_AT_MIN, checked_identifier, shifted
from connectors.venues.ibkr_xml import Record
from schemas import events
from schemas.events import number_fault
from schemas.frames import wire
from schemas.numbers import ONE, ZERO, exact_arithmetic, parse_decimal, plain
from schemas.times import NANOSECONDS_PER_SECOND
from schemas.units import IDENTIFIER_CHARACTERS_MAX, Side, identifier_fault

NEW_YORK: Final = ZoneInfo("America/New_York")

INSTRUMENT_CLASSES: Mapping[str, str] = {
    "STK": "equity",
    "OPT": "option",
    "FUT": "future",
    "FOP": "future_option",
    "CASH": "fx",
    "BOND": "bond",
    "BILL": "bill",
    "FUND": "fund",
    "WAR": "warrant",
    "IOPT": "structured_product",
    "CFD": "cfd",
    "CMDTY": "commodity",
    "CRYPTO": "crypto",
}
"""Instrument class by `assetCategory`; any other category is its own class, in lower case."""

_PERCENT_QUOTED = ("BOND", "BILL")
_CURRENCIES = "CASH"
_NUMBER_DIGITS_MAX = 18
_ID_CHARACTERS_MAX = 48
"""Two ids and a word still make an identifier."""

_CANCELLED = "(Ca.)"
_ABSENT = ("", "--", "N/A")
_NO_ID = (*_ABSENT, "0")
_DAY = r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
_CLOCK = r"([0-9]{2}):?([0-9]{2}):?([0-9]{2})"
_WHEN = re.compile(
    rf"{_DAY}(?:(?:[;T]|,? ){_CLOCK}(?: ?([A-Za-z]{{1,4}}|[+-][0-9]{{2}}:?[0-9]{{2}}))?)?", re.ASCII
)
_ZONES: Mapping[str, tzinfo] = {
    "EST": timezone(timedelta(hours=-5)),
    "EDT": timezone(timedelta(hours=-4)),
    "UTC": UTC,
    "GMT": UTC,
    "Z": UTC,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Fee = wire(events.Fee)


def number_of(text: str) -> int | None:
    """The number that an id is; None where it is none, or too long for one."""
    plainly = text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS_MAX
    return int(text) if plainly else None


@dataclass(frozen=True, slots=True)
class Execution:
    """A `Trade` row. Ids are None where the row has none; `cancels` says that it takes a trade away."""

    line: int
    cancels: bool
    trade_id: str | None
    transaction_id: str | None
    execution_id: str | None
    original_trade_id: str | None
    original_transaction_id: str | None
    account: str
    instrument: str
    contract: str
    side: Side
    quantity: Decimal
    price: Decimal
    executed_at: int
    fees: tuple[events.Fee, ...]
    multiplier: Decimal
    currency: str
    instrument_class: str
    underlying: str
    venue: str
    accrued_interest: Decimal
    settlement_date: str | None

    @property
    def terms(self) -> tuple[object, ...]:
        """What a cancel repeats of its trade."""
        return (
            self.account,
            self.instrument,
            self.contract,
            self.side,
            self.quantity,
            self.price,
            self.executed_at,
        )

    @property
    def transaction_number(self) -> int:
        """The transaction's number, which grows with time; 0 where it has none."""
        return number_of(self.transaction_id or "") or 0


class TradeRows:
    """Reads `Trade` rows of one file; what is wrong with one goes to `faults`."""

    def __init__(self, faults: FaultCollector) -> None:
        self._faults = faults
        self._record = Record(0, "", {})
        self._sound = True

    def read(self, record: Record) -> Execution | None:
        """The execution that a row says; None where it is at fault."""
        self._record, self._sound = record, True
        side, cancels = self._side()
        currency = self._text("currency")
        category = self._text("assetCategory")
        contract = self._text("conid")
        instrument = self._text("symbol") or contract
        account = self._text("accountId")
        if not instrument:
            self._fault("symbol", "a symbol, or a conid")
        elif not checked_identifier(self._faults, f"line {record.line}", "symbol", instrument):
            self._sound = False
        if account and identifier_fault(account) is not None:
            self._fault("accountId", str(identifier_fault(account)))
        ids = {
            "trade_id": self._id("tradeID"),
            "transaction_id": self._id("transactionID"),
            "execution_id": self._id("ibExecID"),
            "original_trade_id": self._id("origTradeID"),
            "original_transaction_id": self._id("origTransactionID"),
        }
        quantity = self._number("quantity")
        price = self._number("tradePrice")
        executed_at = self._executed_at()
        fees = self._fees(currency)
        multiplier = self._multiplier(category, quantity, price)
        accrued = self._number("accruedInt", ZERO)
        settlement_date = self._settlement_date()
        venue, underlying = self._text("exchange"), self._text("underlyingSymbol")
        if category == _CURRENCIES and not underlying:
            # `EUR.USD` is euros, for dollars: the ledger moves both.
            underlying = instrument.partition(".")[0]
        if not self._sound:
            return None
        assert quantity is not None and price is not None and executed_at is not None and accrued is not None
        return Execution(
            line=record.line,
            cancels=cancels,
            **ids,
            account=account,
            instrument=instrument,
            contract=contract if number_of(contract) is not None else "",
            side=side,
            quantity=quantity.copy_abs(),
            price=price,
            executed_at=executed_at,
            fees=fees,
            multiplier=multiplier,
            currency=currency,
            instrument_class=INSTRUMENT_CLASSES.get(category, category.lower()),
            underlying=underlying,
            venue=venue,
            accrued_interest=accrued.copy_abs(),
            settlement_date=settlement_date,
        )

    def _text(self, name: str) -> str:
        text = self._record.values.get(name, "").strip()
        if len(text) > IDENTIFIER_CHARACTERS_MAX or not text.isprintable():
            self._fault(name, f"at most {IDENTIFIER_CHARACTERS_MAX} printable characters")
            return ""
        return "" if text in _ABSENT else text

    def _id(self, name: str) -> str | None:
        text = self._text(name)
        if text in _NO_ID:
            return None
        if len(text) > _ID_CHARACTERS_MAX:
            self._fault(name, f"an id of at most {_ID_CHARACTERS_MAX} characters")
        elif identifier_fault(text) is not None:
            self._fault(name, str(identifier_fault(text)))
        return text

    def _fault(self, name: str, expected: str) -> None:
        self._sound = False
        found = self._record.values.get(name)
        self._faults.add(f"line {self._record.line}", name, expected, found or "nothing")

    def _number(self, name: str, default: Decimal | None = None) -> Decimal | None:
        text = self._text(name)
        if not text and default is not None:
            return default
        try:
            return Decimal(plain(parse_decimal(text)))
        except ValueError as error:
            self._fault(name, str(error))
            return None

    def _side(self) -> tuple[Side, bool]:
        """The side of the trade, and whether the row takes it away."""
        said = self._text("buySell")
        negative = self._text("quantity").startswith("-")
        if not said:
            cancels = self._text("transactionType") == "TradeCancel"
            # The quantity of a cancel is that of its trade with the other sign.
            return (Side.SELL if negative != cancels else Side.BUY), cancels
        word = said.removesuffix(_CANCELLED).strip()
        if word not in (Side.BUY, Side.SELL):
            self._fault("buySell", "BUY, SELL, BUY (Ca.) or SELL (Ca.)")
            return Side.BUY, False
        cancels = said.endswith(_CANCELLED)
        if not cancels and negative and word == Side.BUY:
            self._fault("quantity", "a quantity above 0 for a BUY")
        return Side(word), cancels

    def _executed_at(self) -> int | None:
        name = "dateTime"
        text = self._text(name)
        if not text:
            name = "tradeDate"
            text = self._text(name)
            clock = self._text("tradeTime")
            text = f"{text};{clock}" if text and clock else text
        moment = _moment(text)
        if moment is None:
            self._fault(name, "a time as yyyy-MM-dd or yyyyMMdd, then ; or a blank and HH:mm:ss or HHmmss")
        return moment

    def _settlement_date(self) -> str | None:
        text = self._text("settleDateTarget")
        if not text:
            return None
        match = _WHEN.fullmatch(text)
        if match is None or _moment(text) is None:
            self._fault("settleDateTarget", "a day as yyyy-MM-dd or yyyyMMdd")
            return None
        return "-".join(match.groups()[:3])

    def _fees(self, currency: str) -> tuple[events.Fee, ...]:
        """The commission (a cost is positive here) and taxes, where there are any."""
        found = []
        for name, kind, unit in (
            ("ibCommission", "commission", self._text("ibCommissionCurrency")),
            ("taxes", "tax", currency),
        ):
            amount = self._number(name, ZERO)
            if amount:
                found.append(
                    _Fee(amount=amount.copy_negate(), kind=kind, currency="" if unit == currency else unit)
                )
        return tuple(found)

    def _multiplier(self, category: str, quantity: Decimal | None, price: Decimal | None) -> Decimal:
        multiplier = self._number("multiplier", ONE)
        if multiplier is not None and multiplier <= 0:
            self._fault("multiplier", "a number above 0")
        if multiplier is None or category not in _PERCENT_QUOTED or quantity is None or price is None:
            return multiplier or ONE
        with exact_arithmetic():
            whole = quantity * price * multiplier
            money = self._number("tradeMoney", ZERO)
            of_one = money is not None and abs(money) == abs(whole) != 0
        multiplier = multiplier if of_one else shifted(multiplier, -2)
        if number_fault(multiplier) is not None:
            self._fault("multiplier", str(number_fault(multiplier)))
        return multiplier


def _moment(text: str) -> int | None:
    """Nanoseconds of a Flex time; None where it is none."""
    match: Any = _WHEN.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    zoned: tzinfo | None = NEW_YORK
    if zone is not None:
        zoned = _ZONES.get(zone.upper()) or _offset(zone)
    if zoned is None:
        return None
    try:
        clock = (int(hour or 0), int(minute or 0), int(second or 0))
        moment = datetime(int(year), int(month), int(day), *clock, tzinfo=zoned) - _EPOCH
    except (ValueError, OverflowError):
        return None
    instant = (moment.days * 86_400 + moment.seconds) * NANOSECONDS_PER_SECOND
    return instant if EXECUTED_AT_MIN <= instant < EXECUTED_AT_MAX else None


def _offset(zone: str) -> tzinfo | None:
    """The zone of `+01:00` or `+0100`; None for any other text."""
    if zone[0] not in "+-":
        return None
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return None
    away = timedelta(hours=hours, minutes=minutes)
    return timezone(-away if zone[0] == "-" else away)
