"""Options and futures off one spot or forward, valued together in columns.

Owns: their terms as numpy columns, rebuilt where a position came or an instrument is defined anew, and the own marks of
those that have one.
Guarantees: a value by model is the price rounded to 12 decimals times the exact weight; by mark it is exact. Greeks are of
the model either way, at the declared volatility or the one that the own mark implied when it came.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import exp, nan
from typing import Any

import numpy as np

from agents.valuation_rows import EMPTY, Rows, encoded
from agents.valuation_values import (
    GREEKS,
    MISSING,
    Price,
    Values,
    chosen,
    decimals,
    maybe_decimals,
    same,
)
from domain.pricing.batch import Evaluate
from domain.pricing.implied import OutsideBounds, implied_volatility
from domain.valuation.money import MODEL_PRICE_DECIMALS, model_price, worth
from domain.valuation.options import NANOSECONDS_A_YEAR, Inputs, UnitGreeks, some_of, unit_greeks, years_to
from domain.valuation.terms import Model, Terms
from schemas.numbers import ZERO
from schemas.units import ValuedBy

ZeroRateOf = Callable[[Terms, date], float]
"""The continuous rate of an instrument's terms to its expiry, from a day; NaN where its curve does not tell."""

_FORMAT = f"%.{MODEL_PRICE_DECIMALS}f"


