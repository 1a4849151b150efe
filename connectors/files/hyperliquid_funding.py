"""Funding of Hyperliquid as its API answers: the rates of a coin, and what an account paid and was paid.

Owns: `fundingHistory` (a list with `coin`, `fundingRate`, `time`) and `userFunding` (a list with `time`, `hash`, and `delta` of
type `funding` with `coin` and `usdc`). Times are milliseconds since 1970; amounts are in USDC, positive is received.
Guarantees: numbers digit by digit; all faults of a file are raised together; a payment's id is made of its hash and coin, so that
it is booked once, whatever file it comes in.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from connectors.files import fields
from connectors.files.accrual_terms import rate_fixed
from connectors.files.definitions import source_name
from connectors.files.faults import FaultCollector
from connectors.files.rows import describe, read_rows
from connectors.files.source import Source
from schemas import money
from schemas.frames import wire
from schemas.times import format_time
from schemas.units import MovementKind

CURRENCY = "USDC"
_NANOSECONDS = 1_000_000

_movement = wire(money.CashMovement)


def rate_name(coin: str) -> str:
    """The name of a coin's funding rate."""
    return f"{coin}.HYPERLIQUID.funding"


def read_funding_rates(source: Source) -> list[Any]:
    """The rates (wire twins of `RateFixed`) of an answer to `fundingHistory`. Raises InputFaults."""
    faults = FaultCollector(source.name)
    found = {}
    for place, values in _rows(source, faults, ("coin", "fundingRate", "time")):
        coin = _read(faults, place, "coin", values["coin"], fields.identifier)
        at = _read(faults, place, "time", values["time"], fields.integer)
        value = _read(faults, place, "fundingRate", values["fundingRate"], fields.number)
        if coin is not None and at is not None and value is not None:
            fixed = rate_fixed(
                rate=rate_name(coin),
                fixed_at=at * _NANOSECONDS,
                value=value,
                source=f"hyperliquid:{source_name(faults.file)}",
            )
            found[fixed.rate, fixed.fixed_at] = fixed
    faults.raise_if_any()
    return list(found.values())


def read_funding_payments(source: Source, account: str) -> list[Any]:
    """The payments (wire twins of `CashMovement`) of an answer to `userFunding`. Raises InputFaults."""
    faults = FaultCollector(source.name)
    found = []
    for place, values in _rows(source, faults, ("time", "hash", "delta")):
        delta = values["delta"]
        if not isinstance(delta, dict) or delta.get("type") != "funding":
            faults.add(place, "delta", "an object of type funding", describe(delta))
            continue
        at = _read(faults, place, "time", values["time"], fields.integer)
        name = _read(faults, place, "hash", values["hash"], fields.identifier)
        coin = _read(faults, place, "delta.coin", delta.get("coin"), fields.identifier)
        amount: Decimal | None = _read(faults, place, "delta.usdc", delta.get("usdc"), fields.number)
        if at is None or name is None or coin is None or amount is None:
            continue
        day = format_time(at * _NANOSECONDS)[:10]
        movement_id = f"hyperliquid:funding:{name}:{coin}"[:128]
        found.append(
            _movement(
                event_id=movement_id,
                source=f"hyperliquid:{source_name(faults.file)}",
                movement_id=movement_id,
                kind=MovementKind.FUNDING,
                currency=CURRENCY,
                amount=amount,
                trade_date=day,
                event_time=at * _NANOSECONDS,
                account=account,
                settlement_date=day,
                instrument=coin,
                reference=f"funding at {delta.get('fundingRate', '')}"[:128],
            )
        )
    faults.raise_if_any()
    return found


def _rows(
    source: Source, faults: FaultCollector, names: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in read_rows(source, faults, input_format="json"):
        absent = [name for name in names if row.values.get(name) is None]
        if absent:
            faults.add(row.place, absent[0], "a value", "nothing")
        else:
            yield row.place, dict(row.values)


def _read(faults: FaultCollector, place: str, name: str, value: Any, reader: fields.Reader) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        faults.add(place, name, str(error), describe(value))
        return None
