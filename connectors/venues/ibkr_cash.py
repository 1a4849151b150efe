"""The cash of Interactive Brokers' Flex statements: what moved without a trade, and what the statement says it comes to.

Movements are the `CashTransaction` elements of level DETAIL (or of none, where the query left the level out); those of level
SUMMARY repeat them. What an account began and ended with stands in `CashReportCurrency`, by currency; the sum over currencies
(`BASE_SUMMARY`) is left out.
- A movement's id is that of its transaction, so a statement that overlaps books nothing twice; one without an id is a fault.
- Kind by `type`; a type that is not known here is left out and counted by its name.
- The day that it counts is that of `dateTime`, it settles on `settleDate`.
- The opening balance (asked for, since a ledger that has the year before has it already) is a movement of `fromDate`.

Guarantees: amounts digit by digit; all faults of all files are raised together. Entity, book and posting rules are filled in by
whoever enters the movements into a log.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from connectors.files.faults import FaultCollector, InputFaults
from connectors.venues.decoding import source_of
from connectors.venues.ibkr_xml import Record, read_records
from schemas import money
from schemas.events import number_fault
from schemas.frames import wire
from schemas.numbers import ZERO, parse_decimal, plain
from schemas.times import Nanoseconds, parse_time
from schemas.units import MovementKind, currency_code_fault, identifier_fault

NAME = "ibkr-flex"

_KINDS: Mapping[str, MovementKind] = {
    "Dividends": MovementKind.DIVIDEND,
    "Payment In Lieu Of Dividends": MovementKind.PAYMENT_IN_LIEU,
    "Withholding Tax": MovementKind.WITHHOLDING_TAX,
    "871(m) Withholding": MovementKind.WITHHOLDING_TAX,
    "Broker Interest Received": MovementKind.INTEREST,
    "Broker Interest Paid": MovementKind.MARGIN_INTEREST,
    "Bond Interest Received": MovementKind.INTEREST,
    "Bond Interest Paid": MovementKind.INTEREST,
    "Broker Fees": MovementKind.FEE,
    "Other Fees": MovementKind.FEE,
    "Advisor Fees": MovementKind.FEE,
    "Commission Adjustments": MovementKind.FEE,
    "Price Adjustments": MovementKind.CORRECTION,
}
_DEPOSITS = ("Deposits/Withdrawals", "Deposits & Withdrawals")
_DAY = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[;, T].*)?", re.ASCII)
_ABSENT = ("", "--", "N/A", "-")

_movement = wire(money.CashMovement)


@dataclass(frozen=True, slots=True)
class StatedCash:
    """What a statement says of an account's cash in one currency: `opened` with on the first of `days`, `ended` with."""

    account: str
    currency: str
    opened: Decimal
    ended: Decimal
    days: tuple[str, str]


@dataclass(slots=True)
class StatementCash:
    """What is read of statements: movements (wire twins), stated balances, the rates to the base currency that rows carry
    (lowest and highest by currency), and the types of transactions that were left out."""

    movements: list[Any] = field(default_factory=list)
    stated: list[StatedCash] = field(default_factory=list)
    base_currency: str = ""
    rates: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def read_statement_cash(paths: Sequence[str], *, opening: bool = False) -> StatementCash:
    """The cash of Flex statements. Raises InputFaults with every fault of every file."""
    found = StatementCash()
    collectors = []
    for path in paths:
        faults = FaultCollector(path)
        collectors.append(faults)
        try:
            _Reader(path, faults, found).read(opening=opening)
        except InputFaults as error:
            for fault in error.faults:
                faults.add(fault.place, fault.field, fault.expected, fault.found)
    every = [fault for faults in collectors for fault in faults.sorted()]
    if every:
        raise InputFaults(every)
    return found


