"""`pks import`, as a person calls it: counts one a line, and what a statement has that no position shows."""

from pathlib import Path

import pytest

from topology.cli.application import run

TRADE = (
    '<Trade accountId="U1" assetCategory="STK" symbol="X" conid="1" multiplier="1" currency="USD" tradeID="7" '
    'transactionID="8" dateTime="20250306;103619" buySell="BUY" quantity="10" tradePrice="31" ibCommission="-1" '
    'ibCommissionCurrency="USD" levelOfDetail="EXECUTION" tradeDate="20250306" exchange="ISLAND" />'
)
ACTION = '<CorporateAction symbol="X" levelOfDetail="DETAIL" quantity="90" /><CorporateAction symbol="X" />'


@pytest.mark.parametrize(("other", "said"), [("", False), (ACTION, True)])
def test_a_statement_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, said: bool
):
    statement = tmp_path / "flex.xml"
    statement.write_text(
        f"<FlexQueryResponse><FlexStatement>{TRADE}{other}</FlexStatement></FlexQueryResponse>"
    )
    assert run(["import", str(statement), "--format", "ibkr-flex", "--out", "-"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and '"trade_id":"7"' in out
    counts = dict(line.rsplit(maxsplit=1) for line in err.splitlines() if line[-1].isdecimal())
    assert (counts["fills"], counts["rejected"]) == ("1", "0")
    assert ("2 corporate actions were skipped" in err) is said
    assert (counts.get("skipped: CorporateAction.DETAIL") == "1") is said
