"""Rates of currencies, and those that follow from them.

Owns: the newest rate of each pair, and the one way from one currency to another: the pair itself (as it is quoted, or
turned round, whichever is newer; as it is quoted where both are of one age), else both legs through the pivot. No longer way is ever tried, so that two tables with
the same rates find the same.
Assumes: rates above 0, as `schemas.market_data.FxRate` has them.
Guarantees: a rate as it is quoted is exact; one that needs a division is rounded half-even to 24 decimals, once, after
all legs; amounts are converted by a product, which is exact. A missing rate is named, never taken as 1. Time and quality
are those of the worst leg.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.numbers import ONE, divide_price, exact_arithmetic
from schemas.units import MarkQuality

_WORSE = {
    MarkQuality.LIVE: 0,
    MarkQuality.INDICATIVE: 1,
    MarkQuality.STALE: 2,
    MarkQuality.MISSING: 3,
}
"""Order of trust; of several legs the worst holds."""


class Way(StrEnum):
    """How a rate was found."""

    SAME = "same"
    DIRECT = "direct"
    INVERSE = "inverse"
    CROSS = "cross"


class Conversion(NamedTuple):
    """What a unit of one currency costs in another, and how far that is to be trusted.

    `event_time` is the oldest of its legs' (nanoseconds), `legs` are the quoted pairs that it is made of.
    """

    rate: Decimal
    event_time: int
    quality: MarkQuality
    way: Way
    legs: tuple[str, ...] = ()


class MissingRate(NamedTuple):
    """There is no way from `base` to `quote`: `pairs` are what would have to be quoted."""

    base: str
    quote: str
    pairs: tuple[str, ...]

    @property
    def reason(self) -> str:
        """In words."""
        return f"no rate of {' or '.join(self.pairs)}"


class _Quoted(NamedTuple):
    rate: Decimal
    event_time: int
    quality: MarkQuality


class _Leg(NamedTuple):
    """A rate as numerator over denominator, one of which is 1."""

    numerator: Decimal
    denominator: Decimal
    event_time: int
    quality: MarkQuality
    pair: str


_SAME = Conversion(ONE, 0, MarkQuality.LIVE, Way.SAME)


class FxTable:
    """The newest rate of each pair; `pivot` is the currency that others are crossed through."""

    def __init__(self, pivot: str = "USD") -> None:
        self.pivot = pivot
        self._quoted: dict[tuple[str, str], _Quoted] = {}
        self._found: dict[tuple[str, str], Conversion | MissingRate] = {}

    def take(self, rate: Any) -> bool:
        """Take in an `FxRate`; one older than the pair's is passed over, which is told by False."""
        pair = (rate.base_currency, rate.quote_currency)
        known = self._quoted.get(pair)
        if known is not None and rate.event_time < known.event_time:
            return False
        self._quoted[pair] = _Quoted(rate.rate, rate.event_time, rate.quality)
        self._found.clear()
        return True

    def find(self, base: str, quote: str) -> Conversion | MissingRate:
        """What a unit of `base` costs in `quote`."""
        if base == quote:
            return _SAME
        found = self._found.get((base, quote))
        if found is None:
            with exact_arithmetic():
                found = self._found[base, quote] = self._find(base, quote)
        return found

    def _find(self, base: str, quote: str) -> Conversion | MissingRate:
        leg = self._leg(base, quote)
        if leg is not None:
            direct = leg.denominator is ONE
            rate = leg.numerator if direct else divide_price(leg.numerator, leg.denominator)
            way = Way.DIRECT if direct else Way.INVERSE
            return Conversion(rate, leg.event_time, leg.quality, way, (leg.pair,))
        pivot = self.pivot
        if pivot in (base, quote):
            return MissingRate(base, quote, (f"{base}/{quote}",))
        first, second = self._leg(base, pivot), self._leg(pivot, quote)
        if first is None or second is None:
            missing = [f"{base}/{pivot}"] if first is None else []
            missing += [f"{pivot}/{quote}"] if second is None else []
            return MissingRate(base, quote, (f"{base}/{quote}", " and ".join(missing)))
        return Conversion(
            divide_price(first.numerator * second.numerator, first.denominator * second.denominator),
            min(first.event_time, second.event_time),
            max(first.quality, second.quality, key=_WORSE.__getitem__),
            Way.CROSS,
            (first.pair, second.pair),
        )

    def _leg(self, base: str, quote: str) -> _Leg | None:
        direct, inverse = self._quoted.get((base, quote)), self._quoted.get((quote, base))
        if direct is not None and (inverse is None or inverse.event_time <= direct.event_time):
            return _Leg(direct.rate, ONE, direct.event_time, direct.quality, f"{base}/{quote}")
        if inverse is not None:
            return _Leg(ONE, inverse.rate, inverse.event_time, inverse.quality, f"{quote}/{base}")
        return None


def convert(amount: Decimal, conversion: Conversion) -> Decimal:
    """An amount in the other currency, exactly."""
    with exact_arithmetic():
        return amount * conversion.rate
