"""Positions as the valuation stage holds them: what a value needs of each as numbers, the rest as pieces of JSON.

A frame of columns is made of pieces that are encoded when a position changes and not each time a mark does: to join ten
thousand of them takes a twentieth of the time that it takes to encode them.
"""

from collections.abc import Callable, Sequence
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


STATIC = (
    "book",
    "instrument",
    "revision",
    "quantity",
    "currency",
    "instrument_class",
    "entity",
    "desk",
    "multiplier",
    "inverse",
    "cost_basis",
    "held_fees",
    "realised_pnl",
    "net_realised_pnl",
    "fees",
)
"""Columns that a position's changes set, in the order of `PositionsValuated`."""

_encode = msgspec.json.Encoder().encode
_DESK = STATIC.index("desk")
_DEFAULTS = (None, None, None, None, b'""', b'""', b'""', b'""', b'"1"', b"false", *(b'"0"',) * 5)
"""The pieces whose column may be left out, where every row has them."""

EMPTY: Any = ()
"""A column that is left out."""

ROWS_MAX = 1_000
"""Most rows of a frame; fewer where they take more bytes than a frame may have."""


def array(pieces: Sequence[bytes]) -> msgspec.Raw:
    """Pieces as the JSON array of a column."""
    return msgspec.Raw(b"[" + b",".join(pieces) + b"]")


class Rows:
    """Positions that are valued together. Numbers are lists by row; `weight` is quantity x multiplier (`size` the same
    as a float), `cost` gross."""

    __slots__ = (
        "_columns",
        "_kept",
        "_pieces",
        "_place",
        "books",
        "by_instrument",
        "cost",
        "held_fees",
        "instruments",
        "inverse",
        "multiplier",
        "pairs",
        "quantity",
        "size",
        "some_inverse",
        "underlying",
        "weight",
    )

    def __init__(self, underlying: str) -> None:
        self.underlying = underlying
        self.books: list[str] = []
        self.by_instrument: dict[str, list[int]] = {}
        self.instruments: list[str] = []
        self.quantity: list[Decimal] = []
        self.multiplier: list[Decimal] = []
        self.weight: list[Decimal] = []
        self.size: list[float] = []
        self.cost: list[Decimal] = []
        self.held_fees: list[Decimal] = []
        self.inverse: list[bool] = []
        self.some_inverse = False
        self.pairs: list[tuple[str, str]] = []
        self._place: dict[tuple[str, str], int] = {}
        self._pieces: tuple[list[bytes], ...] = tuple([] for _ in STATIC)
        self._kept = [0] * len(STATIC)
        self._columns: dict[tuple[int, int], list[Any]] = {}

    def __len__(self) -> int:
        return len(self.books)

    def place(self, book: str, instrument: str) -> int | None:
        """The row of a position."""
        return self._place.get((book, instrument))

    def put(self, held: Held, desk: str, book_currency: str, shared: Callable[[bytes], bytes]) -> int:
        """Set a position's row, a new one where it has none; `shared` keeps equal pieces once."""
        key = (held.book, held.instrument)
        row = self._place.get(key)
        new = row is None
        if row is None:
            row = self._place[key] = len(self.books)
            self.books.append(held.book)
            self.instruments.append(held.instrument)
            for numbers in (self.quantity, self.multiplier, self.weight, self.cost, self.held_fees):
                numbers.append(ZERO)
            self.size.append(0.0)
            self.inverse.append(False)
            self.pairs.append(("", ""))
            self.by_instrument.setdefault(held.instrument, []).append(row)
        self.quantity[row] = held.quantity
        self.multiplier[row] = held.multiplier
        self.weight[row] = held.quantity * held.multiplier
        self.size[row] = float(self.weight[row])
        self.cost[row] = held.gross_cost
        self.held_fees[row] = held.held_fees
        self.inverse[row] = held.inverse
        self.some_inverse = self.some_inverse or held.inverse
        self.pairs[row] = (held.currency, book_currency)
        values = (
            held.book,
            held.instrument,
            held.revision,
            held.quantity,
            held.currency,
            held.instrument_class,
            held.entity,
            desk,
            held.multiplier,
            held.inverse,
            held.cost_basis,
            held.held_fees,
            held.realised_pnl,
            held.net_realised_pnl,
            held.fees,
        )
        for number, value in enumerate(values):
            self._set(number, row, shared(_encode(value)), new)
        self._columns.clear()
        return row

    def set_book(self, row: int, desk: str, book_currency: str) -> None:
        """The book of a row is defined anew."""
        self.pairs[row] = (self.pairs[row][0], book_currency)
        self._set(_DESK, row, _encode(desk), False)
        self._columns.clear()

    def _set(self, number: int, row: int, piece: bytes, new: bool) -> None:
        pieces, default = self._pieces[number], _DEFAULTS[number]
        if new:
            pieces.append(piece)
        else:
            self._kept[number] -= pieces[row] != default
            pieces[row] = piece
        self._kept[number] += piece != default

    def static_columns(self, rows: Sequence[int]) -> list[Any]:
        """The columns of `STATIC`, of some rows; of a range they are kept until a position changes."""
        if not isinstance(rows, range):
            return [
                array([pieces[row] for row in rows]) if kept else EMPTY
                for pieces, kept in zip(self._pieces, self._kept, strict=True)
            ]
        found = self._columns.get((rows.start, rows.stop))
        if found is None:
            found = self._columns[rows.start, rows.stop] = [
                array(pieces[rows.start : rows.stop]) if kept else EMPTY
                for pieces, kept in zip(self._pieces, self._kept, strict=True)
            ]
        return found
