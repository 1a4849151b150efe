"""The currency_position stage: each entity's open currency position, from its cash balances.

Reads balances by entity; keeps what each account holds in each currency, with what is pending (the balance by trade date) and
without (the settled one); says what the entity's position is after each balance that changed. Rates and policies reach every
partition; what they change is said at the next tick of the clock, once an entity however many there were, and changes no exposure.

Families of keys in the table (first byte):

    a entity 0 currency 0 account    the last balance: by trade date, settled
    r base/quote                     the newest rate of a pair
    p entity                         how its position is measured
    m                                rates or policies have changed, and no tick has come since

Guarantees: exposures come from balances alone, so a replay gives the same; the sum over accounts is checked before each commit.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from agents.counters import Counters
from agents.stage import Frame, InvariantBroken, Refusal, Stage, Step, TableDeclaration
from domain.currency_exposure import (
    Held,
    Measured,
    Rates,
    RunningPosition,
    converted,
    default_policy,
    measure,
)
from domain.fx import Conversion
from schemas import currency_position, market_data, topics
from schemas.currency_position import ANY_ENTITY
from schemas.events import ClockTick
from schemas.frames import encode_event, positional, wire
from schemas.identity import derived_id
from schemas.money import CashBalance
from schemas.numbers import ZERO, exact_arithmetic
from schemas.units import MarkQuality, currency_code_fault
from tables.partition import TablePartition

NAME = "currency_position"
BROADCASTS = (topics.FX_RATES, topics.CURRENCY_POLICIES)

BALANCE, RATE, POLICY, MOVED = b"a", b"r", b"p", b"m"
PIVOTS = ("USD", "EUR")
"""What rates are crossed through, one after the other: live marks are against the dollar, reference rates against the euro."""

_updated = positional(currency_position.CurrencyPositionUpdated)
_FxRate = wire(market_data.FxRate)
_Policy = wire(currency_position.CurrencyPolicy)
_encode = msgspec.json.Encoder().encode
_decode_balance = msgspec.json.Decoder(tuple[Decimal, Decimal]).decode
_decode_rate = msgspec.json.Decoder(_FxRate).decode
_decode_policy = msgspec.json.Decoder(_Policy).decode
_ClockTick = wire(ClockTick)
_COUNTED = CashBalance.__name__
_NOTHING = Held(ZERO, ZERO)

Account = tuple[str, str, str]
"""Entity, currency, account."""


class _Entity:
    """What is kept in memory of an entity: sums by currency, its position with the rates and policy of `version`, and what was
    told of it last."""

    __slots__ = ("changed", "conversions", "held", "running", "told", "version")

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.changed: set[str] = set()
        self.conversions: dict[str, Conversion | None] = {}
        self.running: RunningPosition | None = None
        self.version = -1
        self.told: Measured | None = None


class CurrencyState:
    """The open currency positions of one partition."""

    def __init__(
        self, table: TablePartition, reporting_currency: str, pivots: tuple[str, ...] = PIVOTS
    ) -> None:
        self.table = table
        self.counters = Counters(table)
        self._reporting_currency = reporting_currency
        self._pivots = pivots
        self._load()

    def _load(self) -> None:
        self.balances: dict[Account, Held] = {}
        self.entities: dict[str, _Entity] = {}
        self.policies: dict[str, Any] = {}
        self.rates = Rates(self._pivots)
        self._version = 0
        self._dirty: set[Account] = set()
        self._stale = False
        with exact_arithmetic():
            for key, value in self.table.scan_prefix(BALANCE):
                entity, currency, account = key[1:].decode().split("\x00")
                self._hold((entity, currency, account), Held(*_decode_balance(value)))
        for _, value in self.table.scan_prefix(RATE):
            self.rates.take(_decode_rate(value))
        for key, value in self.table.scan_prefix(POLICY):
            self.policies[key[1:].decode()] = _decode_policy(value)

    def _hold(self, place: Account, held: Held) -> None:
        entity, currency, _ = place
        before = self.balances.get(place, _NOTHING)
        self.balances[place] = held
        known = self.entities.get(entity)
        if known is None:
            known = self.entities[entity] = _Entity()
        total = known.held.get(currency, _NOTHING)
        known.held[currency] = Held(
            total.with_pending + held.with_pending - before.with_pending,
            total.without_pending + held.without_pending - before.without_pending,
        )
        known.changed.add(currency)

    def replace(self, balances: Iterable[tuple[Account, Held]]) -> None:
        """Forget all balances and hold others, in memory alone: those of another time. Call it inside `exact_arithmetic()`."""
        self.balances.clear()
        self.entities.clear()
        for place, held in balances:
            self._hold(place, held)

    def take(self, balance: Any) -> None:
        """Take in a balance: it replaces the one before it."""
        place = (balance.entity, balance.currency, balance.account)
        self._hold(place, Held(balance.trade_date_balance, balance.settled_balance))
        self._dirty.add(place)

    def take_reference(self, event: Any) -> Refusal | None:
        """Take in a rate or a policy."""
        self._stale = True
        if type(event) is _FxRate:
            if event.rate <= ZERO or event.quality is MarkQuality.MISSING:
                return Refusal("a rate must be above 0", "rate", "a rate above 0", str(event.rate))
            if self.rates.take(event):
                key = RATE + f"{event.base_currency}/{event.quote_currency}".encode()
                self.table.put(key, encode_event(event))
                self._moved()
            return None
        fault = currency_code_fault(event.reporting_currency)
        if fault is not None:
            return Refusal("the policy is not valid", "reporting_currency", fault, event.reporting_currency)
        self.policies[event.entity] = event
        self.table.put(POLICY + event.entity.encode(), encode_event(event))
        self._moved()
        return None

    def _moved(self) -> None:
        self._version += 1
        self.table.put(MOVED, b"")

    def take_moved(self) -> list[str]:
        """The entities whose position is another one than was told last, since rates or policies have changed."""
        if self.table.get(MOVED) is None:
            return []
        self._stale = True
        self.table.delete(MOVED)
        return [
            name
            for name, known in sorted(self.entities.items())
            if (known.told is not None or any(map(any, known.held.values())))
            and self.measured(name) != known.told
        ]

    def policy(self, entity: str) -> Any:
        """How an entity's position is measured."""
        found = self.policies.get(entity) or self.policies.get(ANY_ENTITY)
        return default_policy(entity, self._reporting_currency) if found is None else found

    def reporting_currency(self, entity: str) -> str:
        """In which currency an entity's position was measured last."""
        known = self.entities.get(entity)
        running = None if known is None else known.running
        policy = self.policy(entity) if running is None else running.policy
        reporting: str = policy.reporting_currency
        return reporting

    def measured(self, entity: str) -> Measured:
        """An entity's position as it stands. Call it inside `exact_arithmetic()`."""
        known = self.entities.get(entity)
        if known is None:
            return measure((), self.policy(entity))
        running = known.running
        if running is None or known.version != self._version:
            running = known.running = RunningPosition(self.policy(entity))
            known.conversions.clear()
            known.changed = set(known.held)
            known.version = self._version
        conversions = known.conversions
        for currency in known.changed:
            if currency not in conversions:
                conversions[currency] = self.rates.find(currency, running.policy.reporting_currency)
            running.put(converted(currency, known.held[currency], conversions[currency]))
        known.changed.clear()
        return running.measured()

    def before_commit(self) -> None:
        """Write what changed, and hold the sums against the balances."""
        for place in sorted(self._dirty):
            entity, currency, account = place
            held = self.balances[place]
            self.table.put(BALANCE + "\x00".join((entity, currency, account)).encode(), _encode(held))
        self._check({(entity, currency) for entity, currency, _ in self._dirty})
        self.counters.before_commit()

    def _check(self, changed: set[tuple[str, str]]) -> None:
        if not changed or len(self.balances) > _CHECKED_MAX:
            return
        sums = dict.fromkeys(changed, _NOTHING)
        for (entity, currency, _), held in self.balances.items():
            if (entity, currency) in sums:
                total = sums[entity, currency]
                sums[entity, currency] = Held(
                    total.with_pending + held.with_pending, total.without_pending + held.without_pending
                )
        for (entity, currency), total in sums.items():
            found = self.entities[entity].held[currency]
            if found != total:
                raise InvariantBroken(
                    f"expected the exposure of {entity!r} in {currency} to be the sum of its accounts {total}, found {found}"
                )

    def committed(self) -> None:
        """The step is committed."""
        self._dirty.clear()
        self._stale = False
        self.counters.committed()

    def rollback(self) -> None:
        """Take the state again from the table."""
        self.counters.rollback()
        if self._dirty or self._stale:
            self._load()


