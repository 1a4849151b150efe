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

NO_BLANKS = "no blanks at the ends"
"""What is expected of a name that begins or ends with one."""


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


class Regime(StrEnum):
    """Where a trade was made; decides which fields it must have."""

    EXCHANGE = "exchange"
    OTC = "otc"
    INTERNAL = "internal"


def blank_at_an_end(text: str) -> bool:
    """Whether a text begins or ends with a blank."""
    return text[:1] == " " or text[-1:] == " "


def identifier_fault(text: str) -> str | None:
    """What is wrong with a trade, book or instrument id; None where nothing is.

    1 to 128 printable characters of any script, no blanks at the ends (`B1 ` beside `B1` would be another book, and
    look the same), not starting with `=`, `+`, `-` or `@` (a spreadsheet would run those as a formula).
    """
    if not 1 <= len(text) <= IDENTIFIER_CHARACTERS_MAX:
        return f"1 to {IDENTIFIER_CHARACTERS_MAX} characters"
    if not text.isprintable():
        return "printable characters only"
    if not text.strip():
        return "at least one character that is not blank"
    if blank_at_an_end(text):
        return NO_BLANKS
    if text[0] in "=+-@":
        return "a first character other than = + - @"
    return None
