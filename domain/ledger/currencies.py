"""Minor units: how many decimals an amount of a currency has, and rounding to them.

The table is that of ISO 4217, list one (SIX Financial Information, the standard's maintenance agency, amendments to
2026-01-01): 2 decimals but for those named here. Codes that the list has no unit for (gold, special drawing rights) are no
currencies here. What is not in the list is an asset with a scale of its own, which the posting rules declare.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from functools import cache

from schemas.numbers import ONE, ZERO

SCALE_MAX = 18
"""Most decimals of a minor unit: a wei is 1e-18 ether."""

_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP "
    "COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL "
    "THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_OTHERS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

ISO_4217: Mapping[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **{code: scale for scale, codes in _OTHERS.items() for code in codes.split()},
}
"""The exponent of each currency of the standard's list."""

ROUNDINGS: Mapping[str, str] = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "down": ROUND_DOWN,
}
"""How an amount is rounded to its minor unit, by the word in the rules."""

_PRECISION = 2_000


class Money:
    """Rounds amounts of one currency to `scale` decimals."""

    __slots__ = ("_round", "quantum", "scale", "zero")

    def __init__(self, scale: int, rounding: str = "half_even") -> None:
        self.scale = scale
        self.quantum = ONE.scaleb(-scale)
        self.zero = ZERO.quantize(self.quantum)
        self._round = Context(prec=_PRECISION, rounding=ROUNDINGS[rounding]).quantize

    def round(self, amount: Decimal) -> Decimal:
        """`amount` with exactly `scale` decimals."""
        return self._round(amount, self.quantum)


@cache
def money_of(scale: int, rounding: str) -> Money:
    """The one `Money` of a scale and a rounding."""
    return Money(scale, rounding)
