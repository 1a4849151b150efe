"""What rows mean together: ids, corrections, terms, several positions; and every fault at once."""

from decimal import Decimal
from typing import Any

import pytest

from domain.lots.calculate import LotsFaults, LotsOptions, calculate
from domain.lots.position import Terms
from schemas.numbers import exact_arithmetic
from schemas.units import Action, FeePolicy, LotMethod
from tests.lots_support import document, fills, run_lots
from tests.support import Fee, fill


def _faults(lines: list[str], **options: Any) -> list[tuple[int, str, str]]:
    with pytest.raises(LotsFaults) as caught:
        run_lots(lines, **options)
    return [(fault.number, fault.field, fault.found) for fault in caught.value.faults]


def _quantities(lines: list[str], **options: Any) -> dict[tuple[str, str], str]:
    return {
        (position["book"], position["instrument"]): position["quantity"]
        for position in document(lines, **options)["positions"]
    }


def test_books_and_instruments_are_apart_and_sorted():
    lines = ["t1 +1 @ 10 book B2", "t2 +2 @ 10", "t3 -3 @ 11 book B2 instrument A", "t4 -2 @ 11"]
    assert list(_quantities(lines).items()) == [(("B1", "X"), "0"), (("B2", "A"), "-3"), (("B2", "X"), "1")]


def test_steps_of_several_positions_are_in_the_order_of_matching():
    lines = [
        "t1 +1 @ 10 book B2 at 9",
        "t2 +2 @ 10 at 3",
        "t3 -3 @ 11 book B2 at 3",
        "t4 -2 @ 11 at 1",
        "t5 -2 @ 11 at 10",
    ]
    steps = document(lines, steps=True)["steps"]
    assert [(step["trade_id"], step["book"], step["quantity"]) for step in steps] == [
        ("t4", "B1", "-2"),
        ("t2", "B1", "0"),
        ("t3", "B2", "-3"),
        ("t1", "B2", "-2"),
        ("t5", "B1", "-2"),
    ]


def test_nothing_gives_nothing():
    assert document([]) == {"method": "fifo", "fee_policy": "excluded", "positions": []}


def test_the_same_row_twice_counts_once():
    assert _quantities(["t1 +1.50 @ 10.0 at 0", "t1 +1.5 @ 10 at 0", "t2 +1 @ 3"]) == {("B1", "X"): "2.5"}


def test_the_same_id_with_other_content_is_a_fault():
    lines = [
        "t1 +1 @ 10 at 0",
        "t1 +1 @ 11 at 0",
        "t1 +1 @ 10 at 1",
        "t1 +1 @ 10 at 0",
        "a1 amends t1 +1 @ 9",
        "a1 cancels t1",
    ]
    assert _faults(lines) == [(2, "trade_id", "t1"), (3, "trade_id", "t1"), (6, "trade_id", "a1")]


def test_corrections_may_stand_before_their_trade():
    assert _quantities(["a1 amends t1 +3 @ 10 at 0", "c1 cancels t2", "t2 +9 @ 10", "t1 +1 @ 10 at 0"]) == {
        ("B1", "X"): "3"
    }


def test_the_last_amend_row_holds():
    lines = ["t1 +1 @ 10 at 0", "a2 amends t1 +2 @ 10 at 9", "a1 amends t1 +3 @ 10 at 0"]
    assert _quantities(lines) == {("B1", "X"): "3"}


def test_an_amend_moves_a_trade_and_its_old_position_is_flat():
    lines = ["t1 +5 @ 10 at 0", "t2 +1 @ 10", "a1 amends t1 +4 @ 10 book B2 instrument Y at 0"]
    assert _quantities(lines) == {("B1", "X"): "1", ("B2", "Y"): "4"}
    [old, new] = document(["t1 +5 @ 10", "a1 amends t1 +4 @ 10 book B2 at 0"])["positions"]
    assert (old["quantity"], old["average_price"], old["cost_basis"], old["lots"]) == ("0", None, "0", [])
    assert new["lots"][0]["trade_id"] == "t1"


def test_a_cancelled_trade_leaves_a_flat_position():
    assert _quantities(["t1 +5 @ 10", "c1 cancels t1", "c2 cancels t1"]) == {("B1", "X"): "0"}


def test_a_correction_that_names_no_trade_is_a_fault():
    lines = [
        "t1 +5 @ 10",
        "c1 cancels t9",
        "a1 amends t1 +1 @ 1 at 0",
        "a2 amends a1 +1 @ 1",
        "c2 cancels c2",
    ]
    assert _faults(lines) == [
        (2, "original_trade_id", "t9"),
        (4, "original_trade_id", "a1"),
        (5, "original_trade_id", "c2"),
    ]


def test_a_correction_of_an_unreadable_row_is_not_its_own_fault():
    found = fills(["c1 cancels t9", "t1 +1 @ 1"])
    with exact_arithmetic():
        result = calculate(found, [1, 2], LotsOptions(), {"t9"})
    assert len(result.positions) == 1


def test_terms_are_fixed_while_a_position_is_open():
    lines = [
        "t1 +2 @ 10 multiplier 10",
        "t2 -1 @ 10 multiplier 5",
        "t3 -1 @ 10 multiplier 10 inverse yes",
        "t4 +1 @ 10 book B2",
        "t5 +1 @ 10 book B2 multiplier 2",
    ]
    assert _faults(lines) == [(2, "multiplier", "5"), (3, "inverse", "true"), (5, "multiplier", "2")]


