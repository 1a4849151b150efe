"""What positions are worth: columns between stages, single events for everybody else, and the talk with the engine.

Owns: the fields of a valuation and what each means; how a frame of columns becomes single events.
Guarantees: no price is None with a reason, never zero; money and prices are exact decimals, model outputs 64-bit floats;
a change of a position is never conflated away, since every one stands in `changes`.

`PositionsValuated` has the fields of `PositionValuated` as columns of one length, under the same names. A column that is
empty has the field's default in every row.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic.dataclasses import dataclass

from schemas.events import Event, RealisedMove
from schemas.frames import positional
from schemas.numbers import ONE, ZERO
from schemas.times import Nanoseconds
from schemas.units import LifecycleKind, MarkQuality, ValuedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionValuated(Event):
    """One position and what it is worth at `event_time`, the newest event time of its underlying.

    Quantities, cost, realised P&L and fees are those of `PositionUpdated` at this `revision`; money without another word
    stands in `currency`, the settlement currency. `held_fees` are the part of `cost_basis` that is fees.

    `mark` is what one unit is valued at: the instrument's own mark, or the model's price, as `valued_by` says;
    `mark_quality` and `mark_time` are those of the mark that the value hangs on, so its age is `event_time - mark_time`.
    `market_value` is quantity x multiplier x mark (divided by the mark for an inverse contract) and, of a bond,
    `accrued_interest`; 0 where flat. `unrealised_pnl` is gross and clean: market value without accrued interest less
    cost basis without held fees (an inverse contract: the cost less the value). `fx_rate` is what a unit of `currency`
    costs in `book_currency`.

    Greeks are of the whole position, in `currency`, with the units of `pks price`; `spot` (the forward, for models on
    one), `volatility`, `rate` and `time_to_expiry` are what they hang on. `reason` says why something is missing or
    stale.
    """

    book: str
    instrument: str
    underlying: str
    event_time: Nanoseconds
    revision: int
    quantity: Decimal
    currency: str = ""
    instrument_class: str = ""
    entity: str = ""
    desk: str = ""
    multiplier: Decimal = ONE
    inverse: bool = False
    cost_basis: Decimal = ZERO
    held_fees: Decimal = ZERO
    realised_pnl: Decimal = ZERO
    net_realised_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    mark: Decimal | None = None
    mark_quality: MarkQuality = MarkQuality.MISSING
    mark_time: Nanoseconds = Nanoseconds(0)
    valued_by: ValuedBy = ValuedBy.NOTHING
    market_value: Decimal | None = None
    accrued_interest: Decimal = ZERO
    unrealised_pnl: Decimal | None = None
    book_currency: str = ""
    fx_rate: Decimal | None = None
    fx_quality: MarkQuality = MarkQuality.MISSING
    fx_time: Nanoseconds = Nanoseconds(0)
    spot: float | None = None
    volatility: float | None = None
    rate: float | None = None
    time_to_expiry: float | None = None
    delta: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    rho: float | None = None
    vanna: float | None = None
    volga: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChange:
    """What one `PositionUpdated` changed, of the position in `row` of its frame; the deltas are exact totals.

    `kind`, `trade_quantity`, `trade_price`, `accrued_interest` and `realised_moves` as in `PositionUpdated`. A
    `PositionIncome` is a change as well: of `carry_delta` or `funding_delta` alone, its `trade_id` the movement's, and
    `income_currency` its currency where that is not the position's.
    """

    row: int
    trade_id: str
    executed_at: Nanoseconds
    revision: int
    kind: LifecycleKind | None = None
    business_date: str = ""
    quantity_delta: Decimal = ZERO
    cost_basis_delta: Decimal = ZERO
    held_fees_delta: Decimal = ZERO
    realised_pnl_delta: Decimal = ZERO
    net_realised_pnl_delta: Decimal = ZERO
    fees_delta: Decimal = ZERO
    trade_quantity: Decimal | None = None
    trade_price: Decimal | None = None
    accrued_interest: Decimal = ZERO
    realised_moves: tuple[RealisedMove, ...] = ()
    carry_delta: Decimal = ZERO
    funding_delta: Decimal = ZERO
    income_currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsValuated(Event):
    """Positions of one underlying, each as `PositionValuated` has it, in columns; topic `bo.position.valuated.v1`.

    Emitted where a mark, a rate, a definition or the position itself touched them; marks between may be left out,
    changes of positions never are: all since the row's last frame stand in `changes`, in their order.
    """

    underlying: str
    event_time: Nanoseconds
    book: tuple[str, ...]
    instrument: tuple[str, ...]
    revision: tuple[int, ...]
    quantity: tuple[Decimal, ...]
    currency: tuple[str, ...] = ()
    instrument_class: tuple[str, ...] = ()
    entity: tuple[str, ...] = ()
    desk: tuple[str, ...] = ()
    multiplier: tuple[Decimal, ...] = ()
    inverse: tuple[bool, ...] = ()
    cost_basis: tuple[Decimal, ...] = ()
    held_fees: tuple[Decimal, ...] = ()
    realised_pnl: tuple[Decimal, ...] = ()
    net_realised_pnl: tuple[Decimal, ...] = ()
    fees: tuple[Decimal, ...] = ()
    mark: tuple[Decimal | None, ...] = ()
    mark_quality: tuple[MarkQuality, ...] = ()
    mark_time: tuple[int, ...] = ()
    valued_by: tuple[ValuedBy, ...] = ()
    market_value: tuple[Decimal | None, ...] = ()
    accrued_interest: tuple[Decimal, ...] = ()
    unrealised_pnl: tuple[Decimal | None, ...] = ()
    book_currency: tuple[str, ...] = ()
    fx_rate: tuple[Decimal | None, ...] = ()
    fx_quality: tuple[MarkQuality, ...] = ()
    fx_time: tuple[int, ...] = ()
    spot: tuple[float | None, ...] = ()
    volatility: tuple[float | None, ...] = ()
    rate: tuple[float | None, ...] = ()
    time_to_expiry: tuple[float | None, ...] = ()
    delta: tuple[float | None, ...] = ()
    gamma: tuple[float | None, ...] = ()
    vega: tuple[float | None, ...] = ()
    theta: tuple[float | None, ...] = ()
    rho: tuple[float | None, ...] = ()
    vanna: tuple[float | None, ...] = ()
    volga: tuple[float | None, ...] = ()
    reason: tuple[str, ...] = ()
    changes: tuple[PositionChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRequested(Event):
    """An instrument that only the pricing engine can price: `request` is one request of `pks price`, as JSON."""

    instrument: str
    underlying: str
    event_time: Nanoseconds
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAnswered(Event):
    """What the engine answers: `answer` is one answer of `pks price`, as JSON, an error included.

    `causation_id` is the event id of the request, `event_time` the request's. An engine that is away is answered for by
    whoever asks it, with an error whose field is empty.
    """

    instrument: str
    underlying: str
    event_time: Nanoseconds
    answer: str


_ONCE = frozenset({"underlying", "event_time"})
"""What holds for a whole frame."""

_HEADER = frozenset(field.name for field in dataclasses.fields(Event))

COLUMNS: tuple[str, ...] = tuple(
    field.name
    for field in dataclasses.fields(PositionValuated)
    if field.name not in _ONCE and field.name not in _HEADER
)
"""The names of the columns, in the order of their fields."""

DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(PositionValuated)
    if field.default is not dataclasses.MISSING
}
"""What a column that is empty has in every row."""


def column(frame: Any, name: str) -> Sequence[Any]:
    """A column of a frame, with as many entries as it has rows."""
    found: Sequence[Any] = getattr(frame, name)
    return found if found or not frame.book else (DEFAULTS[name],) * len(frame.book)


@cache
def _single() -> Any:
    return positional(PositionValuated)


def single_events(frame: Any) -> Iterator[Any]:
    """The rows of a frame as events of their own; the id of each is the frame's with the number of the row."""
    single = _single()
    columns = [column(frame, name) for name in COLUMNS]
    for row, values in enumerate(zip(*columns, strict=True)):
        book, instrument, *others = values
        yield single(
            f"{frame.event_id}.{row}",
            frame.correlation_id,
            frame.causation_id,
            frame.schema_version,
            frame.source,
            book,
            instrument,
            frame.underlying,
            frame.event_time,
            *others,
        )


def told(event: Any) -> Iterable[Any]:
    """What outside systems are told in place of an event of the log: the rows of columns one by one, others as they are."""
    return single_events(event) if type(event).__name__ == PositionsValuated.__name__ else (event,)
