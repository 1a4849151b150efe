"""A version of the posting rules: the chart of accounts, and what is debited and credited for what.

Owns: what a rules document may say, and every fault of one with its place. A document is a mapping, as YAML or JSON has it.
Guarantees: rules that were read post to accounts of their own chart only; a version never changes once it is defined, and
a later one may make the minor unit of a currency finer, never coarser, so that all that was posted keeps its meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.ledger.calendars import Cycle
from domain.ledger.currencies import ISO_4217, Money, money_of
from schemas.units import MovementKind

ANY = "*"
"""The key of a mapping that holds for what is not named."""

CASH = "cash"
REALISED = "realised_pnl"
ROUNDING = "rounding"
OPENING = "opening_balances"
EXCHANGE = "currency_exchange"
ACCRUED = "accrued_interest"
HELD_FEES = "capitalised_fees"

REQUIRED_ACCOUNTS = (CASH, REALISED, ROUNDING, OPENING, EXCHANGE, ACCRUED, HELD_FEES)
"""Accounts that every chart has, under these names: the rules of trades post to them."""


class AccountType(StrEnum):
    """The five kinds of accounts; debits raise the first and the last, credits the others."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


class BelowZero(StrEnum):
    """What happens where an account would hold less than nothing."""

    ALLOW = "allow"
    WARN = "warn"
    BLOCK = "block"


class Model(StrEnum):
    """What of a trade moves cash: the whole price; two currencies; P&L and fees alone."""

    PRINCIPAL = "principal"
    EXCHANGE = "exchange"
    MARGINED = "margined"


class ClosedPeriod(StrEnum):
    """What is done with a posting whose day is closed: it counts in the first open day, or is refused."""

    NEXT_OPEN = "next_open"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the chart."""

    kind: AccountType
    below_zero: BelowZero = BelowZero.ALLOW


@dataclass(frozen=True, slots=True)
class TradeClass:
    """How trades of an instrument class are posted. `cycle` names how they settle; none: at once."""

    model: Model
    inventory: str
    cycle: str | None = None


@dataclass(frozen=True, slots=True)
class MovementRule:
    """The account opposite to cash; with `is_accrual` the accrued account takes the place of cash."""

    account: str
    accrued: str = ""
    is_accrual: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """A version of the rules, read and checked."""

    version: int
    accounts: Mapping[str, Account]
    classes: Mapping[str, TradeClass]
    fees: Mapping[str, str]
    movements: Mapping[MovementKind, MovementRule]
    cycles: Mapping[str, Mapping[str, Cycle]]
    scales: Mapping[str, int]
    default_scale: int = 8
    rounding: str = "half_even"
    closed_period: ClosedPeriod = ClosedPeriod.NEXT_OPEN
    lock_on_day_close: bool = False

    def scale(self, currency: str) -> int:
        """The decimals of a currency's minor unit: as declared, else by ISO 4217, else the default."""
        found = self.scales.get(currency)
        return ISO_4217.get(currency, self.default_scale) if found is None else found

    def money(self, currency: str) -> Money:
        """Rounds amounts of a currency."""
        return money_of(self.scale(currency), self.rounding)

    def trade_class(self, instrument_class: str) -> TradeClass:
        """How trades of a class are posted."""
        return self.classes.get(instrument_class.lower()) or self.classes[ANY]

    def fee_account(self, kind: str) -> str:
        """The account of a kind of fees."""
        return self.fees.get(kind) or self.fees[ANY]

    def cycle(self, name: str | None, currency: str) -> Cycle | None:
        """How trades in a currency settle; None where at once."""
        if name is None:
            return None
        by_currency = self.cycles[name]
        return by_currency.get(currency) or by_currency[ANY]


def coarser_scale(earlier: Rules, later: Rules) -> tuple[str, int, int] | None:
    """A currency whose minor unit a later version makes coarser, with both scales; None where there is none."""
    for currency in sorted({*earlier.scales, *later.scales, *ISO_4217, ""}):
        before, after = earlier.scale(currency), later.scale(currency)
        if after < before:
            return currency, before, after
    return None
