"""The recorded Binance streams through the ledger: fees by tier, two markets in USDT, inverse contracts in their coin.

What each account then holds is reckoned again from the fills alone: cash of the spot account is what was paid and bought, that of
the futures accounts is P&L less fees.
"""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import decode
from schemas.numbers import ONE, ZERO, divide_money
from schemas.units import Side
from tests.ledger_support import MoneyBooks, day_closed
from tests.support import Fee, booked
from topology.money.rules import standard_rules

pytestmark = pytest.mark.tapes

TAKER_FEES = {"spot": ("0.001", "0.0009"), "usdm": ("0.0005", "0.0004"), "cm": ("0.0005", "0.00045")}
"""Of the first two tiers of each market."""

NEXT_TIER = Decimal(50_000_000)
"""Turnover of a market, in its quote currency (contracts in USD), from which the second tier holds."""

RULES = standard_rules()


def trades(folder: Path) -> Iterator[Any]:
    turnover: dict[str, Decimal] = defaultdict(Decimal)
    paths = sorted((folder / "binance_hftbacktest").glob("*/*.trade.jsonl.gz"))
    for batch in decode("binance-stream", [str(path) for path in paths], DecodeOptions(book="B1")):
        for fill in batch:
            market = fill.trade_id.split(":")[1]
            multiplier = fill.multiplier or ONE
            value = fill.quantity * multiplier * (ONE if fill.inverse else fill.price)
            turnover[market] += value
            rate = Decimal(TAKER_FEES[market][turnover[market] > NEXT_TIER])
            fee = divide_money(value * rate, fill.price) if fill.inverse else value * rate
            yield booked(
                fill.trade_id,
                fill.quantity if fill.side is Side.BUY else -fill.quantity,
                fill.price,
                instrument=fill.instrument,
                executed_at=fill.executed_at,
                source_sequence=fill.source_sequence,
                multiplier=multiplier,
                inverse=bool(fill.inverse),
                settlement_currency=fill.currency,
                underlying=fill.underlying,
                instrument_class=fill.instrument_class,
                business_date="2024-08-08",
                entity="E",
                account=market,
                fees=(Fee(amount=fee, kind="exchange"),),
            )


def test_cash_of_each_coin_is_what_was_traded_and_earned_less_fees(tapes: Path):
    books = MoneyBooks()
    cash: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    fees: dict[str, Decimal] = defaultdict(Decimal)
    profits: dict[tuple[str, str, str], Decimal] = {}
    together: list[Any] = []

    def post() -> None:
        updates = books.updates(*together)
        for update in updates:
            profits[update.account, update.currency, update.instrument] = update.realised_pnl
        books.post(*updates)
        together.clear()

    count = 0
    for trade in trades(tapes):
        count += 1
        (fee,) = trade.fees
        cash[trade.account, trade.settlement_currency] -= RULES.money(trade.settlement_currency).round(
            fee.amount
        )
        fees[trade.settlement_currency] += fee.amount
        if trade.account == "spot":
            cash["spot", trade.settlement_currency] -= RULES.money(trade.settlement_currency).round(
                trade.quantity * trade.price
            )
            cash["spot", trade.underlying] += trade.quantity
        together.append(trade)
        if len(together) == 2_000:
            post()
    post()
    assert count == 55_270 and not books.refusals
    for (market, currency, _), profit in profits.items():
        if market != "spot":
            cash[market, currency] += RULES.money(currency).round(profit)
    found = {
        (names[1], names[3]): total for names, (total, _) in books.accounts().items() if names[4] == "cash"
    }
    assert found == {names: held for names, held in cash.items() if held}
    assert set(found) == {
        ("spot", "USDT"), ("spot", "BTC"), ("spot", "ETH"), ("usdm", "USDT"), ("cm", "BTC"), ("cm", "ETH"),
    }  # fmt: skip
    for currency, paid in fees.items():
        posted = books.of("exchange_fees", currency)
        assert (
            abs(posted - paid) <= RULES.money(currency).quantum * 3 and books.of("rounding", currency) != ZERO
        )
    books.check()
    # All of it settled when it was traded: nothing is left for the end of the day.
    assert books.post(day_closed("B1", "2024-08-08")) == []