_CHECKED_MAX = 1_000
"""Most balances of a partition whose sums are checked before every commit; `pks verify` checks all."""


def handle(state: CurrencyState, frames: Iterable[Frame], step: Step) -> None:
    """Take in balances; at a tick, say what rates and policies have changed."""
    counts = None
    for frame in frames:
        for event in frame.events:
            if type(event) is _ClockTick:
                for entity in state.take_moved() if not step.silent else ():
                    _tell(state, entity, event, derived_id(f"{event.event_id}.{entity}", "ocp", 0), step)
                continue
            if counts is None:
                counts = state.counters.of(_COUNTED)
            counts.read += 1
            counts.applied += 1
            state.take(event)
            if not step.silent:
                _tell(state, event.entity, event, derived_id(event.event_id, "ocp", 0), step)


def _tell(state: CurrencyState, entity: str, cause: Any, event_id: str, step: Step) -> None:
    found = state.measured(entity)
    state.entities[entity].told = found
    position, known = found.position, found.known
    step.bucket(topics.CURRENCY_POSITIONS, entity).append(
        # In the order of the fields of `CurrencyPositionUpdated`.
        _updated(
            event_id,
            cause.correlation_id,
            cause.event_id,
            1,
            cause.source,
            entity,
            state.reporting_currency(entity),
            cause.event_time,
            found.exposures,
            position.sum_long if known else None,
            position.sum_short if known else None,
            position.net_open_position if known else None,
            position.capital_charge if known else None,
            found.settled.net_open_position if known else None,
            found.unrated,
            found.warnings,
        )
    )


def stage(reporting_currency: str = "EUR") -> Stage:
    """The declaration of this stage; `reporting_currency` is that of entities that have no policy."""
    return Stage(
        name=NAME,
        input=topics.CASH_BALANCES,
        outputs=(topics.CURRENCY_POSITIONS,),
        table=TableDeclaration(NAME),
        open_state=lambda table: CurrencyState(table, reporting_currency),
        handler=handle,
        broadcasts=BROADCASTS,
        on_broadcast=CurrencyState.take_reference,
        description="sums what each entity holds by currency, converts it, and holds it against limits",
    )
