"""What is due by a day: the holdings of a log with their terms, rates and marks, through the rules of accruals.

Assumes: `exact_arithmetic()` around it; that the positions stage has applied what stands in the log.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from agents import cash
from agents.cash import scan_balances
from domain.accruals.accrued import Accrued, Hole
from domain.accruals.booking import Booked
from domain.accruals.coupon_accruals import coupon_accruals
from domain.accruals.coupons import CouponBond
from domain.accruals.financing import Financing, borrow_fees, margin_interest
from domain.accruals.funding import funding_payments
from domain.accruals.holdings import Dealt, Holding, Quantities
from domain.accruals.rates import Fixings
from domain.accruals.redemption import (
    TRADE,
    Redeemed,
    RedemptionTrade,
    Standing,
    redemption_trades,
    redemptions,
    trade_prefix,
)
from domain.accruals.variation_margin import DailySettlement, variation_margins
from domain.ledger.rules import Rules
from schemas import market_data, topics
from schemas.frames import wire
from schemas.numbers import parse_exact
from schemas.times import parse_time
from schemas.units import MovementKind
from topology.accruals.reference import Terms, bond_of, end_of
from topology.documents.trades import trades_documents
from topology.log_reading import WholeLog, partition_count, read_events, table_partition

_Mark: Any = wire(market_data.Mark)
_STANDING = ("live", "amended")
_NONE = Fixings()
_DAY = timedelta(days=1)


def holdings(log: WholeLog, instruments: set[str]) -> tuple[list[Holding], dict[str, list[Standing]]]:
    """The positions in some instruments, over all time, and the trades that runs have redeemed any of them by, in order, by
    what their ids begin with."""
    found: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    redeemed: dict[str, list[Standing]] = {}
    if instruments:
        for trade in trades_documents(log, partition_count(log), instruments=instruments):
            if trade["state"] in _STANDING:
                place = (trade["entity"], trade["account"], trade["book"], trade["instrument"])
                found.setdefault(place, []).append(trade)
            if trade["trade_id"].startswith(TRADE):
                prefix = trade["trade_id"].rpartition(":")[0] + ":"
                redeemed.setdefault(prefix, []).append(_redeemed(trade))
    for standing in redeemed.values():
        standing.sort(key=lambda one: (len(one.trade_id), one.trade_id))
    return [_holding(place, trades) for place, trades in sorted(found.items())], redeemed


def _redeemed(trade: dict[str, Any]) -> Standing:
    return Standing(
        trade["trade_id"],
        trade.get("corrected_by", trade["trade_id"]),
        parse_exact(trade["quantity"]),
        parse_exact(trade["price"]),
        trade["state"] not in _STANDING,
    )


def _holding(place: tuple[str, str, str, str], trades: list[dict[str, Any]]) -> Holding:
    last = trades[-1]
    return Holding(
        *place,
        Quantities.of((_settled(trade), parse_exact(trade["quantity"])) for trade in trades),
        Quantities.of((parse_time(trade["executed_at"]), parse_exact(trade["quantity"])) for trade in trades),
        parse_exact(last["multiplier"]),
        last["inverse"],
        last["settlement_currency"],
        last["instrument_class"],
        [_dealt(trade) for trade in trades if not trade["trade_id"].startswith(TRADE)],
    )


def _dealt(trade: dict[str, Any]) -> Dealt:
    return Dealt(
        date.fromisoformat(trade["business_date"] or trade["executed_at"][:10]),
        parse_exact(trade["quantity"]),
        parse_exact(trade["price"]),
        parse_exact(trade["realised_pnl"]),
    )


def _settled(trade: dict[str, Any]) -> int:
    day = trade["settlement_date"] or trade["business_date"] or trade["executed_at"][:10]
    return date.fromisoformat(day).toordinal()


class Prices:
    """Marks by instrument and time, as far as the log keeps them."""

    def __init__(self, log: WholeLog, instruments: set[str]) -> None:
        found: dict[str, dict[int, Decimal]] = {}
        for partition in range(partition_count(log)) if instruments else ():
            for _, mark in read_events(log, topics.MARKS, partition):
                if type(mark) is _Mark and mark.instrument in instruments and mark.price is not None:
                    found.setdefault(mark.instrument, {})[mark.event_time] = mark.price
        self._prices = {name: sorted(by_time.items()) for name, by_time in found.items()}

    def at(self, instrument: str, moment: int) -> Decimal | None:
        """The last mark up to a time; None where there is none."""
        prices = self._prices.get(instrument, [])
        place = bisect_right(prices, moment, key=lambda pair: pair[0])
        return prices[place - 1][1] if place else None


def due_on_positions(
    log: WholeLog, terms: Terms, fixings: dict[str, Fixings], rules: Rules, until: date
) -> Iterator[Accrued | RedemptionTrade | Hole]:
    """Coupons, redemptions, funding, borrowing fees and variation margin of every position up to and including a day; what a
    future moves for a day settles as `rules` have trades of its class settle."""
    prices = Prices(log, {*terms.funding, *terms.borrow})
    found, standing = holdings(log, terms.instruments)
    for holding in found:
        name = holding.instrument
        if name in terms.coupons:
            coupon = terms.coupons[name]
            bond = bond_of(coupon, fixings)
            yield from coupon_accruals(holding, bond, coupon.currency, until)
            yield from _redeem(holding, bond, coupon.currency, standing, until)
        if name in terms.funding:
            funding = terms.funding[name]
            yield from funding_payments(
                holding,
                fixings.get(funding.rate, _NONE),
                _price_at(prices, name),
                end_of(until),
                funding.currency,
                funding.interval_seconds,
                funding.decimals,
            )
        if name in terms.borrow:
            borrow = terms.borrow[name]
            financing = Financing(borrow.currency, borrow.day_count, borrow.decimals, borrow.spread)
            rates = fixings.get(borrow.rate, _NONE)
            yield from borrow_fees(holding, financing, _rate_of(rates), _price_of(prices, name), until)
        if name in terms.variation_margin:
            margin = terms.variation_margin[name]
            daily = _daily_settlement(margin, rules, holding.instrument_class)
            yield from variation_margins(
                holding, daily, _settlement_price(fixings.get(margin.rate, _NONE)), until
            )


def _redeem(
    holding: Holding, bond: CouponBond, currency: str, standing: Mapping[str, Sequence[Standing]], until: date
) -> Iterator[Accrued | RedemptionTrade | Hole]:
    for each in redemptions(holding, bond, currency, until):
        if isinstance(each, Redeemed):
            yield from redemption_trades(each, standing.get(trade_prefix(each), ()))
        else:
            yield each


def _daily_settlement(terms: Any, rules: Rules, instrument_class: str) -> DailySettlement:
    cycle = rules.cycle(rules.trade_class(instrument_class).cycle, terms.currency)
    if cycle is None:
        return DailySettlement(terms.currency, terms.decimals, lambda day: day)
    return DailySettlement(
        terms.currency,
        terms.decimals,
        lambda day: date.fromisoformat(cycle.settles(day.isoformat())[0]),
        cycle.calendar,
    )


def _settlement_price(fixings: Fixings) -> Callable[[date], Decimal | None]:
    def of(day: date) -> Decimal | None:
        found = fixings.in_force(end_of(day))
        return None if found is None or found.at <= end_of(day - _DAY) else found.value

    return of


def due_on_cash(
    terms: Any, balances: Quantities, fixings: dict[str, Fixings], until: date
) -> Iterator[Accrued | Hole]:
    """Interest on an account's cash up to and including a day."""
    financing = Financing(
        terms.currency,
        terms.day_count,
        terms.decimals,
        terms.debit_spread,
        terms.credit_spread,
        terms.free_balance,
    )
    rates = fixings.get(terms.rate, _NONE)
    yield from margin_interest(terms.entity, terms.account, balances, financing, _rate_of(rates), until)