class Options(Rows):
    """Positions whose instruments hang on one spot or forward, `driver`."""

    __slots__ = (
        "_day",
        "_encoded_terms",
        "_inputs",
        "_terms",
        "driver",
        "own",
        "terms",
        "volatility",
    )

    def __init__(self, driver: str, underlying: str) -> None:
        super().__init__(underlying)
        self.driver = driver
        self.terms: dict[str, Terms] = {}
        self.own: dict[str, Price] = {}
        self.volatility: dict[str, float] = {}
        self._terms: list[Terms] = []
        self._inputs: Inputs | None = None
        self._encoded_terms: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._day: date | None = None

    def define(self, terms: Terms) -> None:
        """The terms of one of its instruments."""
        self.terms[terms.instrument] = terms
        self.changed()

    def changed(self) -> None:
        """Terms, curves or volatilities are others: the columns are made anew when next needed."""
        self._inputs = None

    def take_mark(self, instrument: str, price: Price, volatility: float) -> None:
        """An own mark of one of its instruments, and the volatility that it implied when it came; NaN for none."""
        self.own[instrument] = price
        if self.terms[instrument].volatility is None:
            self.volatility[instrument] = volatility
            self.changed()

    def _inputs_of(self, day: date, rate_of: ZeroRateOf) -> Inputs:
        if self._inputs is None or self._day != day or len(self._terms) != len(self):
            self._terms = found = [self.terms[each.instrument] for each in self.held]
            rates = {name: rate_of(terms, day) for name, terms in self.terms.items()}
            known = self.volatility
            self._inputs = Inputs(
                np.array([each.sign for each in found]),
                np.array([each.strike or 1.0 for each in found]),
                np.array([each.expiry for each in found], dtype=np.int64),
                np.array([rates[each.instrument] for each in found]),
                np.array([each.dividend_yield for each in found]),
                np.array([_volatility(each, known) for each in found]),
                np.array([each.model is Model.BLACK76 for each in found], dtype=np.bool_),
            )
            self._day = day
            self._encoded_terms.clear()
        return self._inputs

    def value(
        self, rows: Sequence[int], spot: Price, day: date, now: int, rate_of: ZeroRateOf, evaluate: Evaluate
    ) -> Values:
        """Some rows at the spot, `now` in nanoseconds."""
        inputs = self._inputs_of(day, rate_of)
        if len(rows) != len(self):
            inputs = some_of(inputs, rows)
        years = years_to(inputs.expiry, now)
        at = nan if spot.price is None else float(spot.price)
        unit = unit_greeks(inputs, at if at > 0.0 else nan, years, evaluate)
        sizes = np.array(chosen(self.size, rows))
        greeks: dict[str, list[float | None]] = {
            name: (column * sizes).tolist() for name, column in zip(GREEKS, unit[1:], strict=True)
        }
        if (
            not self.own
            and spot.price is not None
            and not self.some_inverse
            and not np.isnan(unit.price).any()
        ):
            values = self._by_model(rows, unit, spot)
        else:
            values = self._one_by_one(rows, unit, spot)
        if spot.price is not None:
            values.at, values.spot = at, same(at, len(rows))
        values.volatility, values.rate = self._terms_columns(rows, inputs)
        values.time_to_expiry = encoded(years.tolist())
        values.greeks = greeks
        return values

    def _terms_columns(self, rows: Sequence[int], inputs: Inputs) -> tuple[Any, Any]:
        """The columns of volatility and rate, which of a range are kept as long as the terms."""
        if not isinstance(rows, range):
            return encoded(inputs.volatility.tolist()), encoded(inputs.rate.tolist())
        found = self._encoded_terms.get((rows.start, rows.stop))
        if found is None:
            found = encoded(inputs.volatility.tolist()), encoded(inputs.rate.tolist())
            self._encoded_terms[rows.start, rows.stop] = found
        return found

    def _by_model(self, rows: Sequence[int], unit: UnitGreeks, spot: Price) -> Values:
        """All by model, all priced: the way of ten thousand at once."""
        count = len(rows)
        text = [_FORMAT % price for price in unit.price.tolist()]
        marks = list(map(Decimal, text))
        worths = [mark * weight for mark, weight in zip(marks, chosen(self.weight, rows), strict=True)]
        pnls = [value - cost for value, cost in zip(worths, chosen(self.cost, rows), strict=True)]
        return Values(
            mark=decimals(text),
            mark_quality=same(spot.quality, count),
            mark_time=same(spot.event_time, count),
            valued_by=same(ValuedBy.MODEL, count),
            market_value=decimals(worths),
            accrued_interest=EMPTY,
            unrealised_pnl=decimals(pnls),
            reasons=spot.reason,
            worths=worths,
            pnls=pnls,
            qualities=spot.quality,
            at=None,
        )

    def _one_by_one(self, rows: Sequence[int], unit: UnitGreeks, spot: Price) -> Values:
        held = chosen(self.held, rows)
        prices = [self._price(row, price, spot) for row, price in zip(rows, unit.price.tolist(), strict=True)]
        found = [
            worth(each.quantity, each.multiplier, each.inverse, each.gross_cost, price.price)
            for each, price in zip(held, prices, strict=True)
        ]
        worths = [None if each is None else each.market_value for each in found]
        pnls = [None if each is None else each.unrealised_pnl for each in found]
        return Values(
            mark=maybe_decimals([price.price for price in prices]),
            mark_quality=encoded([price.quality for price in prices]),
            mark_time=encoded([price.event_time for price in prices]),
            valued_by=encoded([price.valued_by for price in prices]),
            market_value=maybe_decimals(worths),
            accrued_interest=EMPTY,
            unrealised_pnl=maybe_decimals(pnls),
            reasons=[
                "" if not each.quantity else price.reason for each, price in zip(held, prices, strict=True)
            ],
            worths=worths,
            pnls=pnls,
            qualities=[price.quality for price in prices],
            at=None,
        )

    def _price(self, row: int, modelled: float, spot: Price) -> Price:
        """What one row is valued at: its own mark, else the model."""
        instrument = self.held[row].instrument
        terms, own = self.terms[instrument], self.own.get(instrument)
        if own is not None and own.price is not None and not terms.by_model:
            reason = own.reason
            if not reason and modelled != modelled:
                reason = f"no Greeks: {self._why(terms, spot)}"
            return own._replace(reason=reason)
        if modelled == modelled:
            return Price(
                model_price(modelled), spot.quality, spot.event_time, ValuedBy.MODEL, reason=spot.reason
            )
        return Price(None, MISSING, reason=self._why(terms, spot))

    def _why(self, terms: Terms, spot: Price) -> str:
        """Why the model gives nothing."""
        if spot.price is None:
            return spot.reason or f"no mark of {self.driver}"
        if spot.price <= 0:
            return f"the mark of {self.driver} is not above 0, as {terms.model} needs it"
        volatility = _volatility(terms, self.volatility)
        if volatility != volatility:
            return f"no volatility of {terms.instrument}: declare one, or send a mark that implies one"
        if terms.curve:
            return f"curve {terms.curve} gives no rate here: define it flat, zero or discount"
        return f"{terms.model} gives no finite price"


def _volatility(terms: Terms, implied: Mapping[str, float]) -> float:
    if terms.model is Model.FUTURE:
        return 0.0
    return implied.get(terms.instrument, nan) if terms.volatility is None else terms.volatility


def implied(terms: Terms, price: Price, spot: Price, rate: float, now: int) -> float:
    """The volatility that an own mark implies at a spot; NaN where there is none, and where one is declared."""
    if terms.volatility is not None or terms.model is Model.FUTURE:
        return nan
    years = max(terms.expiry - now, 0) / NANOSECONDS_A_YEAR
    if price.price is None or spot.price is None or spot.price <= ZERO or years <= 0.0 or rate != rate:
        return nan
    at = float(spot.price)
    forward = at if terms.model is Model.BLACK76 else at * exp((rate - terms.dividend_yield) * years)
    try:
        return implied_volatility(
            int(terms.sign), float(price.price), forward, terms.strike, exp(-rate * years), years
        )
    except (OutsideBounds, ArithmeticError, ValueError):
        return nan
