"""The P&L of a day as the event that tells it."""

from decimal import Decimal
from typing import Any

from agents.pnl_state import PositionPnL
from domain.pnl.attribution import Buckets
from domain.pnl.figures import Figures
from domain.pnl.observation import Observation
from schemas import pnl
from schemas.frames import positional
from schemas.numbers import ZERO

SOURCE = "pnl"

_PnLAttributed = positional(pnl.PnLAttributed)
_PnLBuckets = positional(pnl.PnLBuckets)


def told(
    position: PositionPnL,
    event_id: str,
    cause: Any,
    figures: Figures,
    now: Observation,
    *,
    business_date: str,
    closed: bool = False,
    restatement: int = 0,
) -> Any:
    """A day's figures up to `now`, which `cause` brought."""
    kept = position.kept
    foreign = position.foreign
    return _PnLAttributed(
        event_id,
        cause.correlation_id,
        cause.event_id,
        1,
        SOURCE,
        position.book,
        position.instrument,
        cause.event_time,
        kept.underlying,
        business_date,
        closed,
        restatement,
        kept.currency,
        kept.book_currency,
        now.quantity or ZERO,
        figures.opening_quantity or ZERO,
        now.mark,
        now.quality,
        figures.realised or ZERO,
        figures.fees or ZERO,
        figures.unrealised,
        figures.total,
        figures.positional,
        figures.trading,
        _buckets(figures.buckets),
        figures.total_to_date,
        now.fx,
        figures.book_total,
        _buckets(figures.book_buckets) if foreign else None,
        figures.book_total_to_date,
        kept.reason(figures.reason),
    )


def _buckets(buckets: Buckets | None) -> Any:
    return None if buckets is None else _PnLBuckets(*map(_told, buckets))


def _told(amount: Decimal) -> Decimal:
    # Zeros of other decimals are left out as well.
    return amount or ZERO
