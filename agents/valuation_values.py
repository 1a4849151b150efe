"""What some rows are worth, as columns of a frame; and the value of positions of one instrument.

Guarantees: decimals as `domain.valuation.money` gives them, digit for digit (a test holds the columns equal to it).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from agents.valuation_rows import EMPTY, Rows, array
from domain.valuation.money import worth
from schemas.numbers import ZERO
from schemas.units import MarkQuality, ValuedBy

_encode = msgspec.json.Encoder().encode

GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
MISSING = MarkQuality.MISSING


class Price(NamedTuple):
    """What a unit of an instrument is valued at, and what that hangs on. `accrued` is that of one unit of quantity;
    `unit` are the Greeks of one unit where a model or the engine gave them, None where the price itself moves."""

    price: Decimal | None
    quality: MarkQuality = MISSING
    event_time: int = 0
    valued_by: ValuedBy = ValuedBy.NOTHING
    accrued: Decimal | None = None
    reason: str = ""
    unit: Mapping[str, float] | None = None


class Values(msgspec.Struct, gc=False):
    """Columns of a frame, encoded, in the order of `PositionsValuated`; what others want as numbers beside them.

    `reasons` and `qualities` are by row, or one for all; `at` is the spot of all. `greeks` are lists by name of `GREEKS`;
    NaN or None where a row has none.
    """

    mark: Any
    mark_quality: Any
    mark_time: Any
    valued_by: Any
    market_value: Any
    accrued_interest: Any
    unrealised_pnl: Any
    reasons: list[str] | str
    worths: Sequence[Decimal | None]
    pnls: Sequence[Decimal | None]
    qualities: Sequence[MarkQuality] | MarkQuality
    at: float | None
    spot: Any = EMPTY
    volatility: Any = EMPTY
    rate: Any = EMPTY
    time_to_expiry: Any = EMPTY
    greeks: dict[str, list[float | None]] = {}


def same(value: Any, count: int) -> msgspec.Raw:
    """A column that has one value in every row."""
    return array([_encode(value)] * count)


def decimals(numbers: Sequence[Decimal] | Sequence[str]) -> Any:
    """A column of decimals, or of their texts."""
    return msgspec.Raw(('["' + '","'.join(map(str, numbers)) + '"]').encode()) if numbers else EMPTY


def maybe_decimals(numbers: Sequence[Decimal | None]) -> Any:
    """A column of decimals some of which may have no value."""
    if None not in numbers:
        return decimals([number for number in numbers if number is not None])
    return array([b"null" if number is None else b'"%b"' % str(number).encode() for number in numbers])


def chosen(numbers: list[Any], rows: Sequence[int]) -> list[Any]:
    """The entries of some rows, in their order."""
    if isinstance(rows, range):
        return numbers[rows.start : rows.stop]
    return [numbers[row] for row in rows]


def value_alike(held: Rows, rows: Sequence[int], price: Price) -> Values:
    """Rows of one instrument at one price: linear, inverse, a bond, or what the engine priced."""
    count, mark = len(rows), price.price
    at = None if mark is None or price.unit is not None else float(mark)
    reasons: list[str] | str = price.reason
    shares: Sequence[Decimal] = ()
    worths: Sequence[Decimal | None]
    pnls: Sequence[Decimal | None]
    market_value: Any
    if held.some_inverse or mark is None:
        found = [
            worth(each.quantity, each.multiplier, each.inverse, each.gross_cost, mark, price.accrued)
            for each in chosen(held.held, rows)
        ]
        worths = [None if each is None else each.market_value for each in found]
        pnls = [None if each is None else each.unrealised_pnl for each in found]
        if price.accrued is not None:
            shares = [ZERO if each is None else each.accrued_interest for each in found]
        why, other = price.reason or _NO_INVERSE, "" if mark is None else price.reason
        reasons = [why if value is None else other for value in worths]
        market_value, unrealised_pnl = maybe_decimals(worths), maybe_decimals(pnls)
    else:
        plain = [weight * mark for weight in chosen(held.weight, rows)]
        pnls = gains = [value - cost for value, cost in zip(plain, chosen(held.cost, rows), strict=True)]
        if price.accrued is not None:
            accrued = price.accrued
            shares = [each.quantity * accrued for each in chosen(held.held, rows)]
            plain = [value + share for value, share in zip(plain, shares, strict=True)]
        worths = plain
        market_value, unrealised_pnl = decimals(plain), decimals(gains)
    return Values(
        mark=EMPTY if mark is None else same(mark, count),
        mark_quality=EMPTY if price.quality is MISSING else same(price.quality, count),
        mark_time=same(price.event_time, count) if price.event_time else EMPTY,
        valued_by=EMPTY if mark is None else same(price.valued_by, count),
        market_value=market_value,
        accrued_interest=decimals(shares),
        unrealised_pnl=unrealised_pnl,
        reasons=reasons,
        worths=worths,
        pnls=pnls,
        qualities=price.quality,
        at=at,
        spot=EMPTY if at is None else same(at, count),
        greeks=_greeks(held, rows, price),
    )


_NO_INVERSE = "an inverse contract has no value at a mark that is not above 0"


def _greeks(held: Rows, rows: Sequence[int], price: Price) -> dict[str, list[float | None]]:
    """Linear: delta is the weight. Inverse, by the price P: weight / P^2, and -2 weight / P^3 for gamma."""
    if price.price is None:
        return {}
    sizes = chosen(held.size, rows)
    if price.unit is not None:
        return {name: [size * unit for size in sizes] for name, unit in price.unit.items()}
    if not held.some_inverse:
        return {"delta": sizes}
    mark = float(price.price)
    if mark <= 0.0:
        return {}
    inverse = [each.inverse for each in chosen(held.held, rows)]
    return {
        "delta": [
            size / mark / mark if turned else size for size, turned in zip(sizes, inverse, strict=True)
        ],
        "gamma": [
            -2.0 * size / mark / mark / mark if turned else 0.0
            for size, turned in zip(sizes, inverse, strict=True)
        ],
    }
