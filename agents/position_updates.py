"""What changed: the `PositionUpdated` of an applied event, totals exact, earlier trades named."""

from decimal import Decimal
from typing import Any

from agents.open_position import OpenPosition
from agents.stage import Step
from domain.lots.matching import Applied
from domain.lots.position import Position, Trade
from domain.lots.rerun import RealisedChanges
from schemas import events, topics
from schemas.frames import positional, wire
from schemas.identity import derived_id
from schemas.numbers import ONE, ZERO
from schemas.times import Nanoseconds

REMATCHED_MAX = 500
"""Most earlier trades that one `PositionUpdated` names; all of them are in its totals."""

_position_updated = positional(events.PositionUpdated)
_RematchedTrade = wire(events.RematchedTrade)
_RealisedMove = wire(events.RealisedMove)
_POSITIONS = topics.POSITIONS


class Figures:
    """A position's figures at one moment."""

    __slots__ = ("cost_basis", "fees", "net_realised_pnl", "quantity", "realised_pnl")

    def __init__(self, position: Position) -> None:
        self.quantity = position.quantity
        self.cost_basis = position.cost_basis
        self.realised_pnl = position.realised_pnl
        self.net_realised_pnl = position.net_realised_pnl
        self.fees = position.fees


def emit_in_order(opened: OpenPosition, event: Any, trade: Trade, applied: Applied, step: Step) -> None:
    """The usual case: the trade is the position's latest, and its own changes are all there is."""
    if step.silent:
        opened.revision += 1
        return
    cost_basis_delta = applied.value
    multiplier = opened.position.terms.multiplier
    if multiplier is not ONE:
        cost_basis_delta *= multiplier
    if applied.held_fees is not ZERO:
        cost_basis_delta += applied.held_fees
    realised, net = applied.realised_pnl, applied.net_realised_pnl
    _emit(
        opened,
        event,
        event,
        trade.trade_id,
        step,
        0,
        trade.quantity,
        cost_basis_delta,
        realised,
        net,
        trade.fee,
    )


def emit_rematched(
    opened: OpenPosition,
    event: Any,
    content: Any,
    trade_id: str,
    before: Figures,
    realised: RealisedChanges,
    step: Step,
    index: int,
    taken_out_at: int | None = None,
) -> None:
    """A re-match: the changes against `before`, and which other trades now realise something else.

    `content` is the trade as it now stands in this position, None where `event` took it out: then it had been executed
    at `taken_out_at`.
    """
    position = opened.position
    step.touched[opened.book, opened.instrument] = opened
    if step.silent:
        opened.revision += 1
        return
    rematched = tuple(
        _RematchedTrade(trade_id=other, realised_pnl_delta=delta) for other, delta in realised.named
    )
    _emit(
        opened,
        event,
        content,
        trade_id,
        step,
        index,
        position.quantity - before.quantity,
        position.cost_basis - before.cost_basis,
        position.realised_pnl - before.realised_pnl,
        position.net_realised_pnl - before.net_realised_pnl,
        position.fees - before.fees,
        rematched,
        realised.count,
        taken_out_at,
        tuple(
            _RealisedMove(executed_at=Nanoseconds(executed_at), realised_pnl_delta=delta)
            for executed_at, delta in realised.moved.values()
            if delta
        ),
    )


def _what_it_was(event: Any, content: Any) -> tuple[Any, ...]:
    """The fields of `PositionUpdated` from `kind` to `instrument_class`, and its `posting_rules`."""
    if content is None:
        return event.kind, ZERO, None, (), ZERO, "", None, "", "", "", "", 0
    corrected = content is not event
    return (
        event.kind if corrected else None,
        content.quantity if corrected else None,
        content.price,
        content.fees,
        content.accrued_interest or ZERO,
        content.business_date,
        content.settlement_date,
        content.entity,
        content.account,
        content.underlying,
        content.instrument_class,
        content.posting_rules,
    )


def _emit(
    opened: OpenPosition,
    event: Any,
    content: Any,
    trade_id: str,
    step: Step,
    index: int,
    quantity_delta: Decimal,
    cost_basis_delta: Decimal,
    realised_pnl_delta: Decimal,
    net_realised_pnl_delta: Decimal,
    fees_delta: Decimal,
    rematched: tuple[events.RematchedTrade, ...] = (),
    rematched_count: int = 0,
    taken_out_at: int | None = None,
    realised_moves: tuple[Any, ...] = (),
) -> None:
    position = opened.position
    opened.revision += 1
    event_id = event.event_id
    # What is zero is left out, whichever zero it is: a restart must not show. Numbers are dear to spell, and without
    # fees the net figures are the very same.
    realised: Decimal | str = position.realised_pnl or ZERO
    net: Decimal | str = position.net_realised_pnl or ZERO
    if net is realised and net is not ZERO:
        net = realised = str(net)
    realised_delta: Decimal | str = realised_pnl_delta or ZERO
    net_delta: Decimal | str = net_realised_pnl_delta or ZERO
    if net_delta is realised_delta and net_delta is not ZERO:
        net_delta = realised_delta = str(net_delta)
    terms = position.terms
    multiplier = terms.multiplier
    if multiplier is not ONE and multiplier == ONE:
        multiplier = ONE
    *described, posting_rules = _what_it_was(event, content)
    step.bucket(_POSITIONS, opened.book).append(
        # In the order of the fields of `PositionUpdated`.
        _position_updated(
            derived_id(event_id, "p", index),
            event.correlation_id,
            event_id,
            1,
            event.source,
            opened.book,
            opened.instrument,
            trade_id,
            opened.revision,
            event.executed_at,
            position.quantity,
            position.average_price,
            position.cost_basis or ZERO,
            realised,
            net,
            position.fees or ZERO,
            terms.currency,
            len(position.lots),
            quantity_delta or ZERO,
            cost_basis_delta or ZERO,
            realised_delta,
            net_delta,
            fees_delta or ZERO,
            rematched,
            rematched_count,
            *described,
            multiplier,
            terms.inverse,
            posting_rules,
            position.held_fees or ZERO,
            taken_out_at,
            realised_moves,
        )
    )
