"""The rules of `pks lots` as tables, computed by hand: an event, and the position after it."""

from typing import Any

import pytest

from tests.lots_support import document

# Each line: event | quantity, average price, cost basis, realised P&L, net realised P&L | open lots
TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "fifo closes the oldest first": (
        {"method": "fifo"},
        """
        t1 +100 @ 10    | 100  10    1000  0     0     | t1 100 @ 10
        t2 +100 @ 10.2  | 200  10.1  2020  0     0     | t1 100 @ 10, t2 100 @ 10.2
        t3 -150 @ 10.25 |  50  10.2  510   27.5  27.5  | t2 50 @ 10.2
        t4 -50 @ 10     |   0  -     0     17.5  17.5  |
        """,
    ),
    "lifo closes the newest first": (
        {"method": "lifo"},
        """
        t1 +100 @ 10    | 100  10    1000  0     0     | t1 100 @ 10
        t2 +100 @ 10.2  | 200  10.1  2020  0     0     | t1 100 @ 10, t2 100 @ 10.2
        t3 -150 @ 10.25 |  50  10    500   17.5  17.5  | t1 50 @ 10
        t4 -50 @ 10     |   0  -     0     17.5  17.5  |
        """,
    ),
    "average pools under the trade that opened": (
        {"method": "average"},
        """
        t1 +100 @ 10    | 100  10    1000  0     0     | t1 100 @ 10
        t2 +100 @ 10.2  | 200  10.1  2020  0     0     | t1 200 @ 10.1
        t3 -150 @ 10.25 |  50  10.1  505   22.5  22.5  | t1 50 @ 10.1
        t4 -50 @ 10     |   0  -     0     17.5  17.5  |
        t5 +1 @ 7       |   1  7     7     17.5  17.5  | t5 1 @ 7
        """,
    ),
    "average whose division does not end leaves no residue": (
        {"method": "average"},
        """
        t1 +1 @ 1   | 1  1  1  0  0                                                | t1 1 @ 1
        t2 +2 @ 2   | 3  1.666666666666666666666666666666666667  5  0  0           | t1 3 @ 1.666666666666666666666666666666666667
        t3 -3 @ 2   | 0  -  0  1  1                                                |
        """,
    ),
    "a short, through zero to long": (
        {"method": "fifo"},
        """
        t1 -10 @ 100  | -10  100  -1000  0    0    | t1 -10 @ 100
        t2 -10 @ 110  | -20  105  -2100  0    0    | t1 -10 @ 100, t2 -10 @ 110
        t3 +25 @ 90   |   5  90   450    300  300  | t3 5 @ 90
        t4 -5 @ 80    |   0  -    0      250  250  |
        """,
    ),
    "a short, through zero to long, lifo": (
        {"method": "lifo"},
        """
        t1 -10 @ 100  | -10  100  -1000  0    0    | t1 -10 @ 100
        t2 -10 @ 110  | -20  105  -2100  0    0    | t1 -10 @ 100, t2 -10 @ 110
        t3 +15 @ 90   |  -5  100  -500   250  250  | t1 -5 @ 100
        t4 +10 @ 80   |   5  80   400    350  350  | t4 5 @ 80
        """,
    ),
    "a short, through zero to long, average": (
        {"method": "average"},
        """
        t1 -10 @ 100  | -10  100  -1000  0    0    | t1 -10 @ 100
        t2 -10 @ 110  | -20  105  -2100  0    0    | t1 -20 @ 105
        t3 +25 @ 90   |   5  90   450    300  300  | t3 5 @ 90
        """,
    ),
    "a multiplier scales P&L and cost": (
        {"multiplier": "50"},
        """
        t1 +2 @ 4000.25  | 2  4000.25  400025  0   0   | t1 2 @ 4000.25
        t2 -2 @ 4001     | 0  -        0       75  75  |
        """,
    ),
    "prices may be zero or negative": (
        {},
        """
        t1 +10 @ -5  |  10  -5  -50  0    0    | t1 10 @ -5
        t2 -10 @ -7  |   0  -   0    -20  -20  |
        t3 +10 @ 0   |  10  0   0    -20  -20  | t3 10 @ 0
        t4 -20 @ 3   | -10  3   -30  10   10   | t4 -10 @ 3
        t5 +10 @ -1  |   0  -   0    50   50   |
        """,
    ),
    "average of prices that cancel out": (
        {"method": "average"},
        """
        t1 +1 @ -5  | 1  -5  -5  0  0  | t1 1 @ -5
        t2 +1 @ 5   | 2  0   0   0  0  | t1 2 @ 0
        t3 -2 @ 1   | 0  -   0   2  2  |
        """,
    ),
    "the smallest and the largest quantities": (
        {},
        """
        t1 +1000000000000000 @ 1      | 1000000000000000  1  1000000000000000  0  0                 | t1 1000000000000000 @ 1
        t2 -0.000000000000000001 @ 3  | 999999999999999.999999999999999999  1  999999999999999.999999999999999999  0.000000000000000002  0.000000000000000002 | t1 999999999999999.999999999999999999 @ 1
        """,
    ),
    "inverse: P&L in the coin": (
        {"inverse": True, "multiplier": "100"},
        """
        t1 +10 @ 50000  | 10  50000  0.02   0      0      | t1 10 @ 50000
        t2 +10 @ 40000  | 20  44444.444444444444444444444444  0.045  0  0  | t1 10 @ 50000, t2 10 @ 40000
        t3 -10 @ 62500  | 10  40000  0.025  0.004  0.004  | t2 10 @ 40000
        t4 -10 @ 40000  | 0   -      0      0.004  0.004  |
        """,
    ),
    "inverse, short": (
        {"inverse": True, "multiplier": "100"},
        """
        t1 -10 @ 50000  | -10  50000  -0.02  0      0      | t1 -10 @ 50000
        t2 +10 @ 40000  | 0    -      0      0.005  0.005  |
        """,
    ),
    "inverse, average": (
        {"inverse": True, "multiplier": "100", "method": "average"},
        """
        t1 +10 @ 50000  | 10  50000  0.02    0       0       | t1 10 @ 50000
        t2 +10 @ 40000  | 20  44444.444444444444444444444444444444444444  0.045  0  0 | t1 20 @ 44444.444444444444444444444444444444444444
        t3 -10 @ 62500  | 10  44444.444444444444444444444444444444444444  0.0225  0.0065  0.0065 | t1 10 @ 44444.444444444444444444444444444444444444
        t4 -10 @ 62500  | 0   -      0       0.013   0.013   |
        """,
    ),
    "fees excluded": (
        {"fee_policy": "excluded"},
        """
        t1 +10 @ 100 fee 2  |  10  100  1000   0    0    | t1 10 @ 100
        t2 -4 @ 110 fee 1   |   6  100  600    40   40   | t1 6 @ 100
        t3 -16 @ 120 fee 4  | -10  120  -1200  160  160  | t3 -10 @ 120
        t4 +10 @ 115 fee 1  |   0  -    0      210  210  |
        """,
    ),
    "fees expensed": (
        {"fee_policy": "expensed"},
        """
        t1 +10 @ 100 fee 2  |  10  100  1000   0    -2   | t1 10 @ 100
        t2 -4 @ 110 fee 1   |   6  100  600    40   37   | t1 6 @ 100
        t3 -16 @ 120 fee 4  | -10  120  -1200  160  153  | t3 -10 @ 120
        t4 +10 @ 115 fee 1  |   0  -    0      210  202  |
        """,
    ),
    "fees capitalised: with the lot, closing part at once, split in a flip": (
        {"fee_policy": "capitalised"},
        """
        t1 +10 @ 100 fee 2  |  10  100  1002     0    0      | t1 10 @ 100
        t2 -4 @ 110 fee 1   |   6  100  601.2    40   38.2   | t1 6 @ 100
        t3 -16 @ 120 fee 4  | -10  120  -1197.5  160  155.5  | t3 -10 @ 120
        t4 +10 @ 115 fee 1  |   0  -    0        210  202    |
        """,
    ),
    "fees capitalised in a pool": (
        {"fee_policy": "capitalised", "method": "average"},
        """
        t1 +10 @ 100 fee 2  | 10  100  1002  0   0     | t1 10 @ 100
        t2 +10 @ 110 fee 4  | 20  105  2106  0   0     | t1 20 @ 105
        t3 -5 @ 115 fee 1   | 15  105  1579.5  50  47.5  | t1 15 @ 105
        """,
    ),
    "fees capitalised: the multiplier is not applied to them": (
        {"fee_policy": "capitalised", "multiplier": "10"},
        """
        t1 +1 @ 100 fee 2  | 1  100  1002  0    0    | t1 1 @ 100
        t2 -1 @ 110 fee 1  | 0  -    0     100  97   |
        """,
    ),
    "a rebate is a negative fee": (
        {"fee_policy": "capitalised"},
        """
        t1 +10 @ 100 fee -1  | 10  100  999    0   0     | t1 10 @ 100
        t2 -5 @ 110 fee -2   |  5  100  499.5  50  52.5  | t1 5 @ 100
        """,
    ),
    "an amend changes price or quantity": (
        {},
        """
        t1 +10 @ 100            | 10  100  1000  0    0    | t1 10 @ 100
        t2 -10 @ 110 at 5       | 0   -    0     100  100  |
        a1 amends t1 +10 @ 105  at 0  | 0  -    0     50   50   |
        a2 amends t1 +15 @ 105  at 0  | 5  105  525   50   50   | t1 5 @ 105
        a3 amends t2 +10 @ 110  at 5  | 25  107  2675  0  0     | t1 15 @ 105, t2 10 @ 110
        """,
    ),
    "an amend in time changes the order": (
        {},
        """
        t1 +10 @ 100 at 1            | 10  100  1000  0    0    | t1 10 @ 100
        t2 +10 @ 200 at 2            | 20  150  3000  0    0    | t1 10 @ 100, t2 10 @ 200
        t3 -10 @ 300 at 3            | 10  200  2000  2000 2000 | t2 10 @ 200
        a1 amends t2 +10 @ 200 at 0  | 10  100  1000  1000 1000 | t1 10 @ 100
        """,
    ),
    "an amend keeps the place where times are equal": (
        {},
        """
        t1 +10 @ 100 at 0            | 10  100  1000  0     0     | t1 10 @ 100
        t2 +10 @ 200 at 0            | 20  150  3000  0     0     | t1 10 @ 100, t2 10 @ 200
        t3 -10 @ 300 at 1            | 10  200  2000  2000  2000  | t2 10 @ 200
        a1 amends t1 +10 @ 150 at 0  | 10  200  2000  1500  1500  | t2 10 @ 200
        """,
    ),
    "a cancel wins over every amend": (
        {},
        """
        t1 +10 @ 100                 | 10  100  1000  0  0  | t1 10 @ 100
        c1 cancels t1                | 0   -    0     0  0  |
        a1 amends t1 +10 @ 105 at 0  | 0   -    0     0  0  |
        t2 +1 @ 7                    | 1   7    7     0  0  | t2 1 @ 7
        """,
    ),
    "a cancelled close opens again": (
        {"fee_policy": "expensed"},
        """
        t1 +10 @ 100 fee 1  | 10  100  1000  0   -1  | t1 10 @ 100
        t2 -4 @ 110 fee 1   |  6  100  600   40  38  | t1 6 @ 100
        c1 cancels t2       | 10  100  1000  0   -1  | t1 10 @ 100
        """,
    ),
    "equal times go by row": (
        {"method": "lifo"},
        """
        t1 +10 @ 100 at 0  | 10  100  1000  0    0    | t1 10 @ 100
        t2 +10 @ 200 at 0  | 20  150  3000  0    0    | t1 10 @ 100, t2 10 @ 200
        t3 -10 @ 210 at 0  | 10  100  1000  100  100  | t1 10 @ 100
        """,
    ),
    "a late row stands where it was executed": (
        {},
        """
        t1 +10 @ 100 at 5  | 10  100  1000  0     0     | t1 10 @ 100
        t2 -10 @ 110 at 6  | 0   -    0     100   100   |
        t3 +10 @ 50 at 1   | 10  100  1000  600   600   | t1 10 @ 100
        """,
    ),
    "terms may change while flat": (
        {},
        """
        t1 +1 @ 10                | 1  10  10   0    0    | t1 1 @ 10
        t2 -1 @ 11                | 0  -   0    1    1    |
        t3 +1 @ 10 multiplier 10  | 1  10  100  1    1    | t3 1 @ 10
        t4 -1 @ 11 multiplier 10  | 0  -   0    11   11   |
        """,
    ),
}


