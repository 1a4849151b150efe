"""Positions, lots, matches and steps as the documents that commands print: exact numbers as plain text."""

from decimal import Decimal
from typing import Any, Protocol

from domain.lots.matching import Match
from domain.lots.position import Lot, Terms
from schemas.numbers import plain
from schemas.times import format_time

Document = dict[str, Any]


class Figures(Protocol):
    """The figures of a position, made of its lots or as they are stored."""

    @property
    def terms(self) -> Terms: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def average_price(self) -> Decimal | None: ...
    @property
    def cost_basis(self) -> Decimal: ...
    @property
    def realised_pnl(self) -> Decimal: ...
    @property
    def net_realised_pnl(self) -> Decimal: ...
    @property
    def fees(self) -> Decimal: ...


def figures_document(position: Figures) -> Document:
    """The figures of a position; `average_price` is null where it is flat."""
    average = position.average_price
    return {
        "quantity": plain(position.quantity),
        "average_price": None if average is None else plain(average),
        "cost_basis": plain(position.cost_basis),
        "realised_pnl": plain(position.realised_pnl),
        "fees": plain(position.fees),
        "net_realised_pnl": plain(position.net_realised_pnl),
    }


def terms_document(position: Figures) -> Document:
    """The terms of a position."""
    terms = position.terms
    return {
        "multiplier": plain(terms.multiplier),
        "inverse": terms.inverse,
        "currency": terms.currency,
    }


def lot_document(lot: Lot) -> Document:
    """An open lot; its quantity is signed, `held_fee` is what it holds of capitalised fees."""
    return {
        "trade_id": lot.trade_id,
        "quantity": plain(lot.quantity),
        "price": plain(lot.price),
        "opened_at": format_time(lot.executed_at),
        "held_fee": plain(lot.fee),
    }


def match_document(match: Match) -> Document:
    """A match; its quantity is positive."""
    return {
        "opening_trade_id": match.opening_trade_id,
        "closing_trade_id": match.closing_trade_id,
        "quantity": plain(match.quantity),
        "open_price": plain(match.open_price),
        "close_price": plain(match.close_price),
        "realised_pnl": plain(match.realised_pnl),
    }
