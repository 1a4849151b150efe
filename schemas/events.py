"""The events of the books' path, as frozen slotted pydantic dataclasses: the one definition of each message.

Owns: the fields of every message from a fill to an updated position, and their constraints.
Guarantees: constructing one validates it (ranges, enumerations, identifiers); an instance never changes.
Between stages the same fields travel as msgspec Structs that `schemas.frames` derives from these classes.

Times are integer nanoseconds (`schemas.times`); quantities, prices and money are exact decimals.
Quantities of a fill are positive beside a side; everywhere else they are signed, positive is long.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from schemas.numbers import DIGITS_MAX, ONE, ZERO
from schemas.times import Nanoseconds
from schemas.units import Action, FeePolicy, LifecycleKind, LotMethod, Regime, Side, identifier_fault


def _identifier(text: str) -> str:
    fault = identifier_fault(text)
    if fault is not None:
        raise ValueError(f"expected {fault}")
    return text


def _exact(number: Decimal) -> Decimal:
    fault = number_fault(number)
    if fault is not None:
        raise ValueError(f"expected {fault}")
    return number


def number_fault(number: Decimal) -> str | None:
    """What is wrong with a decimal from outside; None where nothing is.

    Bounded, since exact arithmetic on 1E+999999 would write a million digits.
    """
    if not number.is_finite():
        return "a finite number"
    if len(number.as_tuple().digits) > DIGITS_MAX or not -DIGITS_MAX <= number.adjusted() < DIGITS_MAX:
        return f"a number of at most {DIGITS_MAX} digits"
    return None


Identifier = Annotated[str, AfterValidator(_identifier)]
Number = Annotated[Decimal, AfterValidator(_exact)]
PositiveNumber = Annotated[Decimal, AfterValidator(_exact), Field(gt=0)]
PostingRules = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """A cost of a trade; negative for a rebate. An empty currency is the trade's settlement currency."""

    amount: Number
    kind: str = "commission"
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event carries.

    `event_id` is unique, and for derived events a pure function of their input (`schemas.identity`).
    `correlation_id` is the event id of the fill (or definition) that started the chain, `causation_id`
    that of the direct cause. `source` says where it came from: a format and file, or topic/partition.
    """

    event_id: str
    correlation_id: str = ""
    causation_id: str = ""
    schema_version: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillEvent(Event):
    """A fill as a venue, a desk or a file reports it; topic `pd.canonical`, event time `executed_at`.

    Terms that are None are resolved from the instrument and the book at capture.
    """

    trade_id: Identifier
    instrument: Identifier
    side: Side
    quantity: PositiveNumber
    price: Number
    executed_at: Nanoseconds
    action: Action = Action.NEW
    kind: LifecycleKind | None = None
    original_trade_id: Identifier | None = None
    book: Identifier | None = None
    fees: tuple[Fee, ...] = ()
    recorded_at: Nanoseconds = Nanoseconds(0)
    source_sequence: int = 0
    regime: Regime = Regime.EXCHANGE
    instrument_scheme: str = "id"
    venue: str = ""
    account: str = ""
    entity: str = ""
    strategy: str = ""
    trader: str = ""
    counterparty: str = ""
    underlying: str = ""
    instrument_class: str = ""
    multiplier: PositiveNumber | None = None
    inverse: bool | None = None
    currency: str | None = None
    accrued_interest: Number = ZERO
    settlement_date: str | None = None
    group_id: str | None = None
    leg: int = 0
    idempotency_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeBooked(Event):
    """A captured trade with every term that matching, ledger and cash need; event time `executed_at`.

    `posting_rules` is the version of the ledger's rules in force when it was captured; 0 is the built-in ones.
    """

    trade_id: Identifier
    book: Identifier
    instrument: Identifier
    quantity: Number
    price: Number
    executed_at: Nanoseconds
    recorded_at: Nanoseconds = Nanoseconds(0)
    source_sequence: int = 0
    fees: tuple[Fee, ...] = ()
    multiplier: PositiveNumber = ONE
    inverse: bool = False
    settlement_currency: str = ""
    lot_method: LotMethod = LotMethod.FIFO
    fee_policy: FeePolicy = FeePolicy.EXCLUDED
    business_date: str = ""
    settlement_date: str | None = None
    accrued_interest: Number = ZERO
    entity: str = ""
    account: str = ""
    strategy: str = ""
    trader: str = ""
    counterparty: str = ""
    venue: str = ""
    underlying: str = ""
    instrument_class: str = ""
    group_id: str | None = None
    leg: int = 0
    posting_rules: PostingRules = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEventApplied(Event):
    """A correction of a booked trade, addressed to one book; event time `executed_at`.

    `trade` is the content after the event; None takes the trade out of this book. A correction that
    moves a trade to another book is two events of one `group_id`: leg 0 takes it out, leg 1 puts it in.
    """

    kind: LifecycleKind
    trade_id: Identifier
    original_trade_id: Identifier
    book: Identifier
    executed_at: Nanoseconds
    recorded_at: Nanoseconds = Nanoseconds(0)
    trade: TradeBooked | None = None
    group_id: str | None = None
    leg: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRejected(Event):
    """A fill or correction that capture refused; the original stands in the dead letters."""

    trade_id: str
    reason: str
    field: str = ""
    expected: str = ""
    found: str = ""
    book: str = ""
    event_time: Nanoseconds = Nanoseconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RematchedTrade:
    """How a late, amended or cancelled trade changed the realised P&L of a trade matched earlier."""

    trade_id: str
    realised_pnl_delta: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RealisedMove:
    """How much more (or less) trades of one time realise since another trade came late, was amended or cancelled.

    Those of a book's closed day stand together, under the time of one of them.
    """

    executed_at: Nanoseconds
    realised_pnl_delta: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionUpdated(Event):
    """A position after one applied event, and what the event changed; event time `executed_at`.

    `revision` counts the events applied to this position. The deltas are totals, exact, and include
    the effect on earlier trades; `rematched` names the first of those, `rematched_count` counts them all.

    What the event was stands in the rest, so that whoever posts or values it reads nothing else. `kind` is None for a
    trade, else what corrected one. `trade_quantity` is the trade's after the event, signed: None where it is
    `quantity_delta`; 0 where the trade was taken out: then nothing else of it is told but `trade_executed_at`. `trade_price`, `trade_fees`,
    `accrued_interest`, the dates, `entity` to `instrument_class` and `posting_rules` are the trade's as it was booked;
    `multiplier` and `inverse` are the position's terms; `held_fees` is what `cost_basis` has of fees. `realised_moves` is
    the whole effect on the realised P&L of other trades, by when they were executed; a part of `realised_pnl_delta`.
    """

    book: str
    instrument: str
    trade_id: str
    revision: int
    executed_at: Nanoseconds
    quantity: Decimal
    average_price: Decimal | None = None
    cost_basis: Decimal = ZERO
    realised_pnl: Decimal = ZERO
    net_realised_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    currency: str = ""
    lots_open: int = 0
    quantity_delta: Decimal = ZERO
    cost_basis_delta: Decimal = ZERO
    realised_pnl_delta: Decimal = ZERO
    net_realised_pnl_delta: Decimal = ZERO
    fees_delta: Decimal = ZERO
    rematched: tuple[RematchedTrade, ...] = ()
    rematched_count: int = 0
    kind: LifecycleKind | None = None
    trade_quantity: Decimal | None = None
    trade_price: Decimal | None = None
    trade_fees: tuple[Fee, ...] = ()
    accrued_interest: Decimal = ZERO
    business_date: str = ""
    settlement_date: str | None = None
    entity: str = ""
    account: str = ""
    underlying: str = ""
    instrument_class: str = ""
    multiplier: Decimal = ONE
    inverse: bool = False
    posting_rules: int = 0
    held_fees: Decimal = ZERO
    trade_executed_at: Nanoseconds | None = None
    realised_moves: tuple[RealisedMove, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTick(Event):
    """Time, as handlers learn of it; one in every partition of a clocked topic."""

    event_time: Nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DayClosed(Event):
    """The book's business day is over: the marker of a consistent cut of that book."""

    book: Identifier
    business_date: str
    event_time: Nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(Event):
    """An input that could not be applied: where it stood, why, and its original bytes."""

    reason: str
    kind: str
    stage: str
    topic: str
    partition: int
    offset: int
    index: int
    original: bytes
    trade_id: str = ""
    field: str = ""
    expected: str = ""
    found: str = ""
    event_time: Nanoseconds = Nanoseconds(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterResolved(Event):
    """What an operator did with a dead letter: `retried` (sent again) or `dropped`."""

    dead_letter_id: str
    action: str
    event_time: Nanoseconds = Nanoseconds(0)
