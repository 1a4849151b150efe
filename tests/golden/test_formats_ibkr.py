"""A broker's own realised P&L against ours: a real account's year, with commissions in the basis.

The statement has 671 executions of 2025; 185 of them close something, and the broker says what each realised
(`fifoPnlRealized`, to 0.02). FIFO with `capitalised` fees gives the same for 180 of them. The other five are:

- 7362019054 (2025-03-06), 7395457226 (2025-03-13) and the first part of 8396738230 (2025-10-17) sell MSTR of
  before 2025: 284 shares were held when the statement begins, at a cost that it does not state.
- 8401697643 (2025-10-20) sells shares that, without those 284, are not there any more.
- 8396738220 (2025-10-17) is the assignment of 34 calls (notes `A`): the broker books no P&L on the option and adds its
  premium to that of the shares delivered, 8396738230. We book it where it was earned; the sum is the same.

With the opening lots given as a file, all but the assignment's two legs tie, and those tie together.
"""

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.faults import FaultCollector
from connectors.venues.formats import decode
from connectors.venues.ibkr_xml import read_records
from domain.lots.calculate import LotsOptions, LotsResult, calculate
from schemas.numbers import divide_price, divide_value
from schemas.units import FeePolicy
from tests.support import Book, Books

pytestmark = [pytest.mark.tapes, pytest.mark.usefixtures("exact")]

STATEMENT = "ibkr_flex/opensteuerauszug_eTax_2025.xml.gz"
ACCOUNT = "U9999999"
TOLERANCE = Decimal("0.02")

SELLS_BEFORE = ("7362019054", "7395457226")
ASSIGNED_CALLS, ASSIGNED_SHARES = "8396738220", "8396738230"
SELL_AFTER = "8401697643"


@pytest.fixture
def statement(tapes: Path) -> str:
    return str(tapes / STATEMENT)


def records(path: str) -> list:
    faults = FaultCollector(path)
    found = list(read_records(path, faults))
    assert not faults
    return found


def trades_by_id(path: str) -> dict[str, dict]:
    return {
        record.values["tradeID"]: dict(record.values) for record in records(path) if record.tag == "Trade"
    }


def realised_by_broker(path: str) -> dict[str, Decimal]:
    return {
        trade_id: Decimal(values["fifoPnlRealized"])
        for trade_id, values in trades_by_id(path).items()
        if values["openCloseIndicator"] == "C"
    }


def match(fills: list) -> tuple[LotsResult, dict[str, Decimal]]:
    """The lots of all but currency trades, and what each trade realised net of fees."""
    # Commissions on currency pairs are in the account's currency, so they cannot be capitalised.
    matched = [fill for fill in fills if fill.instrument_class != "fx"]
    options = LotsOptions(fee_policy=FeePolicy.CAPITALISED, steps=True)
    result = calculate(matched, range(len(matched)), options)
    so_far: dict[str, Decimal] = {}
    realised = {}
    for step in result.steps:
        total = Decimal(step["net_realised_pnl"])
        realised[step["trade_id"]] = total - so_far.get(step["instrument"], Decimal(0))
        so_far[step["instrument"]] = total
    return result, realised


def differences(realised: dict[str, Decimal], said: dict[str, Decimal]) -> dict[str, Decimal]:
    """Ours less the broker's, where they are further apart than the tolerance."""
    return {
        trade_id: realised[trade_id] - value
        for trade_id, value in said.items()
        if abs(realised[trade_id] - value) > TOLERANCE
    }


def position_of(result: LotsResult, instrument: str) -> dict:
    (found,) = [entry.document() for entry in result.positions if entry.instrument == instrument]
    return found


def opening_lots(path: str, folder: Path) -> str:
    """The 284 MSTR of before the period as a canonical file, from what the statement says of their sales.

    Two were sold alone, at a cost (with fees) of 389.600072 each; the cost of the other 282 is that of the 3,400
    shares delivered on 17 October less what the statement itself says was paid for the 3,118 bought in 2025.
    """
    trades = trades_by_id(path)
    bought = [
        (values["dateTime"], int(trade_id), Decimal(values["quantity"]), Decimal(values["cost"]))
        for trade_id, values in trades.items()
        if values["symbol"] == "MSTR" and values["buySell"] == "BUY"
    ]
    left, cost = Decimal(3_118), Decimal(0)
    for _, _, quantity, paid in sorted(bought):
        taken = min(left, quantity)
        cost += divide_value(paid * taken, quantity)
        left -= taken
    assert left == 0
    rest = divide_price(-Decimal(trades[ASSIGNED_SHARES]["cost"]) - cost, Decimal(282))
    first = -Decimal(trades[SELLS_BEFORE[0]]["cost"])
    assert first == -Decimal(trades[SELLS_BEFORE[1]]["cost"]) == Decimal("389.600072")
    path_of_lots = folder / "opening.csv"
    path_of_lots.write_text(
        "trade_id,book,instrument,side,quantity,price,executed_at,currency,instrument_class\n"
        f"opening-1,{ACCOUNT},MSTR,BUY,2,{first},2024-12-31T20:00:00Z,USD,equity\n"
        f"opening-2,{ACCOUNT},MSTR,BUY,282,{rest},2024-12-31T21:00:00Z,USD,equity\n"
    )
    return str(path_of_lots)


