"""A position as a reader gets it: a consistent copy of a slot, its figures turned into decimals when asked for."""

from decimal import Context, Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from .layout import DECIMALS, EXACT_INEXACT, EXACT_NULL

_EXACT_START = 16
_scaleb = Context(prec=60, traps=[]).scaleb


class Status(StrEnum):
    """How far a copy may be trusted to be the present state."""

    LIVE = "live"
    STALE = "stale"
    """The writer's heartbeat stands still: it hangs, or it died."""
    CLOSED = "closed"
    """The writer stopped cleanly."""
    NOT_OWNED = "not owned"
    """The writer of this slot owns the book no more, and nobody has taken it over yet."""


class RawPosition(NamedTuple):
    """A position's figures as float64, with an average price of NaN when flat. Never keep books with these."""

    quantity: float
    average_price: float
    cost_basis: float
    realised_pnl: float
    net_realised_pnl: float
    fees: float


class PositionSlot:
    """A consistent copy of one position. Money is in `currency`; times are nanoseconds since 1970 UTC."""

    __slots__ = ("_values", "book", "currency", "instrument", "status")

    def __init__(
        self, values: tuple[Any, ...], book: str, instrument: str, currency: str, status: Status
    ) -> None:
        self._values = values
        self.book = book
        self.instrument = instrument
        self.currency = currency
        self.status = status

    @property
    def live(self) -> bool:
        """The writer is alive, and owns the book."""
        return self.status is Status.LIVE

    @property
    def raw(self) -> RawPosition:
        """All figures as float64."""
        return RawPosition(*self._values[1:7])

    @property
    def quantity(self) -> Decimal:
        """What is held: positive is long, negative is short."""
        values = self._values
        return _scaleb(values[17] << 64 | values[16], values[18])

    @property
    def average_price(self) -> Decimal | None:
        """The price at which the open quantity was opened, without fees; None when flat."""
        values = self._values
        if values[23] & EXACT_NULL:
            return None
        return _scaleb(values[21] << 64 | values[20], values[22])

    @property
    def cost_basis(self) -> Decimal:
        """Signed cost of the open quantity, multiplier included."""
        values = self._values
        return _scaleb(values[25] << 64 | values[24], values[26])

    @property
    def realised_pnl(self) -> Decimal:
        """P&L of what was closed, without fees."""
        values = self._values
        return _scaleb(values[29] << 64 | values[28], values[30])

    @property
    def net_realised_pnl(self) -> Decimal:
        """P&L of what was closed, with fees by the book's policy."""
        values = self._values
        return _scaleb(values[33] << 64 | values[32], values[34])

    @property
    def fees(self) -> Decimal:
        """All fees so far; rebates are negative."""
        values = self._values
        return _scaleb(values[37] << 64 | values[36], values[38])

    @property
    def inexact(self) -> tuple[str, ...]:
        """The figures of more than 38 digits, which were rounded to fit."""
        return tuple(
            name
            for place, name in enumerate(DECIMALS)
            if self._values[_EXACT_START + 4 * place + 3] & EXACT_INEXACT
        )

    @property
    def owner_epoch(self) -> int:
        """Which ownership of the book this was written under."""
        return int(self._values[7])

    @property
    def lots_open(self) -> int:
        """How many lots are open."""
        return int(self._values[8])

    @property
    def revision(self) -> int:
        """How many events were applied to this position."""
        return int(self._values[9])

    @property
    def executed_at(self) -> int:
        """When the latest trade in the order of matching was executed."""
        return int(self._values[10])

    @property
    def updated_at(self) -> int:
        """When this copy was written."""
        return int(self._values[11])

    @property
    def partition(self) -> int:
        """The partition of the book."""
        return int(self._values[15])

    def __repr__(self) -> str:
        return (
            f"PositionSlot({self.book!r}, {self.instrument!r}, quantity={self.quantity}, "
            f"average_price={self.average_price}, realised_pnl={self.realised_pnl}, status={self.status.value!r})"
        )
