"""Which two currencies an instrument that is a currency pair is made of."""

import re

FX_CLASSES = frozenset({"FX", "SPOT_FX"})
"""Classes of instruments whose price is a rate, in capitals."""

_PAIR = re.compile(r"([A-Z]{3})[/_-]?([A-Z]{3})(?:\..*)?")


def currency_pair(
    instrument: str, instrument_class: str, underlying: str, currency: str
) -> tuple[str, str] | None:
    """Base and quote currency of a pair; None where the instrument is no pair, or does not say of which two.

    Of a pair the underlying is the base and the currency the quote; where they are not said, the id is read: `EURUSD`,
    `EUR/USD`, each with a venue behind a point or without.
    """
    if instrument_class.upper() not in FX_CLASSES:
        return None
    if not underlying or not currency:
        named = _PAIR.fullmatch(instrument)
        if named is None:
            return None
        underlying, currency = underlying or named[1], currency or named[2]
    return (underlying, currency) if underlying != currency else None
