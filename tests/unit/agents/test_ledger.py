"""What is posted for each kind of trade, its corrections, days and periods: tables of transfers."""

from decimal import Decimal
from typing import Any

import pytest

from agents import ledger
from agents.stage import Frame, InvariantBroken, Step
from domain.ledger.ledger_hash import account_digest, ledger_hash
from schemas import topics
from schemas.numbers import exact_arithmetic
from schemas.units import FeePolicy, LifecycleKind, LotMethod
from tests.ledger_support import MoneyBooks, PeriodLocked, PostingRules, day_closed, movement
from tests.support import Fee, LifecycleEventApplied, booked

SHARE = {"instrument_class": "equity", "settlement_currency": "USD"}


def trade(trade_id: str = "t1", quantity: str | int = 100, price: str | int = 10, **fields: Any) -> Any:
    values = {"entity": "E", "account": "A", "business_date": "2026-01-05", **SHARE, **fields}
    return booked(trade_id, quantity, price, **values)


def corrected(before: Any, after: Any | None, number: int = 1) -> Any:
    return LifecycleEventApplied(
        event_id=f"correction{number}",
        kind=LifecycleKind.CANCEL if after is None else LifecycleKind.AMEND,
        trade_id=f"c{number}",
        original_trade_id=before.trade_id,
        book=before.book,
        executed_at=before.executed_at,
        trade=after,
        source="test",
    )


def lines(entries: list[Any]) -> list[str]:
    return [
        f"{entry.leg}: {entry.debit_account} <- {entry.credit_account} {entry.amount} {entry.currency}"
        for entry in entries
    ]