class _Reader:
    """Reads one file."""

    def __init__(self, path: str, faults: FaultCollector, found: StatementCash) -> None:
        self._path = path
        self._faults = faults
        self._found = found
        self._record = Record(0, "", {})
        self._sound = True

    def read(self, *, opening: bool) -> None:
        """Take what the file has."""
        for record in read_records(self._path, self._faults):
            self._record, self._sound = record, True
            level = record.values.get("levelOfDetail", "")
            if record.tag == "CashTransaction" and level in ("", "DETAIL"):
                self._transaction()
            elif record.tag == "CashReportCurrency" and level in ("", "Currency"):
                self._balance(opening=opening)
            elif record.tag == "AccountInformation":
                self._found.base_currency = record.values.get("currency", "")
            if record.tag in ("CashTransaction", "Trade"):
                self._rate()

    def _transaction(self) -> None:
        kind = self._kind()
        if kind is None:
            self._found.left_out[self._record.values.get("type", "")] += 1
            return
        values = self._record.values
        transaction = self._text("transactionID")
        fault = identifier_fault(f"ibkr:cash:{transaction}") if transaction else "an id"
        if fault is not None:
            self._fault("transactionID", fault)
        day, settled = self._day("dateTime"), self._day("settleDate", self._day("reportDate", "") or "")
        amount, currency, account = self._number("amount"), self._currency(), self._text("accountId")
        if not self._sound or day is None or amount is None:
            return
        movement_id = f"ibkr:cash:{transaction}"
        self._found.movements.append(
            _movement(
                event_id=movement_id,
                movement_id=movement_id,
                kind=kind,
                currency=currency,
                amount=amount,
                trade_date=day,
                event_time=parse_time(f"{day}T00:00:00Z"),
                account=account,
                settlement_date=max(settled or day, day),
                instrument=self._text("symbol"),
                reference=self._text("description") or values.get("type", ""),
                source=source_of(NAME, self._path),
            )
        )

    def _kind(self) -> MovementKind | None:
        said = self._record.values.get("type", "").strip()
        if said in _DEPOSITS:
            out = self._record.values.get("amount", "").startswith("-")
            return MovementKind.WITHDRAWAL if out else MovementKind.DEPOSIT
        return _KINDS.get(said)

    def _balance(self, *, opening: bool) -> None:
        if self._record.values.get("currency") == "BASE_SUMMARY":
            return
        currency, account = self._currency(), self._text("accountId")
        opened, ended = self._number("startingCash"), self._number("endingCash")
        first, last = self._day("fromDate"), self._day("toDate")
        if not self._sound or opened is None or ended is None or first is None or last is None:
            return
        self._found.stated.append(StatedCash(account, currency, opened, ended, (first, last)))
        if opening and opened:
            movement_id = f"ibkr:opening:{account}:{currency}:{first}"
            self._found.movements.append(
                _movement(
                    event_id=movement_id,
                    movement_id=movement_id,
                    kind=MovementKind.OPENING,
                    currency=currency,
                    amount=opened,
                    trade_date=first,
                    event_time=Nanoseconds(parse_time(f"{first}T00:00:00Z")),
                    account=account,
                    settlement_date=first,
                    reference=f"opening balance of {first}",
                    source=source_of(NAME, self._path),
                )
            )

    def _rate(self) -> None:
        """Rows carry what their currency costs in the base currency of the account."""
        try:
            rate = parse_decimal(self._record.values.get("fxRateToBase", ""))
        except ValueError:
            return
        currency = self._record.values.get("currency", "")
        low, high = self._found.rates.get(currency, (rate, rate))
        if rate > ZERO:
            self._found.rates[currency] = (min(low, rate), max(high, rate))

    def _text(self, name: str) -> str:
        text = self._record.values.get(name, "").strip()
        if not text.isprintable():
            self._fault(name, "printable characters")
        return "" if text in _ABSENT else text

    def _currency(self) -> str:
        text = self._text("currency")
        fault = currency_code_fault(text)
        if fault is not None:
            self._fault("currency", fault)
        return text

    def _number(self, name: str) -> Decimal | None:
        try:
            number = Decimal(plain(parse_decimal(self._text(name))))
        except ValueError as error:
            self._fault(name, str(error))
            return None
        fault = number_fault(number)
        if fault is not None:
            self._fault(name, fault)
        return number

    def _day(self, name: str, default: str | None = None) -> str | None:
        text = self._text(name)
        if not text and default is not None:
            return default
        match = _DAY.fullmatch(text)
        day = "" if match is None else "-".join(match.groups())
        try:
            parse_time(f"{day}T00:00:00Z")
        except ValueError:
            self._fault(name, "a day as yyyy-MM-dd or yyyyMMdd")
            return None
        return day

    def _fault(self, name: str, expected: str) -> None:
        self._sound = False
        found = self._record.values.get(name) or "nothing"
        self._faults.add(f"line {self._record.line}", name, expected, found)
