"""An entity's open currency position from what it holds by currency: converted, summed, held against its limits.

Owns: which rate converts an exposure, and what is left out where there is none. The measure itself is
`domain.currency_position`.
Assumes: `exact_arithmetic()` around it.
Guarantees: what an exposure holds is never changed by a rate; a currency without a rate is named and in no sum; exposures are
in the order of their codes, whatever came first.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

from domain.currency_position import OpenCurrencyPosition, open_currency_position
from domain.fx import Conversion, FxTable, Way
from schemas import currency_position
from schemas.currency_position import NET
from schemas.frames import positional, wire
from schemas.numbers import ZERO, plain
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
    found = rates.find(currency, reporting_currency)
    if found is None:
        return _exposure(currency, *held)
    path = "" if found.way is Way.SAME else " ".join(found.legs)
    return _exposure(
        currency,
        *held,
        found.rate,
        None if found.way is Way.SAME else found.event_time,
        found.quality,
        path,
        _converted(held.with_pending, found.rate),
        _converted(held.without_pending, found.rate),
    )


def _converted(amount: Decimal, rate: Decimal) -> Decimal:
    """An amount at a rate, rounded half-even where the rate is a rounded one and the product has more decimals than it."""
    product = amount * rate
    if -int(product.as_tuple().exponent) <= REPORTED_DECIMALS:
        return product
    return product.quantize(_QUANTUM, context=_ROUNDING).normalize(_ROUNDING)


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
    unrated = tuple(
        each.currency for each in ordered if each.rate is None and (each.with_pending or each.without_pending)
    )
    amounts = {each.currency: each.reported_with_pending for each in rated if each.currency != reporting}
    warnings = (*_stale(ordered), *_warnings(amounts, position, policy, unrated))
    return Measured(ordered, position, settled, unrated, warnings)


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