BOND = {"instrument_class": "bond", "settlement_currency": "EUR", "accrued_interest": Decimal("12.343")}
FX = {"instrument_class": "fx", "settlement_currency": "USD", "underlying": "EUR", "instrument": "EUR/USD"}
PERPETUAL = {
    "instrument_class": "perpetual",
    "settlement_currency": "BTC",
    "multiplier": Decimal(100),
    "inverse": True,
}
FEE = (Fee(amount=Decimal("1.25")),)


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        pytest.param(
            [trade(fees=FEE)],
            ["principal: positions <- cash 1000.00 USD", "fee:commission: commissions <- cash 1.25 USD"],
            id="a share is bought",
        ),
        pytest.param(
            [trade(), trade("t2", -40, 12, at=1)],
            [
                "principal: positions <- cash 1000.00 USD",
                "principal: cash <- positions 480.00 USD",
                "realised_pnl: positions <- realised_pnl 80.00 USD",
            ],
            id="and sold with a gain",
        ),
        pytest.param(
            [
                trade(
                    fees=(Fee(amount=Decimal("-0.2"), kind="rebate"), Fee(amount=Decimal(3), currency="BNB"))
                )
            ],
            [
                "principal: positions <- cash 1000.00 USD",
                "fee:rebate: cash <- exchange_fees 0.20 USD",
                "fee:commission:1: commissions <- cash 3.00000000 BNB",
            ],
            id="a rebate, and a fee in another coin",
        ),
        pytest.param(
            [trade(**BOND), trade("t2", -100, 11, at=1, **BOND)],
            [
                "principal: positions <- cash 1000.00 EUR",
                "accrued_interest: accrued_interest <- cash 12.34 EUR",
                "principal: cash <- positions 1100.00 EUR",
                "accrued_interest: cash <- accrued_interest 12.34 EUR",
                "realised_pnl: positions <- realised_pnl 100.00 EUR",
            ],
            id="a bond pays its accrued interest",
        ),
        pytest.param(
            [trade(quantity=2, price="1.5", instrument_class="option", multiplier=Decimal(100))],
            ["principal: option_premiums <- cash 300.00 USD"],
            id="an option pays its premium",
        ),
        pytest.param(
            [trade(quantity="1000.005", price="1.1", **FX)],
            [
                "principal: currency_exchange <- cash 1100.01 USD",
                "base: cash <- currency_exchange 1000.00 EUR",
            ],
            id="two currencies change hands",
        ),
        pytest.param(
            [trade(quantity="0.5", price=60000, **{**FX, "instrument_class": "spot", "underlying": "ETH"})],
            [
                "principal: currency_exchange <- cash 30000.00 USD",
                "base: cash <- currency_exchange 0.500000000000000000 ETH",
            ],
            id="a coin of 18 decimals",
        ),
        pytest.param(
            [
                trade(instrument_class="future", multiplier=Decimal(10), fees=FEE),
                trade("t2", -100, "9.5", at=1, instrument_class="future", multiplier=Decimal(10)),
            ],
            [
                "fee:commission: commissions <- cash 1.25 USD",
                "realised_pnl: realised_pnl <- cash 500.00 USD",
            ],
            id="a future moves P&L and fees alone",
        ),
        pytest.param(
            [trade(quantity=3, price=50000, **PERPETUAL), trade("t2", -3, 60000, at=1, **PERPETUAL)],
            ["realised_pnl: cash <- realised_pnl 0.00100000 BTC"],
            id="an inverse perpetual settles in its coin",
        ),
        pytest.param(
            [trade(quantity=3, price="333.3", settlement_currency="JPY")],
            ["principal: positions <- cash 1000 JPY"],
            id="no decimals",
        ),
        pytest.param(
            [trade(quantity=3, price="0.33335", settlement_currency="KWD")],
            ["principal: positions <- cash 1.000 KWD"],
            id="three decimals",
        ),
        pytest.param(
            [trade(quantity=1, price="0.005"), trade("t2", 1, "0.005", at=1), trade("t3", 1, "0.005", at=2)],
            [
                # Each payment is rounded to nothing; the cost of what is held is not.
                "rounding:positions: positions <- rounding 0.01 USD",
                "rounding:positions: positions <- rounding 0.01 USD",
            ],
            id="what rounding leaves over has an account",
        ),
        pytest.param(
            [
                trade(fees=(Fee(amount=Decimal("0.004")),)),
                trade("t2", 1, 10, at=1, fees=(Fee(amount=Decimal("0.004")),)),
            ],
            [
                "principal: positions <- cash 1000.00 USD",
                "principal: positions <- cash 10.00 USD",
                "rounding:commissions:USD: commissions <- rounding 0.01 USD",
            ],
            id="and so has what is left of fees",
        ),
        pytest.param(
            [
                trade(fees=(Fee(amount=Decimal(2)),), fee_policy=FeePolicy.CAPITALISED),
                trade("t2", -50, 12, at=1, fee_policy=FeePolicy.CAPITALISED),
            ],
            [
                "principal: positions <- cash 1000.00 USD",
                "fee:commission: commissions <- cash 2.00 USD",
                "capitalised_fees: positions <- capitalised_fees 2.00 USD",
                "principal: cash <- positions 600.00 USD",
                "realised_pnl: positions <- realised_pnl 100.00 USD",
                "capitalised_fees: capitalised_fees <- positions 1.00 USD",
            ],
            id="fees that are held stand in the cost of what is held",
        ),
    ],
)
def test_transfers_of_trades(trades: list[Any], expected: list[str]):
    books = MoneyBooks()
    for each in trades:
        books.book(each)
        books.check()
    assert lines(books.entries) == expected
    assert not books.refusals


def test_an_amend_takes_back_and_posts_anew():
    books = MoneyBooks()
    first = trade(fees=FEE)
    books.book(first)
    books.book(corrected(first, trade(quantity=50, price=11)))
    assert lines(books.entries[2:]) == [
        "reversal:principal: cash <- positions 1000.00 USD",
        "reversal:fee:commission: cash <- commissions 1.25 USD",
        "principal: positions <- cash 550.00 USD",
    ]
    assert [entry.status for entry in books.entries] == ["pending"] * 5
    assert [entry.reverses for entry in books.entries[2:]] == [
        *(entry.event_id for entry in books.entries[:2]),
        "",
    ]
    again = books.updates(corrected(first, None, 2))
    (last,) = books.post(*again)
    assert last.reverses == books.entries[4].event_id
    assert books.entries[4].cash_balance == Decimal("-550.00")


def test_a_late_trade_moves_the_profit_of_the_trades_after_it():
    books = MoneyBooks()
    books.book(trade("t2", 100, 10, at=10), trade("t3", -100, 12, at=20))
    books.book(trade("t1", 100, 11, at=0))
    assert lines(books.entries[-2:]) == [
        "principal: positions <- cash 1100.00 USD",
        "realised_pnl: realised_pnl <- positions 100.00 USD",
    ]
    assert books.of("realised_pnl") == -100 and books.of("positions") == 1000


