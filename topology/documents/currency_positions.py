"""Open currency positions as documents: what each entity holds by currency, with and without what is pending, and what
its positions are worth beside it.

Owns: which values are an exposure: the market value of what was paid for; of what is margined its unrealised P&L, since no
principal was paid, less what daily settlement has paid of it already; nothing of currency pairs, whose two sides are in the
balances already.
Guarantees: exact numbers are text in plain notation; what comes from balances is never mixed with what comes from marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents import currency_position, ledger
from agents.currency_position import Account, CurrencyState
from agents.ledger_accounts import read_accounts
from domain.currency_exposure import Held, Measured, exposure, measure
from domain.ledger.rules import Rules
from schemas.murmur2 import partition_of_key
from schemas.numbers import ZERO, exact_arithmetic, parse_exact, plain
from schemas.times import format_time
from schemas.units import MovementKind
from topology.log_reading import WholeLog, partition_count, read_events, table_partition

EXCHANGED = ("fx", "spot_fx")
MARGINED = ("future", "perpetual", "cfd")
"""Classes of instruments, as the standard posting rules move cash for them."""

Values = Mapping[str, Mapping[str, Decimal]]
"""What positions are worth, by entity and currency."""


def paid_ahead(log: WholeLog, rules: Rules) -> dict[tuple[str, str], Decimal]:
    """What daily settlement has paid of P&L that is not realised yet, by entity and currency: it is in the balances."""
    rule = rules.movements.get(MovementKind.VARIATION_MARGIN)
    found: dict[tuple[str, str], Decimal] = {}
    for partition in range(partition_count(log)) if rule is not None else ():
        for names, total, _ in read_accounts(table_partition(log, ledger.NAME, partition)):
            if rule is not None and names[4] == rule.account and total:
                place = names[0], names[3]
                found[place] = found.get(place, ZERO) - total
    return found


def values_of(
    valuations: Iterable[Mapping[str, Any]], paid: Mapping[tuple[str, str], Decimal] | None = None
) -> tuple[dict[str, dict[str, Decimal]], list[str]]:
    """What valued positions add to the exposures of their entities beside what was `paid` of it, and which could not be valued."""
    found: dict[str, dict[str, Decimal]] = {}
    for (entity, currency), amount in (paid or {}).items():
        found.setdefault(entity, {})[currency] = -amount
    unvalued = []
    for each in valuations:
        kind = each["instrument_class"]
        if kind in EXCHANGED or not parse_exact(each["quantity"]):
            continue
        value = each["unrealised_pnl" if kind in MARGINED or each["inverse"] else "market_value"]
        if value is None:
            unvalued.append(f"{each['book']}/{each['instrument']}: {each['reason'] or 'no value'}")
            continue
        by_currency = found.setdefault(each["entity"], {})
        currency = each["currency"]
        with exact_arithmetic():
            by_currency[currency] = by_currency.get(currency, ZERO) + parse_exact(value)
    return found, unvalued


def open_state(log: WholeLog, partition: int, reporting_currency: str) -> CurrencyState:
    """A partition of the stage, to read, with the rates and policies that came after its last step: it takes them in with its
    next input, which is a balance or a tick of the clock."""
    state = CurrencyState(table_partition(log, currency_position.NAME, partition), reporting_currency)
    for topic in currency_position.BROADCASTS:
        if topic.name not in log.topics():
            continue
        offset = log.committed(f"{currency_position.NAME}/{partition}", topic.name, 0) or 0
        for _, event in read_events(log, topic, 0, offset):
            state.take_reference(event)
    return state


def currency_position_documents(
    log: WholeLog,
    reporting_currency: str,
    values: Values | None = None,
    entity: str | None = None,
    balances: Sequence[tuple[Account, Held]] | None = None,
) -> list[dict[str, Any]]:
    """The positions of an entity (None: of all), by entity; with what `values` add, where they are given.

    `balances` are those of another time, in place of those of now; rates and policies are those of now.
    """
    partitions = partition_count(log)
    with exact_arithmetic():
        states = [open_state(log, partition, reporting_currency) for partition in range(partitions)]
        if balances is not None:
            for number, state in enumerate(states):
                state.replace(
                    (place, held)
                    for place, held in balances
                    if partition_of_key(place[0].encode(), partitions) == number
                )
        found = []
        for name in sorted({*(values or {}), *(name for state in states for name in state.entities)}):
            if entity in (None, name):
                state = states[partition_of_key(name.encode(), partitions)]
                found.append(_document(state, name, None if values is None else values.get(name, {})))
    return found


def _document(state: CurrencyState, entity: str, values: Mapping[str, Decimal] | None) -> dict[str, Any]:
    policy = state.policy(entity)
    found = state.measured(entity)
    document: dict[str, Any] = {
        "entity": entity,
        "reporting_currency": policy.reporting_currency,
        **_figures(found),
        "settled_net_open_position": plain(found.settled.net_open_position) if found.known else None,
        "exposures": [_exposure(each) for each in found.exposures],
        "unrated": list(found.unrated),
        "reason": "" if found.known else _no_rates(found.unrated, policy.reporting_currency),
        "warnings": list(found.warnings),
    }
    if values is not None:
        document["with_market_value"] = _with_values(state, entity, policy, values)
    return document


def _with_values(
    state: CurrencyState, entity: str, policy: Any, values: Mapping[str, Decimal]
) -> dict[str, Any]:
    known = state.entities.get(entity)
    held = {} if known is None else known.held
    nothing = Held(ZERO, ZERO)
    exposures = []
    for currency in sorted({*held, *values}):
        cash, value = held.get(currency, nothing), values.get(currency, ZERO)
        both = Held(cash.with_pending + value, cash.without_pending + value)
        exposures.append(exposure(currency, both, policy.reporting_currency, state.rates))
    found = measure(exposures, policy)
    return {
        "market_values": {currency: plain(value) for currency, value in sorted(values.items())},
        **_figures(found),
        "exposures": [_exposure(each) for each in found.exposures],
        "unrated": list(found.unrated),
        "warnings": list(found.warnings),
    }


def _figures(found: Measured) -> dict[str, str | None]:
    figures: dict[str, str | None] = {**found.position.document()}
    return figures if found.known else dict.fromkeys(figures)


def _no_rates(unrated: Sequence[str], reporting_currency: str) -> str:
    return (
        f"no rate of {', '.join(unrated)} in {reporting_currency}: pks import FILE --format ecb-rates "
        "(or marks of their pairs)"
    )


def _exposure(each: Any) -> dict[str, Any]:
    return {
        "currency": each.currency,
        "with_pending": plain(each.with_pending),
        "without_pending": plain(each.without_pending),
        "reported_with_pending": _text(each.reported_with_pending),
        "reported_without_pending": _text(each.reported_without_pending),
        "rate": _text(each.rate),
        "rate_time": None if each.rate_time is None else format_time(each.rate_time),
        "rate_quality": None if each.rate_quality is None else str(each.rate_quality),
        "rate_path": each.rate_path,
    }


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)
