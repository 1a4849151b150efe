"""An entity's open currency position from what it holds by currency: converted, summed, held against its limits.

Owns: which rate converts an exposure, and what is left out where there is none. The measure itself is
`domain.currency_position`.
Assumes: `exact_arithmetic()` around it.
Guarantees: what an exposure holds is never changed by a rate; a currency without a rate is named and in no sum; exposures are
in the order of their codes, whatever came first.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

from domain.currency_position import OpenCurrencyPosition, open_currency_position
from domain.fx import Conversion, FxTable, Way
from schemas import currency_position
from schemas.currency_position import NET
from schemas.frames import positional, wire
from schemas.numbers import ONE, ZERO, plain
from schemas.times import format_time
from schemas.units import MarkQuality

REPORTED_DECIMALS = 18
"""Decimals of an amount in the reporting currency. A rate that is crossed is rounded to 24."""

_QUANTUM = Decimal(1).scaleb(-REPORTED_DECIMALS)
_ROUNDING = Context(prec=2_000, rounding=ROUND_HALF_EVEN)
_exposure: Any = positional(currency_position.CurrencyExposure)


class Held(NamedTuple):
    """What is held in one currency over all accounts."""

    with_pending: Decimal
    without_pending: Decimal


class Measured(NamedTuple):
    """Exposures with their rates, the measure with what is pending and without, what has no rate, which limits are broken."""

    exposures: tuple[Any, ...]
    position: OpenCurrencyPosition
    settled: OpenCurrencyPosition
    unrated: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether the sums are of anything: where no exposure has a rate, a sum of 0 would be no position of 0."""
        return not self.unrated or any(
            each.rate_time is not None and (each.with_pending or each.without_pending)
            for each in self.exposures
        )


class Rates:
    """Rates of currencies, crossed through several pivots: the first one through which there is a way holds."""

    def __init__(self, pivots: Sequence[str]) -> None:
        self._tables = [FxTable(pivot) for pivot in pivots]

    def take(self, rate: Any) -> bool:
        """Take in an `FxRate`; one that is older than the pair's is passed over, which is told by False."""
        taken = True
        for table in self._tables:
            taken = table.take(rate)
        return taken

    def find(self, base: str, quote: str) -> Conversion | None:
        """What a unit of `base` costs in `quote`; None where there is no way."""
        for table in self._tables:
            found = table.find(base, quote)
            if isinstance(found, Conversion):
                return found
        return None


def default_policy(entity: str, reporting_currency: str) -> Any:
    """The policy of an entity that has none."""
    return wire(currency_position.CurrencyPolicy)(
        event_id="", entity=entity, reporting_currency=reporting_currency
    )


def exposure(currency: str, held: Held, reporting_currency: str, rates: Rates) -> Any:
    """One exposure, converted where there is a rate."""
    return converted(currency, held, rates.find(currency, reporting_currency))


def converted(currency: str, held: Held, found: Conversion | None) -> Any:
    """One exposure at a rate that was found, or not."""
    if found is None:
        return _exposure(currency, tidy(held.with_pending), tidy(held.without_pending))
    rate = found.rate
    with_pending, without_pending = tidy(held.with_pending), tidy(held.without_pending)
    if found.way is Way.SAME:
        return _exposure(
            currency,
            with_pending,
            without_pending,
            rate,
            None,
            found.quality,
            "",
            with_pending,
            without_pending,
        )
    return _exposure(
        currency,
        with_pending,
        without_pending,
        rate,
        found.event_time,
        found.quality,
        found.legs[0] if len(found.legs) == 1 else " ".join(found.legs),
        _converted(with_pending, rate),
        _converted(without_pending, rate),
    )


def _converted(amount: Decimal, rate: Decimal) -> Decimal:
    """An amount at a rate, rounded half-even where it has more decimals than that: a crossed rate is rounded itself."""
    return tidy((amount * rate).quantize(_QUANTUM, context=_ROUNDING))


def tidy(number: Decimal) -> Decimal:
    """A number in its one form, without trailing zeros: the same whatever was added up to it, and in which order."""
    if not number:
        return ZERO
    whole = number.quantize(ONE, context=_ROUNDING)
    return whole if whole == number else number.normalize(_ROUNDING)


