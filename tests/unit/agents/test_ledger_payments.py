"""Payment orders of trades: what is owed waits for its payment, the rest for the end of its day; corrections and late steps."""

from decimal import Decimal
from typing import Any

import pytest

from agents.ledger_movements import scan_payments
from agents.ledger_payments import obligations
from agents.ledger_state import LedgerState
from schemas import money
from schemas.frames import wire
from schemas.numbers import exact_arithmetic
from tests.ledger_support import MoneyBooks, day_closed, instruction
from tests.unit.agents.test_ledger import FEE, FX, corrected, trade
from topology.money.rules import standard_rules

D = Decimal
PaymentDue = wire(money.PaymentDue)
OTC = {**FX, "counterparty": "bank", "settlement_date": "2026-01-07"}


def due(trade_id: str = "t1", currency: str = "USD", number: int = 1, **fields: Any) -> Any:
    values = {"book": "B1", "instrument": "EUR/USD", "entity": "E", "user": "anna", **fields}
    order_id = f"{trade_id}/{currency}/{number}"
    return PaymentDue(
        event_id=f"due {order_id}",
        order_id=order_id,
        trade_id=trade_id,
        currency=currency,
        counterparty="bank",
        **values,
    )


def steps(order_id: str, *names: str) -> list[Any]:
    return [instruction(name, "boris", order_id) for name in names]


def orders(books: MoneyBooks) -> dict[str, str]:
    return {each.order.order_id: each.order.state.value for each in scan_payments(books.ledger.committed)}


def settled(books: MoneyBooks, currency: str) -> Decimal:
    return sum(
        (held for names, (_, held) in books.accounts().items() if names[3:] == (currency, "cash")), D(0)
    )


@pytest.fixture
def books() -> MoneyBooks:
    found = MoneyBooks()
    found.book(trade("t1", 100, "1.1", **OTC))
    return found


def test_what_is_owed_waits_for_its_payment_and_the_rest_for_the_end_of_its_day(books: MoneyBooks):
    books.post(due())
    [order] = [each.order for each in scan_payments(books.ledger.committed)]
    assert (order.state, order.amount, order.currency, order.settlement_date) == (
        "draft",
        110,
        "USD",
        "2026-01-07",
    )
    assert (order.counterparty, order.obligation_id, order.drafted_by) == ("bank", "t1", "anna")
    books.post(day_closed("B1", "2026-01-07"))
    assert (settled(books, "EUR"), settled(books, "USD")) == (100, 0)
    books.post(instruction("approve", "anna", "t1/USD/1"))
    assert books.refusals[-1].field == "user"
    books.post(*steps("t1/USD/1", "approve", "send", "fail", "approve", "send", "settle"))
    assert settled(books, "USD") == books.of("cash") == -110
    books.post(day_closed("B1", "2026-01-08"))
    assert settled(books, "USD") == -110 and len(books.refusals) == 1
    books.restart()
    books.check()


def test_an_order_that_is_cancelled_leaves_its_trade_to_the_end_of_the_day(books: MoneyBooks):
    books.post(due(), *steps("t1/USD/1", "approve", "cancel"))
    assert books.of("cash") == -110 and settled(books, "USD") == 0
    books.post(due(number=2), *steps("t1/USD/2", "cancel"), day_closed("B1", "2026-01-07"))
    assert settled(books, "USD") == -110 and not books.refusals
    # Cancelled after its day: with the end of the next one.
    other = MoneyBooks()
    other.book(trade("t1", 100, "1.1", **OTC))
    other.post(due(), day_closed("B1", "2026-01-07"), *steps("t1/USD/1", "cancel"))
    assert settled(other, "USD") == 0
    other.post(day_closed("B1", "2026-01-08"))
    assert settled(other, "USD") == -110
    other.check()


@pytest.mark.parametrize("names", [[], ["approve"], ["approve", "send", "fail"]])
def test_a_correction_cancels_an_order_that_was_not_sent(books: MoneyBooks, names: list[str]):
    books.post(due(), *steps("t1/USD/1", *names))
    before, after = trade("t1", 100, "1.1", **OTC), trade("t1", 100, "1.2", **OTC)
    books.book(corrected(before, after))
    assert orders(books) == {"t1/USD/1": "cancelled"}
    books.post(due(number=2))
    assert orders(books) == {"t1/USD/1": "cancelled", "t1/USD/2": "draft"}
    books.post(day_closed("B1", "2026-01-07"))
    assert (settled(books, "USD"), books.of("cash")) == (0, -120)
    books.post(*steps("t1/USD/2", "approve", "send", "settle"))
    assert settled(books, "USD") == -120
    books.check()


def test_a_payment_that_was_sent_stands_and_its_trade_is_taken_back_beside_it(books: MoneyBooks):
    books.post(due(), *steps("t1/USD/1", "approve", "send"))
    books.book(corrected(trade("t1", 100, "1.1", **OTC), None))
    assert orders(books) == {"t1/USD/1": "sent"} and books.of("cash") == 0
    books.post(*steps("t1/USD/1", "settle"))
    # It is out, and what is owed back is due on the day.
    assert settled(books, "USD") == -110
    books.post(day_closed("B1", "2026-01-07"))
    assert settled(books, "USD") == settled(books, "EUR") == 0
    books.check()


def test_a_cancel_after_settlement_is_taken_back_at_once(books: MoneyBooks):
    books.post(due(), *steps("t1/USD/1", "approve", "send", "settle"), day_closed("B1", "2026-01-07"))
    books.book(corrected(trade("t1", 100, "1.1", **OTC), None))
    assert orders(books) == {"t1/USD/1": "settled"}
    assert settled(books, "USD") == settled(books, "EUR") == books.of("cash") == 0
    books.check()


def test_what_cannot_be_drafted(books: MoneyBooks):
    books.post(due())
    books.post(due())
    assert not books.refusals
    books.post(due(number=2), due("t9"), due(currency="EUR"), due(number=3, instrument="X"))
    assert [(each.field, each.found) for each in books.refusals] == [
        ("trade_id", "t1/USD/1, draft"),
        ("trade_id", "t9"),
        ("trade_id", "t1"),
        ("trade_id", "t1"),
    ]
    books.post(day_closed("B1", "2026-01-07"))
    books.book(trade("t2", 100, "1.1", **OTC))
    books.post(due("t2"))
    assert books.refusals[-1].found == "t2"
    assert not [each for each in orders(books) if each.startswith("t2")]
    books.check()


def test_what_a_trade_owes():
    books = MoneyBooks()
    books.book(
        trade("t1", 100, "1.1", **OTC, fees=FEE),
        trade("t2", -30, "1.1", **OTC, at=1),
        trade("t3", 1, 100, instrument_class="spot", underlying="BTC", instrument="BTC/USD", at=2),
    )
    state = LedgerState(books.ledger.committed, standard_rules())
    with exact_arithmetic():
        found = {
            name: [(each.currency, each.amount) for each in obligations(state, "B1", instrument, name)]
            for name, instrument in (("t1", "EUR/USD"), ("t2", "EUR/USD"), ("t3", "BTC/USD"))
        }
    # Bought euros are paid in dollars, with the fee; sold ones in euros; coins change hands at once.
    assert found == {"t1": [("USD", D("111.25"))], "t2": [("EUR", D(30))], "t3": []}
