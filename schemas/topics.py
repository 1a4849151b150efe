"""The registry: every topic, its events, key, partitions, retention, NATS subject and dead letters.

The only place that spells a topic's name. Partition counts of all keyed topics of the books' path are
equal, so that one worker owns the same partition of each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

from schemas import (
    accruals,
    currency_position,
    events,
    market_data,
    money,
    pnl,
    reference,
    reported,
    valuation,
)
from schemas.frames import FrameCodec

PARTITIONS_DEFAULT = 4
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Topic:
    """A topic of the log. `retention_seconds` None keeps it for ever; `compact` keeps the last record of a key.

    `key` says what `key_of` takes out of an event; a tick of the clock has none, and stands in every partition.
    Events that come to a partition of a `merged` topic from several partitions are put in the order of matching.
    `told_as` are the events of their own that outside systems are told in place of columns.
    """

    name: str
    event_classes: tuple[type, ...]
    key: str
    key_of: Callable[[Any], str]
    subjects: tuple[str, ...]
    description: str
    partitioned: bool = True
    retention_seconds: int | None = None
    compact: bool = False
    clocked: bool = False
    merged: bool = False
    dead_letters: str | None = None
    told_as: tuple[type, ...] = ()

    @cached_property
    def codec(self) -> FrameCodec:
        """Reads and writes this topic's frames."""
        return FrameCodec(*self.event_classes)

    def partitions(self, partitions: int = PARTITIONS_DEFAULT) -> int:
        """How many partitions the topic has where keyed topics have `partitions`."""
        return partitions if self.partitioned else 1


def fill_key(event: Any) -> str:
    """The key of a fill: a correction meets its trade; of a day that is closed by hand: its book."""
    trade_id = getattr(event, "trade_id", None)
    return str(event.book if trade_id is None else event.original_trade_id or trade_id)


def entity_key(event: Any) -> str:
    """The key of what the ledger reads; no entity is one too."""
    return str(getattr(event, "entity", ""))


def underlying_key(event: Any) -> str:
    """The key of what is valued together."""
    return str(getattr(event, "underlying", "") or getattr(event, "instrument", ""))


def pair_key(rate: Any) -> str:
    """The key of a rate: `EUR/USD` is what a euro costs in dollars."""
    return f"{rate.base_currency}/{rate.quote_currency}"


def dead_letter_key(event: Any) -> str:
    """The key of a dead letter and of what was done with it: the letter's id."""
    return str(getattr(event, "dead_letter_id", event.event_id))


def cash_key(entry: Any) -> str:
    """The key of a transfer: what one balance is made of meets in one partition."""
    return f"{entry.entity}/{entry.account}/{entry.currency}"


def rules_key(rules: Any) -> str:
    """The key of a version of the posting rules."""
    return str(rules.version)


