"""Greeks of all positions as one matrix, and their sums by underlying, book and desk.

Owns: the newest figures of every position that a process values, as float64.
Guarantees: sums are made of all positions anew each time, so that no error grows; they are in the pivot currency, and what
has no value or no rate is left out and counted.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agents.valuation_rows import Rows
from agents.valuation_step import Told
from agents.valuation_values import GREEKS as NAMES
from agents.valuation_values import chosen
from connectors.shm.greeks import GREEKS, Shown
from connectors.shm.marks import QUALITIES
from domain.fx import Conversion, FxTable
from schemas.units import MarkQuality

_COLUMNS = len(GREEKS.floats)
_SPOT = GREEKS.floats.index("spot")
_DELTA_VALUE = GREEKS.floats.index("delta_value")
_LEVELS = ("underlying", "book", "desk")
_FIRST_ROWS = 1_024
_TIME_MAX = (1 << 63) - 1


class Sum(NamedTuple):
    """The figures of all positions of an underlying, a book or a desk, in the pivot currency; `partition` is that of the
    underlying, and 0 for what is spread over partitions."""

    name: str
    partition: int
    figures: list[float]
    positions: int
    unvalued: int


class GreeksTable:
    """Figures by position; `keys` are their books and instruments."""

    def __init__(self, pivot: str) -> None:
        self._pivot = pivot
        self.keys: list[tuple[str, str]] = []
        self._rows: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[Rows, int], tuple[int, npt.NDArray[np.int64]]] = {}
        self._partition: list[int] = []
        self._currency: list[str] = []
        self._underlying: list[str] = []
        self._figures: npt.NDArray[np.float64] = np.full((_FIRST_ROWS, _COLUMNS), np.nan)
        self._rate: npt.NDArray[np.float64] = np.full(_FIRST_ROWS, np.nan)
        self._quality: npt.NDArray[np.int64] = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._event_time: npt.NDArray[np.int64] = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._codes: npt.NDArray[np.int64] = np.zeros((_FIRST_ROWS, len(_LEVELS)), dtype=np.int64)
        self._names: tuple[dict[str, int], ...] = tuple({} for _ in _LEVELS)

    def forget_blocks(self) -> None:
        """Let go of the blocks that rows came from: a stage that is opened again has others."""
        self._known.clear()

    def take(self, told: Told, partition: int) -> list[int]:
        """Take in rows that were valued; returns their numbers here."""
        block, rows, values = told.block, told.rows, told.values
        places = self._places(block, rows, partition)
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
        if isinstance(values.qualities, MarkQuality):
            self._quality[places] = QUALITIES[values.qualities]
        else:
            self._quality[places] = [QUALITIES[quality] for quality in values.qualities]
        self._event_time[places] = min(told.now, _TIME_MAX)
        pairs = chosen(block.pairs, rows)
        rates = {pair: self._rate_of(told.rates, pair[0]) for pair in set(pairs)}
        alike = len(rates) == 1
        self._rate[places] = rates[pairs[0]] if alike else [rates[pair] for pair in pairs]
        found: list[int] = places.tolist()
        return found

    def _places(self, block: Rows, rows: Sequence[int], partition: int) -> npt.NDArray[np.int64]:
        """The numbers of rows; those of a range are kept, since rows stay where they are."""
        if not isinstance(rows, range):
            return self._placed(block, rows, partition)
        key = (block, rows.start)
        known = self._known.get(key)
        if known is None or known[0] != block.edition or len(known[1]) != len(rows):
            known = self._known[key] = (block.edition, self._placed(block, rows, partition))
        return known[1]

    def _placed(self, block: Rows, rows: Sequence[int], partition: int) -> npt.NDArray[np.int64]:
        places = []
        for each, desk in zip(chosen(block.held, rows), chosen(block.desks, rows), strict=True):
            place = self._place((each.book, each.instrument))
            self._partition[place] = partition
            self._currency[place], self._underlying[place] = each.currency, block.underlying
            for level, name in enumerate((block.underlying, each.book, desk)):
                names = self._names[level]
                self._codes[place, level] = names.setdefault(name, len(names))
            places.append(place)
        return np.array(places, dtype=np.int64)

    def _rate_of(self, rates: FxTable, currency: str) -> float:
        found = rates.find(currency, self._pivot)
        return float(found.rate) if isinstance(found, Conversion) else np.nan

    def _place(self, key: tuple[str, str]) -> int:
        place = self._rows.get(key)
        if place is None:
            place = self._rows[key] = len(self.keys)
            self.keys.append(key)
            self._partition.append(0)
            self._currency.append("")
            self._underlying.append("")
            if place == len(self._figures):
                self._figures = np.concatenate([self._figures, np.full_like(self._figures, np.nan)])
                self._rate = np.concatenate([self._rate, np.full_like(self._rate, np.nan)])
                self._quality = np.concatenate([self._quality, np.zeros_like(self._quality)])
                self._event_time = np.concatenate([self._event_time, np.zeros_like(self._event_time)])
                self._codes = np.concatenate([self._codes, np.zeros_like(self._codes)])
        return place

    def shown(self, place: int, now: int) -> Shown:
        """The slot of one position, written `now`."""
        figures: list[float] = self._figures[place].tolist()
        return Shown(
            self._partition[place],
            figures,
            1,
            int(figures[0] != figures[0]),
            int(self._quality[place]),
            int(self._event_time[place]),
            now,
            self._currency[place],
            self._underlying[place],
        )

    @property
    def newest(self) -> int:
        """The newest event time of all positions."""
        return int(self._event_time[: len(self.keys)].max(initial=0))

    def sums(self, *, of_underlyings_alone: bool = False) -> Iterator[Sum]:
        """By underlying, book and desk, where one is named."""
        count = len(self.keys)
        rate = self._rate[:count]
        money = self._figures[:count] * rate[:, None]
        unvalued = np.isnan(money[:, 0])
        money[np.isnan(money)] = 0.0
        partitions = np.array(self._partition, dtype=np.int64)
        for level, what in enumerate(_LEVELS[:1] if of_underlyings_alone else _LEVELS):
            names, codes = self._names[level], self._codes[:count, level]
            of_partition = np.zeros(len(names), dtype=np.int64)
            if level == 0:
                of_partition[codes] = partitions
            columns = [np.bincount(codes, weights=column, minlength=len(names)) for column in money.T]
            positions = np.bincount(codes, minlength=len(names))
            without = np.bincount(codes, weights=unvalued, minlength=len(names))
            for name, code in names.items():
                if name:
                    figures = [float(column[code]) for column in columns]
                    figures[_SPOT] = np.nan
                    yield Sum(
                        f"{what}:{name}",
                        int(of_partition[code]),
                        figures,
                        int(positions[code]),
                        int(without[code]),
                    )
