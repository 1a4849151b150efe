"""`pks import`, as a person calls it: counts one a line, and what a statement has that no position shows."""

from pathlib import Path

import pytest

from connectors.embedded.errors import StateError
from connectors.embedded.log import EmbeddedLog
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
    assert ("corporate actions skipped: 2; " in err) is said
    assert (counts.get("skipped: CorporateAction.DETAIL") == "1") is said


ROWS = """trade_id,action,original_trade_id,book,instrument,side,quantity,price,currency,executed_at
t1,NEW,,B1,X,BUY,100,10,USD,2026-01-05T09:30:00Z
t2,NEW,,B1,X,BUY,5,10,EUR,2026-01-05T09:31:00Z
c7,CANCEL,t7,B1,X,BUY,5,10,USD,2026-01-05T09:31:00Z
"""


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_was_refused_and_what_waits_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
):
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "b.csv").write_text(
        ROWS.replace("t1,NEW,,B1,X,BUY,100", "t1,NEW,,B1,X,BUY,200").replace("c7", "c8")
    )
    data = tmp_path / "data"

    def said(name: str) -> list[str]:
        file = str(tmp_path / name)
        assert run(["import", file, "--format", "canonical", "--data", str(data), *options]) == 0
        return capsys.readouterr().err.splitlines()

    see = f"; see pks dlq list --data {data} --status open"
    assert said("a.csv") == [
        "1 rejected: t2: the trade's terms do not fit the position's (currency: expected USD, as the open position has "
        f"it, found EUR){see}",
        "1 waiting for a trade that has not come: c7 for t7; see docs/operating/waiting-corrections.md",
    ]
    refused, waiting = said("b.csv")
    assert refused.startswith(
        "1 rejected: t1: the trade id is known with other content (trade_id: expected a new id, "
    )
    assert refused.endswith(f"found t1){see}")
    assert waiting.startswith("1 waiting for a trade that has not come: c8 for t7;")
    # Nothing of it is left the second time: duplicates need no looking after, and other sources' letters are theirs.
    assert said("a.csv") == []


def test_only_the_first_refusals_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    header, first, second, _ = ROWS.splitlines()
    many = [second.replace("t2", f"u{number}") for number in range(9)]
    (tmp_path / "a.csv").write_text("\n".join([header, first, *many]))
    run(
        [
            "import",
            str(tmp_path / "a.csv"),
            "--format",
            "canonical",
            "--data",
            str(tmp_path / "data"),
            "--json",
        ]
    )
    [line] = capsys.readouterr().err.splitlines()
    assert (
        line.startswith("9 rejected: u0: ")
        and "; u2: " in line
        and "; u3: " not in line
        and "; 6 more; see" in line
    )


def test_what_is_left_is_said_without_reasons_where_the_log_cannot_be_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def unreadable(*_: object) -> None:
        raise StateError("data: expected a sound log, found another")

    monkeypatch.setattr(EmbeddedLog, "reader", unreadable)
    (tmp_path / "a.csv").write_text(ROWS)
    assert (
        run(["import", str(tmp_path / "a.csv"), "--format", "canonical", "--data", str(tmp_path / "data")])
        == 0
    )
    assert "1 rejected, 1 waiting; data: expected a sound log" in capsys.readouterr().err
