"""Quotes: what a source of marks says of an instrument, before any rule has looked at it.

Owns: the one form in which every source hands over its quotes.
Guarantees: numbers are exact, and no more is known of them than that they are numbers of at most 60 digits.
"""

from decimal import Decimal

import msgspec

FX_CLASS = "FX"
"""The class of currency pairs: `underlying` is the base, `currency` the quote."""


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A quote of one unit of an instrument; times are nanoseconds since 1970 UTC.

    `price` is the source's own (a last trade, a settlement); where it is None, the middle of bid and ask is meant.
    `fallback` says that the price stands in for one that is not there (yesterday's, for today's), and `no_price` that the
    source knows of none at all. `observed_at` is when the source was seen to say so, 0 of a record
    of the past. `place` names the line or row, for messages.
    """

    instrument: str
    event_time: int
    source: str
    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    fallback: bool = False
    no_price: bool = False
    observed_at: int = 0
    source_sequence: int = 0
    instrument_class: str = ""
    underlying: str = ""
    currency: str = ""
    accrued_interest: Decimal | None = None
    place: str = ""