def _lines(table: str) -> list[list[str]]:
    return [[part.strip() for part in line.split("|")] for line in table.strip().splitlines()]


def _event(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", TABLES)
def test_position_after_each_event(name: str):
    options, table = TABLES[name]
    lines = _lines(table)
    for count in range(1, len(lines) + 1):
        _, figures, lots = lines[count - 1]
        [position] = document([_event(line[0]) for line in lines[:count]], **options)["positions"]
        names = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl")
        expected = [None if figure == "-" else figure for figure in figures.split()]
        assert [position[name] for name in names] == expected, lines[count - 1]
        found = ", ".join(f"{lot['trade_id']} {lot['quantity']} @ {lot['price']}" for lot in position["lots"])
        assert found == lots, lines[count - 1]


@pytest.mark.parametrize("name", TABLES)
def test_steps_are_the_positions_after_each_trade(name: str):
    options, table = TABLES[name]
    lines = [_event(line[0]) for line in _lines(table)]
    whole = document(lines, steps=True, **options)
    [position] = whole["positions"]
    names = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")
    if whole["steps"]:
        assert [whole["steps"][-1][name] for name in names] == [position[name] for name in names]
    if not any(" amends " in line or " cancels " in line or " at " in line for line in lines):
        assert [step["trade_id"] for step in whole["steps"]] == [line.split()[0] for line in lines]
        for count, step in enumerate(whole["steps"], 1):
            [before] = document(lines[:count], **options)["positions"]
            assert [step[name] for name in names] == [before[name] for name in names]


def test_the_example_of_the_contract():
    lines = ["t1 +100 @ 10 fee 1", "t2 +50 @ 10.2 fee 1", "t3 -100 @ 10.25 fee 1"]
    found = document(lines, steps=True, fee_policy="expensed")
    assert found["method"] == "fifo" and found["fee_policy"] == "expensed"
    [position] = found["positions"]
    assert {
        name: position[name] for name in position if name not in ("lots", "multiplier", "inverse", "currency")
    } == {
        "book": "B1",
        "instrument": "X",
        "quantity": "50",
        "average_price": "10.2",
        "cost_basis": "510",
        "realised_pnl": "25",
        "fees": "3",
        "net_realised_pnl": "22",
        "matches": [
            {
                "opening_trade_id": "t1",
                "closing_trade_id": "t3",
                "quantity": "100",
                "open_price": "10",
                "close_price": "10.25",
                "realised_pnl": "25",
            }
        ],
    }
    [lot] = position["lots"]
    assert (lot["trade_id"], lot["quantity"], lot["price"], lot["opened_at"]) == (
        "t2",
        "50",
        "10.2",
        "2026-01-05T00:00:01Z",
    )
    assert (
        found["steps"][0].items()
        >= {
            "trade_id": "t1",
            "book": "B1",
            "instrument": "X",
            "quantity": "100",
            "average_price": "10",
            "realised_pnl": "0",
            "fees": "1",
        }.items()
    )
    assert document(lines)["positions"][0]["net_realised_pnl"] == "25"
    assert "steps" not in document(lines)


def _matches(lines: list[str], **options: Any) -> list[str]:
    return [
        f"{m['opening_trade_id']} {m['closing_trade_id']} {m['quantity']} {m['open_price']} {m['close_price']} {m['realised_pnl']}"
        for m in document(lines, **options)["positions"][0]["matches"]
    ]


def test_matches_in_the_order_of_matching():
    lines = ["t1 +10 @ 100", "t2 +10 @ 110", "t3 -15 @ 120", "t4 -15 @ 90", "t5 +10 @ 80"]
    assert _matches(lines) == [
        "t1 t3 10 100 120 200",
        "t2 t3 5 110 120 50",
        "t2 t4 5 110 90 -100",
        "t4 t5 10 90 80 100",
    ]
    assert _matches(lines, method="lifo") == [
        "t2 t3 10 110 120 100",
        "t1 t3 5 100 120 100",
        "t1 t4 5 100 90 -50",
        "t4 t5 10 90 80 100",
    ]
    assert _matches(lines, method="average") == [
        "t1 t3 15 105 120 225",
        "t1 t4 5 105 90 -75",
        "t4 t5 10 90 80 100",
    ]


def test_lots_and_matches_show_the_original_id():
    [position] = document(["t1 +10 @ 100", "a1 amends t1 +10 @ 90 at 0", "t2 -4 @ 100"])["positions"]
    assert [match["opening_trade_id"] for match in position["matches"]] == ["t1"]
    assert [lot["trade_id"] for lot in position["lots"]] == ["t1"]
    assert position["realised_pnl"] == "40"