def test_what_is_pending_is_posted_when_its_day_closes():
    books = MoneyBooks()
    books.book(trade(business_date="2026-01-16"), trade("t2", -40, 10, at=1, business_date="2026-01-16"))
    # The third Monday of January is a holiday of the NYSE.
    assert {entry.settlement_date for entry in books.entries} == {"2026-01-20"}
    assert books.post(day_closed("B1", "2026-01-19")) == []
    posted = books.post(day_closed("B1", "2026-01-20"))
    assert lines(posted) == ["settlement:positions:cash: positions <- cash 600.00 USD"]
    assert books.balances[-1].settled_balance == books.balances[-1].trade_date_balance == -600
    assert books.post(day_closed("B1", "2026-01-20")) == []
    books.check()


def test_a_cancel_after_settlement_settles_at_once_and_bears_interest_from_then():
    books = MoneyBooks()
    first = trade()
    books.book(first)
    books.post(day_closed("B1", "2026-01-06"))
    books.book(corrected(first, None))
    last = books.entries[-1]
    assert (last.status, last.settlement_date, last.cash_balance) == ("posted", "2026-01-06", 0)
    assert books.accounts() == {}


@pytest.mark.parametrize(
    ("day", "currency", "settles"),
    [
        ("2024-02-28", "USD", "2024-03-01"),
        ("2024-02-29", "EUR", "2024-03-04"),
        ("2024-05-24", "USD", "2024-05-29"),
        ("2024-05-28", "USD", "2024-05-29"),
        ("2023-12-29", "RUB", "2024-01-03"),
        # Beyond the years of the calendar weekdays are counted.
        ("2040-07-03", "USD", "2040-07-04"),
    ],
)
def test_settlement_dates(day: str, currency: str, settles: str):
    books = MoneyBooks()
    books.book(trade(business_date=day, settlement_currency=currency))
    assert books.entries[0].settlement_date == settles
    said = "weekdays counted: XNYS does not have the year" if day.startswith("2040") else ""
    assert books.entries[0].warning in (said, "below zero")


def test_a_year_beyond_the_calendar_is_told():
    books = MoneyBooks()
    books.post(movement(amount="5000"))
    books.book(trade(business_date="2040-07-03"))
    assert books.entries[1].warning == "weekdays counted: XNYS does not have the year"


def test_the_date_of_the_trade_goes_before_that_of_the_calendar():
    books = MoneyBooks()
    books.book(trade(settlement_date="2026-01-09"))
    assert books.entries[0].settlement_date == "2026-01-09"


def define(books: MoneyBooks, version: int = 1, **sections: Any) -> Any:
    import json

    from connectors.files.documents import read_document
    from connectors.files.source import open_source
    from topology.money.rules import STANDARD

    document = {**read_document(open_source(str(STANDARD))).content, **sections}
    rules = PostingRules(event_id=f"rules{version}", version=version, definition=json.dumps(document))
    books.ledger.define(rules)
    return rules


def lock(through: str) -> Any:
    return PeriodLocked(event_id=f"lock{through}", entity="E", through=through, user="anna")


def test_a_posting_into_a_closed_period_counts_in_the_open_one():
    books = MoneyBooks()
    books.post(lock("2026-01-31"))
    books.book(trade())
    entry = books.entries[0]
    assert (entry.trade_date, entry.posting_date, entry.reference) == (
        "2026-01-05",
        "2026-02-01",
        "closed: 2026-01-05",
    )


def test_or_is_refused_and_taken_in_when_it_comes_again():
    books = MoneyBooks()
    define(books, periods={"closed": "refuse"})
    books.post(lock("2026-01-06"))
    late = books.updates(trade("t1", 100, 10, posting_rules=1))
    assert books.post(*late) == []
    assert books.refusals[-1].expected == "a day after 2026-01-06, which is closed"
    books.book(trade("t2", -40, 12, at=1, business_date="2026-01-07", posting_rules=1))
    books.check()
    # Inventory and P&L are those of the books already; the cash of the refused trade is in opening_balances.
    assert (books.of("positions"), books.of("realised_pnl"), books.of("cash")) == (600, -80, 480)
    assert books.of("opening_balances") == -1000
    assert books.ledger.counts() == (3, 2, 0, 1, 0)
    books.post(lock("2026-01-04"))
    retried = late
    books.post(*retried)
    assert (books.of("positions"), books.of("realised_pnl"), books.of("cash")) == (600, -80, -520)
    assert books.of("opening_balances") == 0
    books.check()