def test_every_execution_is_a_fill(statement: str):
    decoded = decode("ibkr-flex", [statement])
    fills = decoded.fills()
    counts = decoded.counts
    assert (counts.read, counts.fills, counts.duplicates, counts.rejected) == (912, 671, 0, 0)
    assert counts.skipped["CashTransaction.DETAIL"] == 60
    trades = trades_by_id(statement)
    assert {fill.trade_id for fill in fills} == set(trades)
    for fill in fills:
        values = trades[fill.trade_id]
        signed = fill.quantity if fill.side == "BUY" else -fill.quantity
        assert (signed, fill.price, fill.instrument, fill.currency) == (
            Decimal(values["quantity"]), Decimal(values["tradePrice"]), values["symbol"], values["currency"],
        )  # fmt: skip
        assert sum(fee.amount for fee in fill.fees) == -Decimal(values["ibCommission"])
        assert signed * fill.price * fill.multiplier == pytest.approx(
            Decimal(values["tradeMoney"]), abs=TOLERANCE
        )
    assert [fill.event_id for fill in fills] == [
        fill.event_id for fill in decode("ibkr-flex", [statement]).fills()
    ]


def test_180_of_185_closes_realise_what_the_broker_says_and_the_others_are_explained(statement: str):
    said = realised_by_broker(statement)
    _, realised = match(decode("ibkr-flex", [statement]).fills())
    assert len(said) == 185
    assert set(differences(realised, said)) == {*SELLS_BEFORE, ASSIGNED_SHARES, ASSIGNED_CALLS, SELL_AFTER}


def test_with_the_opening_lots_the_rest_ties(statement: str, tmp_path: Path):
    said = realised_by_broker(statement)
    fills = [
        *decode("canonical", [opening_lots(statement, tmp_path)]).fills(),
        *decode("ibkr-flex", [statement]).fills(),
    ]
    _, realised = match(fills)
    premium = realised[ASSIGNED_CALLS]
    assert premium == Decimal("8504.59454")
    off = differences(realised, said)
    assert set(off) == {ASSIGNED_CALLS, ASSIGNED_SHARES}
    assert off[ASSIGNED_CALLS] == premium
    assert abs(sum(off.values())) < TOLERANCE
    assert abs(realised[SELL_AFTER] - said[SELL_AFTER]) < Decimal("0.000001")


def test_with_the_opening_lots_positions_are_the_brokers_open_positions(statement: str, tmp_path: Path):
    open_at_broker = {
        record.values["symbol"]: record.values
        for record in records(statement)
        if record.tag == "OpenPosition" and record.values["levelOfDetail"] == "SUMMARY"
    }
    fills = [
        *decode("canonical", [opening_lots(statement, tmp_path)]).fills(),
        *decode("ibkr-flex", [statement]).fills(),
    ]
    result, _ = match(fills)
    held = [entry.instrument for entry in result.positions if entry.position.quantity]
    assert set(held) == set(open_at_broker)
    for symbol, values in open_at_broker.items():
        position = position_of(result, symbol)
        assert Decimal(position["quantity"]) == Decimal(values["position"])
        assert abs(Decimal(position["cost_basis"]) - Decimal(values["costBasisMoney"])) < TOLERANCE


def test_the_stages_book_the_statement_once_and_agree(statement: str, tmp_path: Path, books: Books):
    books.define(Book(event_id="b", book=ACCOUNT, fee_policy=FeePolicy.CAPITALISED))
    opening = decode("canonical", [opening_lots(statement, tmp_path)]).fills()
    fills = decode("ibkr-flex", [statement]).fills()
    # The opening lots may come after the trades that sell them.
    books.book(*fills)
    books.book(*opening)
    books.book(*fills)
    assert (books.counts().applied, books.counts().duplicates, books.counts().refused) == (673, 671, 0)
    result, _ = match([*opening, *fills])
    for entry in result.positions:
        booked = books.position(ACCOUNT, entry.instrument)
        assert (booked.quantity, booked.cost_basis, booked.net_realised_pnl) == (
            entry.position.quantity, entry.position.cost_basis, entry.position.net_realised_pnl,
        )  # fmt: skip
    assert books.position(ACCOUNT, "MSTR").quantity == 5_257


def test_a_real_cancel_and_its_correction(tapes: Path, books: Books):
    fills = decode("ibkr-flex", [str(tapes / "ibkr_flex/pp_28.xml")]).fills()
    assert [(fill.trade_id, fill.action.value) for fill in fills] == [
        ("1144440025", "NEW"), ("1144440025/4610738885", "NEW"), ("1144440025/cancel", "CANCEL"),
    ]  # fmt: skip
    books.book(*fills)
    assert books.position("U1234567", "USD.TWD").quantity == Decimal("-1145.929445")


@pytest.mark.parametrize(
    ("name", "fills"),
    [
        ("opensteuerauszug_corporate_action_2025.xml", 1), ("opensteuerauszug_vtandchill_2025.xml", 7),
        ("pp_01.xml", 14), ("pp_02.xml", 9), ("pp_05.xml", 2), ("pp_14.xml", 8), ("pp_17.xml", 0),
        ("pp_18.xml.gz", 6), ("pp_23.xml", 0), ("pp_24.xml", 0), ("pp_28.xml", 3),
        ("synthetic_ibflexrs_backfill.xml", 6), ("synthetic_ibflexrs_bonds.xml", 4),
        ("synthetic_ibflexrs_corporate_actions.xml", 0), ("synthetic_ibflexrs_daily_portfolio.xml", 3),
        ("synthetic_ibflexrs_forex.xml", 4), ("synthetic_ibflexrs_futures.xml", 4),
    ],
)  # fmt: skip
def test_every_statement_decodes(tapes: Path, name: str, fills: int):
    decoded = decode("ibkr-flex", [str(tapes / "ibkr_flex" / name)])
    assert len(decoded.fills()) == fills
    assert decoded.counts.rejected == 0
