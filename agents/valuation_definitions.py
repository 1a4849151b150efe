"""Definitions, curves and rates as the valuation stage uses them: the newest of each.

Assumes: what is kept was checked; the last definition of an instrument or a book holds, a curve's highest version.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from math import nan
from typing import Any

import msgspec

from domain.fx import FxTable
from domain.valuation.rates import YEAR_DAYS, ZeroRate, zero_rate
from domain.valuation.terms import Terms, terms_of
from schemas import market_data, reference
from schemas.frames import wire
from schemas.times import NANOSECONDS_PER_SECOND

Instrument, Book = wire(reference.Instrument), wire(reference.Book)
Curve, FxRate = wire(market_data.Curve), wire(market_data.FxRate)

decode_definition = msgspec.json.Decoder(Instrument | Book | Curve | FxRate).decode


def definition_key(definition: Any) -> bytes:
    """Where a definition stands among the keys of its family."""
    kind = type(definition)
    if kind is FxRate:
        name = f"{definition.base_currency}/{definition.quote_currency}"
    elif kind is Curve:
        name = definition.curve
    else:
        name = definition.book if kind is Book else definition.instrument
    return f"{kind.__name__}\x00{name}".encode()


class Definitions:
    """What is known of books, instruments, curves and currencies; `pivot` is what currencies are crossed through."""

    def __init__(self, pivot: str) -> None:
        self.fx = FxTable(pivot)
        self.books: dict[str, Any] = {}
        self.instruments: dict[str, Any] = {}
        self.curves: dict[str, Any] = {}
        self._zero_rates: dict[str, ZeroRate | None] = {}

    def keep(self, definition: Any) -> bool:
        """Take in a definition; False where a newer one is known."""
        kind = type(definition)
        if kind is FxRate:
            return self.fx.take(definition)
        if kind is Curve:
            known = self.curves.get(definition.curve)
            if known is not None and definition.version < known.version:
                return False
            self.curves[definition.curve] = definition
            self._zero_rates.pop(definition.curve, None)
            return True
        of_kind = self.books if kind is Book else self.instruments
        name = definition.book if kind is Book else definition.instrument
        if definition.active:
            of_kind[name] = definition
        else:
            of_kind.pop(name, None)
        return True

    def terms(self, instrument: str) -> Terms:
        """How an instrument is valued."""
        return terms_of(instrument, self.instruments.get(instrument))

    def underlying_of(self, instrument: str) -> str:
        """What an instrument is valued together with."""
        known = self.instruments.get(instrument)
        return instrument if known is None or not known.underlying else str(known.underlying)

    def desk_and_currency(self, book: str) -> tuple[str, str]:
        """The desk and the base currency of a book; empty where it is not defined."""
        known = self.books.get(book)
        return ("", "") if known is None else (known.desk, known.base_currency)

    def rate_of(self, terms: Terms, day: date) -> float:
        """The continuous rate of an instrument's terms from a day to its expiry; NaN where its curve does not tell."""
        if terms.rate is not None:
            return terms.rate
        curve = self.curves.get(terms.curve)
        if curve is None:
            return nan
        if terms.curve not in self._zero_rates:
            self._zero_rates[terms.curve] = zero_rate(curve.plain_definition or curve.definition)
        rate = self._zero_rates[terms.curve]
        years = max((day_of(terms.expiry) - day).days, 0) / YEAR_DAYS
        return nan if rate is None else rate(day, years)

    def curve_texts(self) -> Mapping[str, str]:
        """The definitions of curves, as requests take them."""
        return {name: curve.definition for name, curve in self.curves.items()}


def day_of(instant: int) -> date:
    """The day in UTC of an instant."""
    return datetime.fromtimestamp(instant // NANOSECONDS_PER_SECOND, UTC).date()