def measure(exposures: Iterable[Any], policy: Any) -> Measured:
    """The open position over converted exposures, and what of it breaks the limits of a policy."""
    ordered = tuple(sorted(exposures, key=lambda each: each.currency))
    rated = [each for each in ordered if each.rate is not None]
    reporting = policy.reporting_currency
    position = open_currency_position(
        reporting,
        {each.currency: each.reported_with_pending for each in rated},
        capital_rate=policy.capital_rate,
    )
    settled = open_currency_position(
        reporting,
        {each.currency: each.reported_without_pending for each in rated},
        capital_rate=policy.capital_rate,
    )
    unrated = _unrated(ordered)
    amounts = {each.currency: each.reported_with_pending for each in rated if each.currency != reporting}
    warnings = (*_stale(ordered), *_warnings(amounts, position, policy, unrated))
    return Measured(ordered, _tidied(position), _tidied(settled), unrated, warnings)


def _unrated(exposures: Iterable[Any]) -> tuple[str, ...]:
    """The currencies that something is held in and that have no rate."""
    return tuple(
        each.currency
        for each in exposures
        if each.rate is None and (each.with_pending or each.without_pending)
    )


def _stale(exposures: Iterable[Any]) -> Iterable[str]:
    """Which exposures are converted at a rate that is not renewed any more."""
    for each in exposures:
        if each.rate_quality is MarkQuality.STALE and (each.with_pending or each.without_pending):
            yield f"{each.currency}: its rate is stale, of {format_time(each.rate_time)}"


def _warnings(
    amounts: Mapping[str, Decimal], position: OpenCurrencyPosition, policy: Any, unrated: Sequence[str]
) -> Iterable[str]:
    reporting = policy.reporting_currency
    for currency, limit in sorted(policy.limits.items()):
        what = "the net open position" if currency == NET else f"{currency} {_side(amounts, currency)}"
        found = position.net_open_position if currency == NET else abs(amounts.get(currency, ZERO))
        if found > limit:
            yield f"{what}: expected at most {plain(limit)} {reporting}, found {plain(found)}"
        elif currency in unrated:
            yield f"{currency}: its limit of {plain(limit)} {reporting} cannot be held against it without a rate"


def _side(amounts: Mapping[str, Decimal], currency: str) -> str:
    return "short" if amounts.get(currency, ZERO) < 0 else "long"


class RunningPosition:
    """An entity's position that is kept up exposure by exposure: what `measure` says of all of them, at the cost of one.

    Assumes: one policy, and exposures at the newest rates: where either changes, it is made anew.
    """

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self._currencies: list[str] = []
        self._ordered: list[Any] = []
        self._sums = [ZERO, ZERO, ZERO, ZERO]
        self._unrated = self._stale = 0

    def put(self, each: Any) -> None:
        """An exposure in place of the one before it in its currency."""
        currency = each.currency
        place = bisect_left(self._currencies, currency)
        if place < len(self._currencies) and self._currencies[place] == currency:
            self._count(self._ordered[place], -1)
            self._ordered[place] = each
        else:
            self._currencies.insert(place, currency)
            self._ordered.insert(place, each)
        self._count(each, 1)

    def _count(self, each: Any, sign: int) -> None:
        if each.rate is None:
            self._unrated += sign
            return
        if each.rate_quality is MarkQuality.STALE:
            self._stale += sign
        if each.currency == self.policy.reporting_currency:
            return
        sums = self._sums
        for place, amount in ((0, each.reported_with_pending), (2, each.reported_without_pending)):
            if amount:
                place += amount < ZERO
                sums[place] += amount if sign > 0 else -amount

    def measured(self) -> Measured:
        """What all exposures come to."""
        policy = self.policy
        if self._stale or policy.limits:
            return measure(self._ordered, policy)
        sums, rate = self._sums, policy.capital_rate
        position, settled = _position(sums[0], sums[1], rate), _position(sums[2], sums[3], rate)
        unrated = _unrated(self._ordered) if self._unrated else ()
        return Measured(tuple(self._ordered), position, settled, unrated, ())


def _position(sum_long: Decimal, sum_short: Decimal, capital_rate: Decimal) -> OpenCurrencyPosition:
    if not (sum_long or sum_short):
        return _NOTHING
    short = -sum_short
    net = sum_long if sum_long > short else short
    return _tidied(OpenCurrencyPosition(sum_long, short, net, net * capital_rate))


_NOTHING = OpenCurrencyPosition(ZERO, ZERO, ZERO, ZERO)


def _tidied(position: OpenCurrencyPosition) -> OpenCurrencyPosition:
    return OpenCurrencyPosition(
        tidy(position.sum_long),
        tidy(position.sum_short),
        tidy(position.net_open_position),
        tidy(position.capital_charge),
    )