def value_date_balances(log: WholeLog, terms: Any, booked: Mapping[str, Booked]) -> Quantities:
    """An account's cash by value date (ordinals), without the interest that runs have paid on it."""
    names = (terms.entity, terms.account, terms.currency)
    changes: list[tuple[int, Decimal]] = []
    for partition in range(partition_count(log)):
        for found, balance in scan_balances(table_partition(log, cash.NAME, partition)):
            if found == names:
                changes += [
                    (date.fromisoformat(day).toordinal(), amount) for day, amount in balance.values.items()
                ]
    paid = f"{MovementKind.MARGIN_INTEREST}/{terms.entity}/{terms.account}/{terms.currency}/"
    for key, known in booked.items():
        if key.startswith(paid) and known.accrued.payment_date is not None:
            changes.append((known.accrued.payment_date.toordinal(), -known.accrued.amount))
    return Quantities.of(changes)


def _price_at(prices: Prices, instrument: str) -> Callable[[int], Decimal | None]:
    return lambda moment: prices.at(instrument, moment)


def _price_of(prices: Prices, instrument: str) -> Callable[[date], Decimal | None]:
    return lambda day: prices.at(instrument, end_of(day))


def _rate_of(fixings: Fixings) -> Callable[[date], Decimal | None]:
    def rate_of(day: date) -> Decimal | None:
        found = fixings.in_force(end_of(day))
        return None if found is None else found.value

    return rate_of
