"""The field's words as types: identities, quantities, and the enumerations that events share.

Quantities are signed: positive is long (a buy), negative is short (a sell).
"""

from decimal import Decimal
from enum import StrEnum
from typing import NewType

TradeId = NewType("TradeId", str)
BookId = NewType("BookId", str)
InstrumentId = NewType("InstrumentId", str)
Quantity = NewType("Quantity", Decimal)
Price = NewType("Price", Decimal)
Money = NewType("Money", Decimal)

IDENTIFIER_CHARACTERS_MAX = 128


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class Action(StrEnum):
    """What a fill does: a new trade, or a correction of an earlier one."""

    NEW = "NEW"
    AMEND = "AMEND"
    CANCEL = "CANCEL"


class LotMethod(StrEnum):
    FIFO = "fifo"
    LIFO = "lifo"
    AVERAGE = "average"


class FeePolicy(StrEnum):
    """How fees enter net realised P&L (and, when capitalised, the cost basis)."""

    EXCLUDED = "excluded"
    EXPENSED = "expensed"
    CAPITALISED = "capitalised"


class LifecycleKind(StrEnum):
    """What a life-cycle event does to a booked trade."""

    AMEND = "amend"
    CANCEL = "cancel"
    NOVATION = "novation"
    GIVE_UP = "give_up"
    INTERBOOK = "interbook"


class MarkQuality(StrEnum):
    """How far a mark is to be trusted; one that is `missing` has no price."""

    LIVE = "live"
    STALE = "stale"
    INDICATIVE = "indicative"
    MISSING = "missing"


class EntryStatus(StrEnum):
    """Whether a transfer of the ledger has settled."""

    PENDING = "pending"
    POSTED = "posted"


class MovementKind(StrEnum):
    """Why cash moves without a trade; an accrual moves none yet."""

    OPENING = "opening"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    DIVIDEND = "dividend"
    PAYMENT_IN_LIEU = "payment_in_lieu"
    WITHHOLDING_TAX = "withholding_tax"
    INTEREST = "interest"
    INTEREST_ACCRUAL = "interest_accrual"
    COUPON = "coupon"
    COUPON_ACCRUAL = "coupon_accrual"
    FUNDING = "funding"
    FUNDING_ACCRUAL = "funding_accrual"
    BORROW_FEE = "borrow_fee"
    BORROW_FEE_ACCRUAL = "borrow_fee_accrual"
    MARGIN_INTEREST = "margin_interest"
    MARGIN_INTEREST_ACCRUAL = "margin_interest_accrual"
    FEE = "fee"
    FX_CONVERSION = "fx_conversion"
    MARGIN = "margin"
    VARIATION_MARGIN = "variation_margin"
    REDEMPTION = "redemption"
    TRANSFER = "transfer"
    PAYMENT = "payment"
    CORRECTION = "correction"


class PaymentState(StrEnum):
    """How far a payment order is."""

    DRAFT = "draft"
    APPROVED = "approved"
    SENT = "sent"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PaymentStep(StrEnum):
    """What is done with a payment order."""

    APPROVE = "approve"
    SEND = "send"
    SETTLE = "settle"
    FAIL = "fail"
    CANCEL = "cancel"


class ValuedBy(StrEnum):
    """What a position's value is taken from."""

    NOTHING = "nothing"
    MARK = "mark"
    MODEL = "model"
    ENGINE = "engine"


class BarInterval(StrEnum):
    """How long a bar is."""

    SECOND = "1s"
    MINUTE = "1m"
    DAY = "1d"


class Regime(StrEnum):
    """Where a trade was made; decides which fields it must have."""

    EXCHANGE = "exchange"
    OTC = "otc"
    INTERNAL = "internal"


def identifier_fault(text: str) -> str | None:
    """What is wrong with a trade, book or instrument id; None where nothing is.

    1 to 128 printable characters of any script, not blank, not starting with `=`, `+`, `-` or `@`
    (a spreadsheet would run those as a formula).
    """
    if not 1 <= len(text) <= IDENTIFIER_CHARACTERS_MAX:
        return f"1 to {IDENTIFIER_CHARACTERS_MAX} characters"
    if not text.isprintable():
        return "printable characters only"
    if not text.strip():
        return "at least one character that is not blank"
    if text[0] in "=+-@":
        return "a first character other than = + - @"
    return None


CURRENCY_CHARACTERS_MAX = 12


def currency_code_fault(text: str) -> str | None:
    """What a currency's code should be, where `text` is none; None where it is one.

    `USD`, `USDT`: 3 to 12 capitals and digits. Gold is no currency: `XAU` stands in a field of its own.
    """
    if not 3 <= len(text) <= CURRENCY_CHARACTERS_MAX or not text.isascii() or not text.isalnum():
        return f"a currency code of 3 to {CURRENCY_CHARACTERS_MAX} capitals and digits"
    if text.upper() != text:
        return "a currency code in capitals"
    if text == "XAU":
        return "gold in its own field, gold"
    return None