FILLS = Topic(
    name="pd.canonical",
    event_classes=(events.FillEvent, events.ClockTick, events.DayClosed),
    key="original_trade_id, or trade_id of a new trade; book of a day that is closed by hand",
    key_of=fill_key,
    subjects=("pd.canonical",),
    description="fills of venues, desks and files, as the edge accepted them, and days that are closed by hand",
    clocked=True,
    dead_letters="pd.dlq.canonical",
)
BOOKINGS = Topic(
    name="backoffice.booking.v1",
    event_classes=(events.TradeBooked, events.LifecycleEventApplied, events.ClockTick, events.DayClosed),
    key="book",
    key_of=attrgetter("book"),
    subjects=(
        "backoffice.booking.v1.TradeBooked",
        "backoffice.booking.v1.LifecycleEventApplied",
        "backoffice.booking.v1.DayClosed",
    ),
    description="captured trades and corrections: the one ordered input of every stage that keeps books",
    clocked=True,
    merged=True,
    dead_letters="backoffice.dlq.booking",
)
REJECTIONS = Topic(
    name="backoffice.booking.v1.TradeRejected",
    event_classes=(events.TradeRejected,),
    key="trade_id",
    key_of=attrgetter("trade_id"),
    subjects=("backoffice.booking.v1.TradeRejected",),
    description="why capture refused a fill",
    retention_seconds=30 * DAY_SECONDS,
)
POSITIONS = Topic(
    name="bo.position.updated.v1",
    event_classes=(events.PositionUpdated, events.DayClosed),
    key="book",
    key_of=attrgetter("book"),
    subjects=("bo.position.updated.v1.{book}",),
    description="a position after each applied event, and the ends of its book's days",
    retention_seconds=7 * DAY_SECONDS,
    dead_letters="bo.dlq.stage",
)
LEDGER_INPUT = Topic(
    name="bo.ledger.in.v1",
    event_classes=(
        events.PositionUpdated,
        events.DayClosed,
        money.CashMovement,
        money.PaymentDue,
        money.PaymentInstruction,
        money.PeriodLocked,
    ),
    key="entity",
    key_of=entity_key,
    subjects=(),
    description="what the ledger posts: updates of positions, ends of days, movements of cash, payments and their steps, locks of periods",
    merged=True,
    dead_letters="bo.dlq.stage",
)
VALUATION_INPUT = Topic(
    name="bo.valuation.in.v1",
    event_classes=(
        events.PositionUpdated,
        market_data.Mark,
        events.DayClosed,
        events.ClockTick,
        valuation.PriceAnswered,
        pnl.PositionIncome,
    ),
    key="underlying, or the instrument where it has none",
    key_of=underlying_key,
    subjects=(),
    description="what is valued and by what: updates of positions and their income, marks, ends of days, answers of the engine",
    retention_seconds=7 * DAY_SECONDS,
    clocked=True,
    merged=True,
    dead_letters="bo.dlq.stage",
)
VALUATIONS = Topic(
    name="bo.position.valuated.v1",
    event_classes=(valuation.PositionsValuated, events.DayClosed),
    told_as=(valuation.PositionValuated,),
    key="underlying, or the instrument where it has none",
    key_of=underlying_key,
    subjects=("bo.position.valuated.v1.{book}",),
    description="what positions are worth, with their Greeks: columns of one underlying, and the ends of days",
    retention_seconds=7 * DAY_SECONDS,
    dead_letters="bo.dlq.stage",
)
PRICE_REQUESTS = Topic(
    name="bo.price.request.v1",
    event_classes=(valuation.PriceRequested,),
    key="instrument",
    key_of=attrgetter("instrument"),
    subjects=(),
    description="what only the pricing engine can price",
    retention_seconds=DAY_SECONDS,
)
INSTRUMENTS = Topic(
    name="ref.instrument.v1",
    event_classes=(reference.Instrument,),
    key="instrument",
    key_of=attrgetter("instrument"),
    subjects=("ref.instrument.v1.{instrument}",),
    description="instrument definitions",
    partitioned=False,
    compact=True,
)
BOOKS = Topic(
    name="ref.book.v1",
    event_classes=(reference.Book,),
    key="book",
    key_of=attrgetter("book"),
    subjects=("ref.book.v1.{book}",),
    description="book definitions",
    partitioned=False,
    compact=True,
)
ROUTING_RULES = Topic(
    name="ref.routing_rule.v1",
    event_classes=(reference.RoutingRule,),
    key="rule",
    key_of=attrgetter("rule"),
    subjects=("ref.routing_rule.v1.{rule}",),
    description="which book takes a fill that names none",
    partitioned=False,
    compact=True,
)
MARKS = Topic(
    name="md.mark.v1",
    event_classes=(market_data.Mark,),
    key="instrument",
    key_of=attrgetter("instrument"),
    subjects=("md.mark.v1.{instrument}",),
    description="what instruments are quoted at",
    retention_seconds=7 * DAY_SECONDS,
    dead_letters="bo.dlq.stage",
)
FX_RATES = Topic(
    name="md.fx.v1",
    event_classes=(market_data.FxRate,),
    key="base and quote currency",
    key_of=pair_key,
    subjects=("md.fx.v1.{base_currency}.{quote_currency}",),
    description="rates of currencies, from the marks of their pairs",
    partitioned=False,
    compact=True,
)
CURVES = Topic(
    name="md.curve.v1",
    event_classes=(market_data.Curve,),
    key="curve",
    key_of=attrgetter("curve"),
    subjects=("md.curve.v1.{curve}",),
    description="curves of rates, each in its newest version",
    partitioned=False,
    compact=True,
)
BARS = Topic(
    name="md.ohlc.v1",
    event_classes=(market_data.Bar,),
    key="instrument",
    key_of=attrgetter("instrument"),
    subjects=("md.ohlc.v1.{instrument}",),
    description="bars of prices, again where a late tick corrects one",
    retention_seconds=7 * DAY_SECONDS,
)
PNL = Topic(
    name="bo.pnl.attributed.v1",
    event_classes=(pnl.PnLAttributed,),
    key="underlying, or instrument",
    key_of=pnl.pnl_key,
    subjects=("bo.pnl.attributed.v1.{book}",),
    description="the P&L of a position's day, by cause, after each valuation",
    retention_seconds=7 * DAY_SECONDS,
)
CURRENCY_POSITIONS = Topic(
    name="bo.cash.ocp.v1",
    event_classes=(currency_position.CurrencyPositionUpdated,),
    key="entity",
    key_of=attrgetter("entity"),
    subjects=("bo.cash.ocp.v1",),
    description="an entity's open currency position after a balance of it changed, or rates since the last tick",
    retention_seconds=7 * DAY_SECONDS,
)
CURRENCY_POLICIES = Topic(
    name="ref.currency_policy.v1",
    event_classes=(currency_position.CurrencyPolicy,),
    key="entity",
    key_of=attrgetter("entity"),
    subjects=(),
    description="reporting currency and limits of an entity's open currency position",
    partitioned=False,
    compact=True,
)
ACCRUAL_TERMS = Topic(
    name="ref.accrual_terms.v1",
    event_classes=(
        accruals.CouponTerms,
        accruals.FundingTerms,
        accruals.BorrowTerms,
        accruals.MarginTerms,
        accruals.VariationMarginTerms,
    ),
    key="what accrues, and on what",
    key_of=accruals.terms_key,
    subjects=(),
    description="what accrues on bonds, perpetuals, short positions and cash",
    partitioned=False,
    compact=True,
)
RATES = Topic(
    name="md.rate.v1",
    event_classes=(accruals.RateFixed,),
    key="rate and time",
    key_of=accruals.rate_key,
    subjects=(),
    description="rates as they were fixed: of funding, borrowing, cash and floating coupons",
    partitioned=False,
    compact=True,
)
REPORTED_POSITIONS = Topic(
    name="pd.position.v1",
    event_classes=(reported.PositionReported,),
    key="instrument",
    key_of=attrgetter("instrument"),
    subjects=(),
    description="positions as exchanges, clearers and brokers state them",
)
LEDGER_ENTRIES = Topic(
    name="bo.cash.ledger.v1",
    event_classes=(money.CashLedgerEntry,),
    key="entity, account and currency",
    key_of=cash_key,
    subjects=("bo.cash.ledger.v1",),
    description="transfers of the double-entry ledger, pending and posted",
    dead_letters="bo.dlq.stage",
)
CASH_BALANCES = Topic(
    name="bo.cash.balance.v1",
    event_classes=(money.CashBalance, events.ClockTick),
    key="entity",
    key_of=attrgetter("entity"),
    subjects=("bo.cash.balance.v1",),
    description="balances of cash after each event that moves it",
    retention_seconds=7 * DAY_SECONDS,
    clocked=True,
    dead_letters="bo.dlq.stage",
)
PAYMENT_ORDERS = Topic(
    name="bo.cash.payment_order.v1",
    event_classes=(money.PaymentOrder,),
    key="entity",
    key_of=attrgetter("entity"),
    subjects=("bo.cash.payment_order.v1",),
    description="payment orders after each of their steps",
)
POSTING_RULES = Topic(
    name="ref.posting_rules.v1",
    event_classes=(money.PostingRules,),
    key="version",
    key_of=rules_key,
    subjects=("ref.posting_rules.v1.{version}",),
    description="versions of the chart of accounts and the posting rules",
    partitioned=False,
    compact=True,
)
FILL_DEAD_LETTERS = Topic(
    name="pd.dlq.canonical",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    key_of=dead_letter_key,
    subjects=("pd.dlq.canonical",),
    description="fills that could not be read or were refused, with their bytes",
)
BOOKING_DEAD_LETTERS = Topic(
    name="backoffice.dlq.booking",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    key_of=dead_letter_key,
    subjects=("backoffice.dlq.booking",),
    description="bookings that could not be read or were refused, with their bytes",
)
STAGE_DEAD_LETTERS = Topic(
    name="bo.dlq.stage",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    key_of=dead_letter_key,
    subjects=("bo.dlq.stage",),
    description="what stages behind the positions could not read or refused, with its bytes",
)
SINK_DEAD_LETTERS = Topic(
    name="backoffice.dlq.sink",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    key_of=dead_letter_key,
    subjects=("backoffice.dlq.sink",),
    description="events that an outside system did not take, with their bytes",
)

TOPICS: tuple[Topic, ...] = (
    FILLS,
    BOOKINGS,
    REJECTIONS,
    POSITIONS,
    LEDGER_INPUT,
    VALUATION_INPUT,
    VALUATIONS,
    PRICE_REQUESTS,
    INSTRUMENTS,
    BOOKS,
    ROUTING_RULES,
    MARKS,
    FX_RATES,
    CURVES,
    BARS,
    PNL,
    CURRENCY_POSITIONS,
    CURRENCY_POLICIES,
    ACCRUAL_TERMS,
    RATES,
    REPORTED_POSITIONS,
    LEDGER_ENTRIES,
    CASH_BALANCES,
    PAYMENT_ORDERS,
    POSTING_RULES,
    FILL_DEAD_LETTERS,
    BOOKING_DEAD_LETTERS,
    STAGE_DEAD_LETTERS,
    SINK_DEAD_LETTERS,
)
TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}


@lru_cache(maxsize=10_000)
def escape_token(token: str) -> str:
    """A book or instrument as one token of a NATS subject: `.`, `*`, `>`, `%` and blanks as %XX of their bytes."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode())
        if character in ".*>%" or character.isspace()
        else character
        for character in token
    )
