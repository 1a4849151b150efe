"""Market data as events: marks, curves, bars and rates of currencies, each the newest of its key wherever only the newest is kept.

Owns: their fields and constraints. `source` of each names who quoted it.
Guarantees: a mark without a price says so (`missing`), it is never zero; numbers are exact decimals.
"""

import json
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier, Number, PositiveNumber
from schemas.numbers import ZERO
from schemas.times import Nanoseconds
from schemas.units import BarInterval, MarkQuality

CURVE_TYPES = ("flat", "zero", "discount", "bootstrap")
"""The forms of a curve, as `pks price` takes them."""


def _curve_definition(text: str) -> str:
    expected = f"a JSON object with a type of {', '.join(CURVE_TYPES)}"
    try:
        # Digits are not read here: they stay as they were given.
        document = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise ValueError(f"expected {expected}") from None
    if not isinstance(document, dict) or document.get("type") not in CURVE_TYPES:
        raise ValueError(f"expected {expected}")
    return text


def _curve_definition_or_none(text: str) -> str:
    return _curve_definition(text) if text else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark(Event):
    """What one unit of an instrument is quoted at; topic `md.mark.v1`, event time `event_time`.

    `price` is None where, and only where, `quality` is `missing`. Of one instrument the mark with the greatest
    (`event_time`, `source_sequence`) is the newest; of equal ones, the one that came later. `source_sequence` is the
    source's own order (an update number, the line of a file). What the source knows of the instrument travels along:
    its class, what its value depends on (`underlying`), the currency of the price; of a currency pair, `underlying` is
    the base and `currency` the quote. `accrued_interest` is that of one bond, in `currency`, beside a clean price.
    """

    instrument: Identifier
    event_time: Nanoseconds
    quality: MarkQuality
    price: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    source_sequence: int = 0
    instrument_class: str = ""
    underlying: str = ""
    currency: str = ""
    accrued_interest: Number | None = None

    @model_validator(mode="after")
    def _has_a_price_or_says_so(self) -> "Mark":
        if (self.price is None) != (self.quality is MarkQuality.MISSING):
            raise ValueError("expected a price, or the quality missing and no price")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Event):
    """A curve in one version, from 1; topic `md.curve.v1`, event time `event_time`. A higher version replaces it.

    `definition` is a JSON object in the form in which `pks price` takes a `curve`, digit by digit as it was given.
    `plain_definition` is the same curve as discount factors or continuous zero rates at its dates, for who reads no other
    form: a bootstrapped one, or one in other conventions; empty where the definition is plain, or none equals it.
    """

    curve: Identifier
    version: Annotated[int, Field(ge=1)]
    event_time: Nanoseconds
    definition: Annotated[str, AfterValidator(_curve_definition)]
    plain_definition: Annotated[str, AfterValidator(_curve_definition_or_none)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar(Event):
    """The prices of an instrument in one interval; topic `md.ohlc.v1`, event time `opened_at`, where it begins.

    A late tick makes the bar again with a higher `revision`, which replaces it. Bars of quotes have no `volume` and
    no `trades`.
    """

    instrument: Identifier
    interval: BarInterval
    opened_at: Nanoseconds
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number = ZERO
    trades: Annotated[int, Field(ge=0)] = 0
    revision: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _holds_its_prices(self) -> "Bar":
        prices: tuple[Decimal, ...] = (self.open, self.close)
        if self.low > min(prices) or self.high < max(prices):
            raise ValueError("expected open and close between low and high")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class FxRate(Event):
    """What one unit of a currency costs in another; topic `md.fx.v1`, event time `event_time`. A later one of the same
    pair replaces it.

    `rate` units of `quote_currency` for one of `base_currency`. Without a price there is no rate: none is `missing`.
    """

    base_currency: Identifier
    quote_currency: Identifier
    event_time: Nanoseconds
    rate: PositiveNumber
    quality: MarkQuality = MarkQuality.LIVE

    @model_validator(mode="after")
    def _is_a_rate(self) -> "FxRate":
        if self.quality is MarkQuality.MISSING:
            raise ValueError("expected a rate whose quality is not missing")
        if self.base_currency == self.quote_currency:
            raise ValueError("expected two currencies")
        return self