def test_the_row_of_an_amend_is_at_fault_for_its_terms():
    assert _faults(["t1 +2 @ 10", "t2 +1 @ 10", "a1 amends t2 +1 @ 10 multiplier 5 at 1"]) == [
        (3, "multiplier", "5")
    ]


def test_a_position_has_one_currency_and_rows_need_not_repeat_it():
    assert _quantities(["t1 +2 @ 10", "t2 +1 @ 10 currency USD", "t3 -1 @ 10"]) == {("B1", "X"): "2"}
    assert _faults(["t1 +2 @ 10 currency USD", "t2 -1 @ 10 currency EUR"]) == [(2, "currency", "EUR")]
    assert _faults(["t1 +2 @ 10 currency USD", "t2 -2 @ 11 currency USD", "t3 +1 @ 10 currency EUR"]) == [
        (3, "currency", "EUR")
    ]


def test_the_price_of_an_inverse_contract_is_above_zero():
    lines = ["t1 +2 @ 0 inverse yes", "t2 +2 @ -1", "a1 amends t2 +2 @ -3 inverse yes at 1"]
    assert _faults(lines) == [(1, "price", "0"), (3, "price", "-3")]
    assert _faults(["t1 +2 @ 0", "t2 +2 @ 0 inverse no instrument Y"], inverse=True) == [(1, "price", "0")]


def test_a_fee_of_another_currency_cannot_be_capitalised():
    lines = ["t1 +2 @ 10 currency USD fee 1 in EUR", "t2 +2 @ 10 currency USD fee 3 in USD"]
    assert _faults(lines, fee_policy="capitalised") == [(1, "fees", "EUR")]
    [position] = document(lines, fee_policy="expensed")["positions"]
    assert (position["fees"], position["net_realised_pnl"]) == ("3", "-3")


def test_all_kinds_of_faults_come_together_in_the_order_of_rows():
    lines = [
        "t1 +2 @ 10",
        "c1 cancels t8",
        "t1 +3 @ 10",
        "t2 +1 @ 10 multiplier 5",
        "t3 +1 @ 0 inverse yes instrument Y",
    ]
    assert [number for number, _, _ in _faults(lines)] == [2, 3, 4, 5]


def test_rows_may_come_in_any_order():
    lines = ["t1 +10 @ 100 at 0", "t2 +10 @ 110 at 1", "t3 -15 @ 120 at 2", "t4 -15 @ 90 at 3"]
    [in_order] = document(lines)["positions"]
    [reversed_] = document(lines[::-1])["positions"]
    assert in_order == reversed_


def test_the_multiplier_option_is_for_rows_without_one():
    lines = ["t1 +1 @ 10", "t2 -1 @ 11", "t3 +1 @ 10 multiplier 3 book B2", "t4 -1 @ 11 multiplier 3 book B2"]
    realised = [position["realised_pnl"] for position in document(lines, multiplier="7")["positions"]]
    assert realised == ["7", "3"]


@pytest.mark.usefixtures("exact")
def test_a_lot_as_it_is_printed():
    [position] = document(["t1 +2 @ 100 fee 0.5", "t2 -1 @ 110"], fee_policy="capitalised")["positions"]
    assert position["lots"] == [
        {
            "trade_id": "t1",
            "quantity": "1",
            "price": "100",
            "opened_at": position["lots"][0]["opened_at"],
            "held_fee": "0.25",
        }
    ]


@pytest.mark.usefixtures("exact")
def test_all_fees_of_a_row_count():
    event = fill(
        "t1", fees=(Fee(amount=Decimal(1)), Fee(amount=Decimal(2)), Fee(amount=Decimal(4), currency="GBP"))
    )
    [result] = calculate([event], [1], LotsOptions()).positions
    assert result.position.fees == 3


@pytest.mark.usefixtures("exact")
def test_a_position_whose_trades_were_all_cancelled_has_the_terms_that_were_asked_for():
    options = LotsOptions(LotMethod.LIFO, FeePolicy.EXPENSED, Decimal(5), True)
    trades = [fill("t1"), fill("c1", action=Action.CANCEL, original_trade_id="t1")]
    [result] = calculate(trades, [1, 2], options).positions
    assert result.position.terms == Terms(LotMethod.LIFO, FeePolicy.EXPENSED, Decimal(5), True)


@pytest.mark.usefixtures("exact")
def test_each_row_has_a_number():
    with pytest.raises(ValueError, match="argument 2"):
        calculate([fill("t1"), fill("t2")], [1], LotsOptions())


@pytest.mark.usefixtures("exact")
def test_rows_of_equal_times_are_matched_in_the_order_of_the_file():
    rows = [fill("z", 1, 100), fill("a", 1, 200), fill("m", -1, 300)]
    [result] = calculate(rows, [1, 2, 3], LotsOptions()).positions
    assert [match.opening_trade_id for match in result.matches] == ["z"]
    # Over positions as well: the steps of two instruments at one time come as they stand in the file.
    rows = [fill("b", instrument="Y"), fill("a", instrument="X")]
    assert [step["trade_id"] for step in calculate(rows, [1, 2], LotsOptions(steps=True)).steps] == ["b", "a"]


@pytest.mark.usefixtures("exact")
def test_the_same_id_with_other_terms_is_other_content():
    for fields in ({"multiplier": Decimal(2)}, {"inverse": True}, {"currency": "USD"}):
        with pytest.raises(LotsFaults):
            calculate([fill("t1"), fill("t1", **fields)], [1, 2], LotsOptions())
