"""The cash of Flex statements: which rows are movements, of which kind, and what the statement says they come to."""

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.ibkr_cash import StatementCash, read_statement_cash
from schemas.units import MovementKind

ROW = {
    "accountId": "U1", "currency": "USD", "fxRateToBase": "0.82", "symbol": "MSTY", "description": "a dividend",
    "dateTime": "2025-06-06;20:20:00", "settleDate": "2025-06-09", "amount": "-245.53", "type": "Withholding Tax",
    "transactionID": "33", "levelOfDetail": "DETAIL",
}  # fmt: skip
REPORT = {
    "accountId": "U1", "currency": "CHF", "levelOfDetail": "Currency", "fromDate": "2025-01-01",
    "toDate": "20251231", "startingCash": "0.009051986", "endingCash": "13538.340410238",
}  # fmt: skip


def element(tag: str, values: dict[str, str], **changes: str) -> str:
    return f"<{tag} " + " ".join(f'{name}="{value}"' for name, value in {**values, **changes}.items()) + "/>"


def read(folder: Path, *elements: str, opening: bool = False) -> StatementCash:
    path = folder / "flex.xml"
    path.write_text(
        "<FlexQueryResponse><FlexStatements><FlexStatement>"
        + "\n".join(elements)
        + "</FlexStatement></FlexStatements></FlexQueryResponse>"
    )
    return read_statement_cash([str(path)], opening=opening)


def row(**changes: str) -> str:
    return element("CashTransaction", ROW, **changes)


@pytest.mark.parametrize(
    ("said", "amount", "kind"),
    [
        ("Deposits/Withdrawals", "5", MovementKind.DEPOSIT),
        ("Deposits &amp; Withdrawals", "-5", MovementKind.WITHDRAWAL),
        ("Dividends", "5", MovementKind.DIVIDEND),
        ("Payment In Lieu Of Dividends", "5", MovementKind.PAYMENT_IN_LIEU),
        ("Withholding Tax", "-5", MovementKind.WITHHOLDING_TAX),
        ("Broker Interest Paid", "-5", MovementKind.MARGIN_INTEREST),
        ("Broker Interest Received", "5", MovementKind.INTEREST),
        ("Other Fees", "-11", MovementKind.FEE),
    ],
)
def test_kinds(tmp_path: Path, said: str, amount: str, kind: MovementKind):
    [found] = read(tmp_path, row(type=said, amount=amount)).movements
    assert (found.kind, found.amount, found.movement_id) == (kind, Decimal(amount), "ibkr:cash:33")
    assert (found.trade_date, found.settlement_date, found.account, found.instrument) == (
        "2025-06-06",
        "2025-06-09",
        "U1",
        "MSTY",
    )


def test_summaries_repeat_and_other_types_are_named(tmp_path: Path):
    found = read(tmp_path, row(), row(levelOfDetail="SUMMARY"), row(type="Lottery"), row(levelOfDetail=""))
    assert len(found.movements) == 2 and found.left_out == {"Lottery": 1}


def test_balances_and_the_opening_where_it_is_asked_for(tmp_path: Path):
    elements = (
        '<AccountInformation currency="CHF"/>',
        element("CashReportCurrency", REPORT),
        element("CashReportCurrency", REPORT, currency="BASE_SUMMARY", levelOfDetail="BaseCurrency"),
        row(fxRateToBase="0.8"),
        row(transactionID="34", fxRateToBase="0.9"),
    )
    found = read(tmp_path, *elements)
    [stated] = found.stated
    assert (stated.opened, stated.ended) == (Decimal("0.009051986"), Decimal("13538.340410238"))
    assert stated.days == ("2025-01-01", "2025-12-31") and found.base_currency == "CHF"
    assert found.rates["USD"] == (Decimal("0.8"), Decimal("0.9"))
    assert len(found.movements) == 2
    opened = read(tmp_path, *elements, opening=True).movements[0]
    assert (opened.kind, opened.amount, opened.movement_id) == (
        MovementKind.OPENING,
        Decimal("0.009051986"),
        "ibkr:opening:U1:CHF:2025-01-01",
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "1e5"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"currency": "us"}, "currency"),
        ({"dateTime": "2025-02-30"}, "dateTime"),
        ({"transactionID": ""}, "transactionID"),
        ({"settleDate": "soon"}, "settleDate"),
    ],
)
def test_faults_have_their_line_and_field(tmp_path: Path, changes: dict[str, str], field: str):
    with pytest.raises(InputFaults) as raised:
        read(tmp_path, row(), row(**changes))
    [fault] = raised.value.faults
    assert (fault.place, fault.field) == ("line 2", field)
