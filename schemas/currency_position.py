"""The open currency position as events: what an entity holds in foreign currencies, and what it may hold.

Owns: their fields and constraints. Amounts are exact decimals; a policy is reference data.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from schemas.events import Event, Number
from schemas.times import Nanoseconds
from schemas.units import MarkQuality, currency_code_fault

ANY_ENTITY = "*"
"""The entity of the policy that holds for those that have none."""

NET = "*"
"""The key of a limit on the net open position."""


def _currency(text: str) -> str:
    fault = currency_code_fault(text)
    if fault is not None:
        raise ValueError(f"expected {fault}")
    return text


def _limited(text: str) -> str:
    return text if text == NET else _currency(text)


Currency = Annotated[str, AfterValidator(_currency)]
Limit = Annotated[Number, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyPolicy(Event):
    """How an entity's open currency position is measured; topic `ref.currency_policy.v1`. A later one of the same entity
    replaces it.

    `limits` are in the reporting currency: of a currency's position, long or short, by its code, and of the net open
    position by `*`. A limit that is broken warns; it stops nothing.
    """

    entity: str
    reporting_currency: Currency
    capital_rate: Limit = Decimal("0.08")
    limits: Mapping[Annotated[str, AfterValidator(_limited)], Limit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyExposure:
    """What an entity holds in one currency, over its accounts: cash, with what is pending and without.

    The `reported` amounts are in the reporting currency, at `rate` (reporting units for one), whose date and quality say
    how good that is; they are None where there is no rate. What a `rate_path` names was crossed.
    """

    currency: str
    with_pending: Decimal
    without_pending: Decimal
    rate: Decimal | None = None
    rate_time: Nanoseconds | None = None
    rate_quality: MarkQuality | None = None
    rate_path: str = ""
    reported_with_pending: Decimal | None = None
    reported_without_pending: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyPositionUpdated(Event):
    """An entity's open currency position after a balance of it changed, or rates or policies since the last tick of the clock;
    topic `bo.cash.ocp.v1`, event time `event_time`.

    What the exposures hold comes from balances alone and is replayed exactly; what is converted stands beside it. Sums,
    net open position and charge (Basel shorthand) are of all that has a rate, with what is pending, in the reporting
    currency; `unrated` names the currencies that are not in them. Where nothing that is held has a rate, they are None: a
    sum of nothing would be no position of 0. `settled_net_open_position` is without what is pending.
    """

    entity: str
    reporting_currency: str
    event_time: Nanoseconds
    exposures: tuple[CurrencyExposure, ...]
    sum_long: Decimal | None = None
    sum_short: Decimal | None = None
    net_open_position: Decimal | None = None
    capital_charge: Decimal | None = None
    settled_net_open_position: Decimal | None = None
    unrated: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