def test_a_book_belongs_to_the_entity_of_its_first_trade():
    books = MoneyBooks()
    books.book(trade(), trade("t2", instrument="Y", entity="OTHER"), trade("t3", at=1, entity="OTHER"))
    assert {names[0] for names in books.accounts()} == {"E"}
    books.check()


def fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_days_that_close_may_lock():
    books = MoneyBooks()
    define(books, periods={"lock_on_day_close": True})
    books.book(trade("t0", posting_rules=1))
    books.post(day_closed("B1", "2026-01-05"))
    books.book(trade("t1", at=1, posting_rules=1))
    assert (books.entries[-1].posting_date, books.entries[-1].reference) == (
        "2026-01-06",
        "closed: 2026-01-05",
    )


def test_rules_of_a_version_are_those_that_the_trade_names():
    books = MoneyBooks()
    define(books, scales={"USD": 4, "BTC": 8, "ETH": 18, "USDT": 8, "USDC": 8, "BNB": 8})
    books.book(trade(price="10.00005"), trade("t2", price="10.00005", at=1, posting_rules=1))
    assert [str(entry.amount) for entry in books.entries[:2]] == ["1000.00", "1000.0050"]
    books.book(trade("t3", at=2, posting_rules=7))
    assert books.refusals[-1].found == "7"
    books.check()


def test_a_version_never_changes_and_a_minor_unit_never_becomes_coarser():
    books = MoneyBooks()
    first = define(books, scales={"USD": 4, "ETH": 18})
    with pytest.raises(AssertionError):
        define(books, scales={"USD": 6, "ETH": 18})
    books.ledger.define(first)
    with pytest.raises(AssertionError):
        define(books, 2, scales={"USD": 3, "ETH": 18})


def test_the_same_update_twice_is_a_duplicate():
    books = MoneyBooks()
    updates = books.updates(trade())
    books.post(*updates, *updates)
    assert books.ledger.counts() == (2, 1, 1, 0, 0)
    assert len(books.entries) == 1


def test_a_ledger_that_begins_late_takes_the_totals_in():
    books = MoneyBooks()
    books.updates(trade(), trade("t2", -40, 12, at=1))
    books.book(trade("t3", -10, 13, at=2))
    books.check()
    assert (books.of("positions"), books.of("realised_pnl")) == (500, -110)
    assert books.of("cash") == 130


def test_no_float_reaches_an_amount():
    books = MoneyBooks()
    update = books.updates(trade())[0]
    wrong = update.__class__(**{**fields(update), "trade_fees": (Fee(amount=0.1),)})  # type: ignore[arg-type]
    move = movement()
    for event in (wrong, move.__class__(**{**fields(move), "amount": 0.1})):
        frame = Frame(topics.LEDGER_INPUT.name, 0, 0, [event], [0])
        with pytest.raises((TypeError, InvariantBroken)), exact_arithmetic():
            ledger.handle(books.ledger.state, [frame], Step(lambda key: 0))


def test_a_number_on_the_wire_never_passes_through_a_float():
    line = b'[{"type":"CashMovement","event_id":"m","movement_id":"m","kind":"deposit","currency":"USD","amount":0.1000000000000000055511151231257827,"trade_date":"2026-01-05"}]'
    assert str(topics.LEDGER_INPUT.codec.decode(line)[0].amount) == "0.1000000000000000055511151231257827"


def test_the_order_of_arrival_does_not_show_in_the_hash():
    trades = [
        trade("t1", 100, "10.005", at=0, fees=(Fee(amount=Decimal("0.004")),)),
        trade("t2", -30, "11.003", at=1, lot_method=LotMethod.FIFO),
        trade("t3", 20, "9.999", at=2, fees=(Fee(amount=Decimal("0.0032")),)),
    ]
    found = set()
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        books = MoneyBooks()
        for place in order:
            books.book(trades[place])
        found.add(ledger_hash(account_digest(names, *held) for names, held in books.accounts().items()))
    assert len(found) == 1
