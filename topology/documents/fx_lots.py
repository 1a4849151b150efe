"""FX in lots as documents: realised P&L of foreign instruments in price and FX parts, and the lots of cash in foreign currencies.

Owns: which rate belongs to a trade (the reference rate of its business day, or of the last day before it that has one, at most
`RATE_DAYS_MAX` back), and what is foreign: every currency but the functional one. Currency pairs are cash, not instruments.
Guarantees: price part + FX part = P&L in the functional currency, exactly; a position or a currency without a rate is named.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from connectors.files.ecb_rates import Day, fx_rate
from domain.fx import Conversion, FxTable
from domain.fx_lots import ForeignPosition, cash_position
from domain.ledger.rules import CASH
from domain.lots.position import Terms, Trade
from schemas import topics
from schemas.numbers import ZERO, exact_arithmetic, parse_exact, plain
from schemas.times import parse_time
from schemas.units import LotMethod
from topology.documents.currency_positions import EXCHANGED, MARGINED
from topology.documents.trades import trades_documents
from topology.log_reading import WholeLog, partition_count, read_events

RATE_DAYS_MAX = 7
"""Days that a rate may be older than what is converted: weekends and holidays have none of their own."""


class NoRate(Exception):
    """There is no rate of a currency near a day."""


class DailyRates:
    """Reference rates by day."""

    def __init__(self, days: Sequence[Day], functional: str) -> None:
        self._days = days
        self._dates = [day.day for day in days]
        self._functional = functional
        self.find = cache(self._find)

    def _find(self, currency: str, day: str) -> Decimal:
        """What a unit of a currency cost on a day. Raises NoRate."""
        place = bisect_right(self._dates, day)
        for known in reversed(self._days[max(0, place - RATE_DAYS_MAX) : place]):
            if (date.fromisoformat(day) - date.fromisoformat(known.day)).days > RATE_DAYS_MAX:
                break
            table = FxTable("EUR")
            for each in (currency, self._functional):
                if each in known.rates:
                    table.take(fx_rate(each, known.day, known.rates[each], ""))
            found = table.find(currency, self._functional)
            if isinstance(found, Conversion):
                return found.rate
        raise NoRate(f"no rate of {currency} in {self._functional} on {day} or in the week before")


def fx_lots_document(
    log: WholeLog, rates: DailyRates, functional: str, book: str | None = None
) -> dict[str, Any]:
    """Instruments and cash in foreign currencies, and what could not be reckoned."""
    missing: list[str] = []
    with exact_arithmetic():
        instruments = list(_instruments(log, rates, functional, book, missing))
        cash = list(_cash(log, rates, functional, missing))
    return {"currency": functional, "instruments": instruments, "cash": cash, "missing": missing}


def _instruments(
    log: WholeLog, rates: DailyRates, functional: str, book: str | None, missing: list[str]
) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trade in trades_documents(log, partition_count(log), book=book):
        foreign = trade["settlement_currency"] not in ("", functional)
        if foreign and trade["state"] in ("live", "amended") and trade["instrument_class"] not in EXCHANGED:
            found.setdefault((trade["book"], trade["instrument"]), []).append(trade)
    for (name, instrument), trades in sorted(found.items()):
        trades.sort(
            key=lambda trade: (parse_time(trade["executed_at"]), trade["source_sequence"], trade["trade_id"])
        )
        try:
            position = _matched(trades, rates)
        except NoRate as reason:
            missing.append(f"{name}/{instrument}: {reason}")
            continue
        yield {
            "book": name,
            "instrument": instrument,
            "foreign_currency": trades[0]["settlement_currency"],
            "quantity": plain(position.position.quantity),
            "realised_pnl": plain(position.position.realised_pnl),
            "price_part": plain(position.price_part),
            "fx_part": plain(position.fx_part),
            "functional_pnl": plain(position.price_part + position.fx_part),
            "functional_cost": plain(position.functional_cost),
        }


def _matched(trades: Sequence[dict[str, Any]], rates: DailyRates) -> ForeignPosition:
    first = trades[0]
    terms = Terms(
        LotMethod(first["lot_method"]), multiplier=parse_exact(first["multiplier"]), inverse=first["inverse"]
    )
    margined = first["instrument_class"] in MARGINED or first["inverse"]
    position = ForeignPosition(terms, margined)
    for trade in trades:
        executed_at = parse_time(trade["executed_at"])
        rate = rates.find(trade["settlement_currency"], trade["business_date"])
        quantity, price = parse_exact(trade["quantity"]), parse_exact(trade["price"])
        position.apply(Trade(trade["trade_id"], executed_at, trade["source_sequence"], quantity, price), rate)
    return position


def _cash(log: WholeLog, rates: DailyRates, functional: str, missing: list[str]) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str, str], list[tuple[int, str, str, Decimal]]] = {}
    for partition in range(partition_count(log)):
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition):
            change = (entry.debit_account == CASH) - (entry.credit_account == CASH)
            if change and not entry.pending_id and entry.currency != functional:
                place = (entry.entity, entry.account, entry.currency)
                moved = (entry.executed_at, entry.trade_date, entry.event_id, change * entry.amount)
                found.setdefault(place, []).append(moved)
    for (entity, account, currency), moves in sorted(found.items()):
        moves.sort(key=lambda move: move[0])
        try:
            position = cash_position(
                (event_id, moment, amount, rates.find(currency, day))
                for moment, day, event_id, amount in moves
            )
        except NoRate as reason:
            missing.append(f"{account or entity or 'cash'} {currency}: {reason}")
            continue
        yield {
            "entity": entity,
            "account": account,
            "foreign_currency": currency,
            "balance": plain(position.quantity),
            "fx_part": plain(position.realised_pnl),
            "functional_cost": plain(position.cost_basis),
            "lots": [
                {
                    "movement_id": lot.trade_id,
                    "amount": plain(lot.quantity),
                    "rate": plain(lot.price),
                }
                for lot in position.lots
            ],
        }


def total(document: dict[str, Any]) -> dict[str, str]:
    """The sums of price and FX parts over instruments and cash."""
    with exact_arithmetic():
        price = sum((parse_exact(each["price_part"]) for each in document["instruments"]), ZERO)
        fx = sum(
            (parse_exact(each["fx_part"]) for each in (*document["instruments"], *document["cash"])), ZERO
        )
        return {"price_part": plain(price), "fx_part": plain(fx), "functional_pnl": plain(price + fx)}
