"""Positions as the valuation stage holds them, and the columns of a frame that follow from them alone.

Those columns are encoded when a position changes, and not each time a mark does: of ten thousand positions that takes
longer than to value them.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from schemas.numbers import ONE, ZERO


class Held(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A position as it stands in the table: the newest `PositionUpdated` of it, without its deltas."""

    book: str
    instrument: str
    underlying: str
    instrument_class: str
    entity: str
    currency: str
    revision: int
    executed_at: int
    quantity: Decimal
    multiplier: Decimal = ONE
    inverse: bool = False
    cost_basis: Decimal = ZERO
    held_fees: Decimal = ZERO
    realised_pnl: Decimal = ZERO
    net_realised_pnl: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def gross_cost(self) -> Decimal:
        """The cost basis without the fees in it."""
        return self.cost_basis - self.held_fees if self.held_fees else self.cost_basis


_encode = msgspec.json.Encoder().encode

EMPTY: Any = ()
"""A column that is left out: every row has the default."""

ROWS_MAX = 1_000
"""Most rows of a frame; fewer where they take more bytes than a frame may have."""


def array(pieces: Sequence[bytes]) -> msgspec.Raw:
    """Pieces as the JSON array of a column."""
    return msgspec.Raw(b"[" + b",".join(pieces) + b"]")


def encoded(values: Sequence[Any]) -> msgspec.Raw:
    """A column of values as JSON has them; NaN is null."""
    return msgspec.Raw(_encode(values))


def _column(values: list[Any]) -> Any:
    """A column whose default is 0, false or empty."""
    return encoded(values) if any(values) else EMPTY


class Rows:
    """Positions that are valued together, by row: what is kept of each (`held`), and what a value needs of it at once:
    `weight` is quantity x multiplier (`size` the same as a float), `cost` gross. `edition` counts definitions of books."""

    __slots__ = (
        "_columns",
        "_place",
        "by_instrument",
        "cost",
        "desks",
        "edition",
        "held",
        "pairs",
        "size",
        "some_inverse",
        "underlying",
        "weight",
    )

    def __init__(self, underlying: str) -> None:
        self.underlying = underlying
        self.held: list[Held] = []
        self.by_instrument: dict[str, list[int]] = {}
        self.weight: list[Decimal] = []
        self.size: list[float] = []
        self.cost: list[Decimal] = []
        self.desks: list[str] = []
        self.pairs: list[tuple[str, str]] = []
        self.some_inverse = False
        self.edition = 0
        self._place: dict[tuple[str, str], int] = {}
        self._columns: dict[int, tuple[int, list[Any]]] = {}

    def __len__(self) -> int:
        return len(self.held)

    def place(self, book: str, instrument: str) -> int | None:
        """The row of a position."""
        return self._place.get((book, instrument))

    def put(self, held: Held, desk: str, book_currency: str) -> int:
        """Set a position's row, a new one where it has none."""
        key = (held.book, held.instrument)
        row = self._place.get(key)
        weight = held.quantity * held.multiplier
        pair = (held.currency, book_currency)
        if row is None:
            row = self._place[key] = len(self.held)
            self.held.append(held)
            self.weight.append(weight)
            self.size.append(float(weight))
            self.cost.append(held.gross_cost)
            self.desks.append(desk)
            self.pairs.append(pair)
            self.by_instrument.setdefault(held.instrument, []).append(row)
        else:
            self.held[row] = held
            self.weight[row] = weight
            self.size[row] = float(weight)
            self.cost[row] = held.gross_cost
            self.pairs[row] = pair
        if held.inverse:
            self.some_inverse = True
        self._forget(row)
        return row

    def set_book(self, row: int, desk: str, book_currency: str) -> None:
        """The book of a row is defined anew."""
        self.pairs[row] = (self.pairs[row][0], book_currency)
        self.desks[row] = desk
        self.edition += 1
        self._forget(row)

    def _forget(self, row: int) -> None:
        """The columns with a row are not as they were."""
        for start in [start for start, (stop, _) in self._columns.items() if start <= row < stop]:
            del self._columns[start]

    def static_columns(self, rows: Sequence[int]) -> list[Any]:
        """The columns that a position's changes set, `book` to `fees` of `PositionsValuated`, of some rows.

        Those of a range are kept until a position in it changes, or another range begins where it does.
        """
        if not isinstance(rows, range):
            return self._encoded(rows)
        stop, found = self._columns.get(rows.start, (0, []))
        if stop != rows.stop:
            found = self._encoded(rows)
            self._columns[rows.start] = rows.stop, found
        return found

    def _encoded(self, rows: Sequence[int]) -> list[Any]:
        held = [self.held[row] for row in rows]
        multipliers = [each.multiplier for each in held]
        return [
            encoded([each.book for each in held]),
            encoded([each.instrument for each in held]),
            encoded([each.revision for each in held]),
            encoded([each.quantity for each in held]),
            _column([each.currency for each in held]),
            _column([each.instrument_class for each in held]),
            _column([each.entity for each in held]),
            _column([self.desks[row] for row in rows]),
            EMPTY if all(each == 1 for each in multipliers) else encoded(multipliers),
            _column([each.inverse for each in held]),
            _column([each.cost_basis for each in held]),
            _column([each.held_fees for each in held]),
            _column([each.realised_pnl for each in held]),
            _column([each.net_realised_pnl for each in held]),
            _column([each.fees for each in held]),
        ]
