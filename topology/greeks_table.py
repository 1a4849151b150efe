"""Greeks of all positions as one matrix, and their sums by underlying, book and desk.

Owns: the newest figures of every position that a process values, as float64.
Guarantees: sums are made of all positions anew each time, so that no error grows; they are in the pivot currency, and what
has no value or no rate is left out and counted.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agents.valuation_step import Told
from agents.valuation_values import GREEKS as NAMES
from agents.valuation_values import chosen
from connectors.shm.greeks import GREEKS
from connectors.shm.marks import QUALITIES
from domain.fx import Conversion, FxTable
from schemas.units import MarkQuality

_COLUMNS = len(GREEKS.floats)
_SPOT = GREEKS.floats.index("spot")
_DELTA_VALUE = GREEKS.floats.index("delta_value")
_LEVELS = ("underlying", "book", "desk")
_FIRST_ROWS = 1_024
_MISSING = QUALITIES[MarkQuality.MISSING]


class Facts(NamedTuple):
    """What is no figure of a position."""

    partition: int
    quality: int
    event_time: int
    currency: str
    underlying: str


class Sum(NamedTuple):
    """The figures of all positions of an underlying, a book or a desk, in the pivot currency."""

    name: str
    figures: list[float]
    positions: int
    unvalued: int


class GreeksTable:
    """Figures by position. `rows` numbers the positions by book and instrument."""

    def __init__(self, pivot: str) -> None:
        self._pivot = pivot
        self.rows: dict[tuple[str, str], int] = {}
        self.keys: list[tuple[str, str]] = []
        self.facts: list[Facts] = []
        self._figures: npt.NDArray[np.float64] = np.full((_FIRST_ROWS, _COLUMNS), np.nan)
        self._rate: npt.NDArray[np.float64] = np.full(_FIRST_ROWS, np.nan)
        self._codes: npt.NDArray[np.int64] = np.zeros((_FIRST_ROWS, len(_LEVELS)), dtype=np.int64)
        self._names: tuple[dict[str, int], ...] = tuple({} for _ in _LEVELS)

    def take(self, told: Told, partition: int) -> list[int]:
        """Take in rows that were valued; returns their numbers here."""
        block, rows, values = told.block, told.rows, told.values
        held, desks = chosen(block.held, rows), chosen(block.desks, rows)
        alike = QUALITIES[values.qualities] if isinstance(values.qualities, MarkQuality) else 0
        places = []
        for number, (each, desk) in enumerate(zip(held, desks, strict=True)):
            place = self._place((each.book, each.instrument))
            places.append(place)
            quality = alike or QUALITIES[values.qualities[number]]  # type: ignore[index]
            self.facts[place] = Facts(partition, quality, told.now, each.currency, block.underlying)
            for level, name in enumerate((block.underlying, each.book, desk)):
                names = self._names[level]
                self._codes[place, level] = names.setdefault(name, len(names))
        figures = np.full((len(places), _COLUMNS), np.nan)
        figures[:, 0] = [np.nan if worth is None else float(worth) for worth in values.worths]
        figures[:, 1] = [np.nan if pnl is None else float(pnl) for pnl in values.pnls]
        for column, name in enumerate(NAMES, start=2):
            if name in values.greeks:
                figures[:, column] = values.greeks[name]
        if values.at is not None:
            figures[:, _SPOT] = values.at
            figures[:, _DELTA_VALUE] = figures[:, 2] * values.at
        self._figures[places] = figures
        rates = {
            currency: self._rate_of(told.rates, currency) for currency in {each.currency for each in held}
        }
        self._rate[places] = [rates[each.currency] for each in held]
        return places

    def _rate_of(self, rates: FxTable, currency: str) -> float:
        found = rates.find(currency, self._pivot)
        return float(found.rate) if isinstance(found, Conversion) else np.nan

    def _place(self, key: tuple[str, str]) -> int:
        place = self.rows.get(key)
        if place is None:
            place = self.rows[key] = len(self.keys)
            self.keys.append(key)
            self.facts.append(Facts(0, _MISSING, 0, "", ""))
            if place == len(self._figures):
                self._figures = np.concatenate([self._figures, np.full_like(self._figures, np.nan)])
                self._rate = np.concatenate([self._rate, np.full_like(self._rate, np.nan)])
                self._codes = np.concatenate([self._codes, np.zeros_like(self._codes)])
        return place

    def figures(self, place: int) -> list[float]:
        """The figures of one position, in the order of the slot."""
        found: list[float] = self._figures[place].tolist()
        return found

    def sums(self) -> Iterator[Sum]:
        """By underlying, book and desk, where one is named."""
        count = len(self.keys)
        rate = self._rate[:count]
        money = self._figures[:count] * rate[:, None]
        unvalued = np.isnan(money[:, 0])
        money[np.isnan(money)] = 0.0
        for level, what in enumerate(_LEVELS):
            names, codes = self._names[level], self._codes[:count, level]
            columns = [np.bincount(codes, weights=column, minlength=len(names)) for column in money.T]
            positions = np.bincount(codes, minlength=len(names))
            without = np.bincount(codes, weights=unvalued, minlength=len(names))
            for name, code in names.items():
                if name:
                    figures = [float(column[code]) for column in columns]
                    figures[_SPOT] = np.nan
                    yield Sum(f"{what}:{name}", figures, int(positions[code]), int(without[code]))
