"""Frames of columns out of values: `PositionsValuated`, in as many pieces as a record may hold.

Guarantees: a frame stays below the cap of a record; the changes of positions stand in the frame that has their rows.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents.stage import Output
from agents.valuation_rows import EMPTY, ROWS_MAX, Rows, encoded
from agents.valuation_values import GREEKS, MISSING, Values, chosen, same
from domain.fx import Conversion, FxTable, MissingRate
from schemas import pnl, valuation
from schemas.frames import FRAME_BYTES_MAX, encode_event, positional, wire
from schemas.identity import content_id

_PositionsValuated = positional(valuation.PositionsValuated)
_PositionChange = wire(valuation.PositionChange)
_PositionIncome = wire(pnl.PositionIncome)

SCHEMA_VERSION, SOURCE = 1, "valuation"


Change = tuple[Any, Decimal]
"""A `PositionUpdated`, and what it changed of the fees held in the cost basis; or a `PositionIncome`, and 0."""


def _change(row: int, update: Any, held_fees_delta: Decimal, currency: str) -> Any:
    """What an update changed, as the frame with its row tells it; `currency` is the position's."""
    if type(update) is _PositionIncome:
        return _PositionChange(
            row=row,
            trade_id=update.causation_id,
            executed_at=update.event_time,
            revision=0,
            business_date=update.business_date,
            carry_delta=update.carry,
            funding_delta=update.funding,
            income_currency="" if update.currency == currency else update.currency,
        )
    return _PositionChange(
        row=row,
        trade_id=update.trade_id,
        executed_at=update.executed_at if update.trade_executed_at is None else update.trade_executed_at,
        revision=update.revision,
        kind=update.kind,
        business_date=update.business_date,
        quantity_delta=update.quantity_delta,
        cost_basis_delta=update.cost_basis_delta,
        held_fees_delta=held_fees_delta,
        realised_pnl_delta=update.realised_pnl_delta,
        net_realised_pnl_delta=update.net_realised_pnl_delta,
        fees_delta=update.fees_delta,
        trade_quantity=update.trade_quantity,
        trade_price=update.trade_price,
        accrued_interest=update.accrued_interest,
        realised_moves=update.realised_moves,
    )


class Conversions:
    """The columns of a conversion into the book's currency, and what is said where there is none."""

    def __init__(self, table: FxTable) -> None:
        self._table = table
        self._told: dict[tuple[str, str], Conversion | MissingRate] = {}

    def moved(self, pair: tuple[str, str]) -> bool:
        """Whether the conversion of a pair is another than when it was told last."""
        return self._told.get(pair) != self._table.find(*pair)

    def columns(self, held: Rows, rows: Sequence[int]) -> tuple[list[Any], list[str] | str]:
        """`book_currency`, `fx_rate`, `fx_quality` and `fx_time` of some rows, and a reason for each row or all."""
        pairs = chosen(held.pairs, rows)
        distinct = set(pairs)
        found = {pair: self._of(pair) for pair in distinct}
        if len(distinct) == 1:
            values, reason = found[pairs[0]]
            return [EMPTY if value is None else same(value, len(pairs)) for value in values], reason
        columns: list[Any] = [
            encoded([default if (value := found[pair][0][number]) is None else value for pair in pairs])
            for number, default in enumerate(("", None, MISSING, 0))
        ]
        return columns, [found[pair][1] for pair in pairs]

    def _of(self, pair: tuple[str, str]) -> tuple[tuple[Any, Any, Any, Any], str]:
        currency, book_currency = pair
        if not book_currency:
            return (None, None, None, None), ""
        found = self._told[pair] = self._table.find(currency, book_currency)
        if isinstance(found, MissingRate):
            return (book_currency, None, None, None), found.reason if currency else "no settlement currency"
        assert isinstance(found, Conversion)
        return (book_currency, found.rate, found.quality, found.event_time or None), ""


class FrameWriter:
    """Writes the frames of one step; `number` counts them, so that each has an id of its own."""

    def __init__(self, conversions: Conversions) -> None:
        self._conversions = conversions
        self.number = 0

    def write(
        self,
        output: Output,
        cause: tuple[str, str],
        underlying: str,
        now: int,
        held: Rows,
        rows: Sequence[int],
        values: Values,
        changes: Mapping[int, list[Change]],
    ) -> None:
        """Append rows that are valued already; `cause` is the event and correlation id, `changes` are by row.

        Raises TooLarge where they do not fit one frame.
        """
        static = held.static_columns(rows)
        fx, fx_reasons = self._conversions.columns(held, rows)
        place = {row: number for number, row in enumerate(rows)} if changes else {}
        told = tuple(
            _change(place[row], update, held_fees_delta, held.held[row].currency)
            for row, of_row in sorted(changes.items(), key=lambda item: place[item[0]])
            for update, held_fees_delta in of_row
        )
        greeks = [encoded(values.greeks[name]) if name in values.greeks else EMPTY for name in GREEKS]
        identity = content_id(cause[0], underlying, str(self.number))
        self.number += 1
        encoded_event = encode_event(
            _PositionsValuated(
                identity,
                cause[1],
                cause[0],
                SCHEMA_VERSION,
                SOURCE,
                underlying,
                now,
                *static,
                values.mark,
                values.mark_quality,
                values.mark_time,
                values.valued_by,
                values.market_value,
                values.accrued_interest,
                values.unrealised_pnl,
                *fx,
                values.spot,
                values.volatility,
                values.rate,
                values.time_to_expiry,
                *greeks,
                _reasons(values.reasons, fx_reasons, len(rows)),
                told,
            )
        )
        if len(encoded_event) >= FRAME_BYTES_MAX - 2 and len(rows) > 1:
            raise TooLarge
        output.encoded.append(encoded_event)


class TooLarge(Exception):
    """The rows do not fit a frame: take fewer at a time."""


def pieces(count: int) -> list[range]:
    """The ranges of rows that a frame may have each."""
    return [range(start, min(start + ROWS_MAX, count)) for start in range(0, count, ROWS_MAX)]


def _reasons(values: list[str] | str, conversions: list[str] | str, count: int) -> Any:
    if not conversions and type(values) is str:
        return same(values, count) if values else EMPTY
    first = [values] * count if type(values) is str else values
    second = [conversions] * count if type(conversions) is str else conversions
    joined = ["; ".join(filter(None, both)) for both in zip(first, second, strict=True)]
    return encoded(joined) if any(joined) else EMPTY
