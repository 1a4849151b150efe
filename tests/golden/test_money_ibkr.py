"""A real account of 2025 through the ledger: its cash ties to the statement, but for one conversion that the statement lacks."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from topology.catching_up import caught_up
from topology.cli.application import run
from topology.documents.explained_money import explain_currency_position
from topology.settings import Settings

pytestmark = [pytest.mark.tapes, pytest.mark.usefixtures("exact")]
D = Decimal

STATEMENT = "ibkr_flex/opensteuerauszug_eTax_2025.xml.gz"
RATES = "ecb/eurofxref-hist_1999_2025.csv.gz"


def pks(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--data", str(data), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An empty folder whose posting rules have amounts to the nine decimals of statements."""
    assert run(["posting-rules"]) == 0
    rules = capsys.readouterr().out
    assert "scales: {" in rules
    file = tmp_path / "rules.yaml"
    file.write_text(rules.replace("scales: {", "scales: {CHF: 9, EUR: 9, USD: 9, "))
    data = tmp_path / "books"
    pks(capsys, data, "posting-rules-define", str(file))
    return data


@pytest.fixture
def books(tapes: Path, fine: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The account's books."""
    imported = pks(capsys, fine, "import", str(tapes / STATEMENT), "--format", "ibkr-flex", "--opening-cash")
    assert (imported["fills"], imported["movements"], imported["movements_known"]) == (671, 62, 0)
    return fine


@pytest.mark.parametrize(
    ("name", "balances"),
    [
        ("pp_14.xml", {"CHF": "5.875184563", "USD": "88.829543578"}),
        ("pp_18.xml.gz", {"EUR": "16469.4085", "USD": "-0.000001655"}),
    ],
)
def test_other_real_statements_tie_to_the_last_digit(
    tapes: Path, fine: Path, capsys: pytest.CaptureFixture[str], name: str, balances: dict[str, str]
):
    file = str(tapes / "ibkr_flex" / name)
    pks(capsys, fine, "import", file, "--format", "ibkr-flex", "--opening-cash")
    found = pks(capsys, fine, "cash-statement", file)["cash-statement"]
    assert {each["currency"]: each["found"] for each in found} == balances
    assert {each["break"] for each in found} == {"0"}


def test_the_statements_cash_ties_but_for_one_conversion(
    tapes: Path, books: Path, capsys: pytest.CaptureFixture[str]
):
    def held() -> list[dict[str, Any]]:
        return pks(capsys, books, "cash-statement", str(tapes / STATEMENT))["cash-statement"]

    franc, euro, dollar = first = held()
    assert (euro["currency"], euro["expected"], euro["found"], euro["break"]) == ("EUR", "0", "0", "0")
    assert (dollar["expected"], dollar["break"]) == ("-0.47148", "21.821296002")
    assert (franc["expected"], franc["break"]) == ("13538.340410238", "-18.867786264")
    assert (
        franc["explanation"]
        == dollar["explanation"]
        == (
            "one conversion that the statement does not list: 21.821296002 USD for 18.867786264 CHF, at 0.86465"
        )
    )
    # A second import of the same statement changes nothing.
    again = pks(capsys, books, "import", str(tapes / STATEMENT), "--format", "ibkr-flex", "--opening-cash")
    assert again["duplicates"] == 671 and held() == first
    assert again["movements"] == again["movements_known"] == 62
    # The cash stage says the same as the sum of the ledger's transfers.
    balances = {each["currency"]: each["trade_date_balance"] for each in pks(capsys, books, "cash")["cash"]}
    assert balances == {each["currency"]: each["found"] for each in first}


def test_the_open_currency_position_of_the_account(
    tapes: Path, books: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pks(capsys, books, "import", str(tapes / RATES), "--format", "ecb-rates")
    policy = tmp_path / "policy.yaml"
    policy.write_text('- {entity: "*", reporting_currency: CHF, limits: {USD: 10, "*": 1000}}\n')
    pks(capsys, books, "ocp-define", str(policy))
    [found] = pks(capsys, books, "ocp-live")["ocp-live"]
    dollar = next(each for each in found["exposures"] if each["currency"] == "USD")
    assert dollar["with_pending"] == "21.349816002" and dollar["rate_time"] == "2025-12-31T15:00:00Z"
    assert dollar["rate_path"] == "EUR/USD EUR/CHF" and dollar["rate_quality"] == "indicative"
    assert abs(D(dollar["reported_with_pending"]) * D("1.175") - D("21.349816002") * D("0.9314")) < D("1e-15")
    assert found["net_open_position"] == dollar["reported_with_pending"]
    assert found["warnings"] == [
        f"USD long: expected at most 10 CHF, found {dollar['reported_with_pending']}"
    ]


def test_price_and_fx_parts_of_a_year(tapes: Path, books: Path, capsys: pytest.CaptureFixture[str]):
    """All that was laid out and received in dollars and euros, each at the rate of its day, is the P&L and what is held."""
    found = pks(capsys, books, "fx-lots", "--rates", str(tapes / RATES), "--currency", "CHF")
    assert found["missing"] == []
    assert {each["foreign_currency"] for each in found["instruments"]} == {"USD", "EUR"}
    for each in found["instruments"]:
        assert D(each["price_part"]) + D(each["fx_part"]) == D(each["functional_pnl"])
    share = next(each for each in found["instruments"] if each["instrument"] == "MSTY")
    assert (share["realised_pnl"], share["quantity"]) == ("-19104.855", "0")
    assert D(share["fx_part"]) < 0, "the dollar fell over the year"
    euro = next(each for each in found["cash"] if each["foreign_currency"] == "EUR")
    assert (euro["balance"], euro["functional_cost"], euro["lots"]) == ("0", "0", [])
    dollar = next(each for each in found["cash"] if each["foreign_currency"] == "USD")
    assert dollar["balance"] == "21.349816002" == str(sum(D(lot["amount"]) for lot in dollar["lots"]))


def test_the_position_of_another_time(tapes: Path, books: Path, capsys: pytest.CaptureFixture[str]):
    then = "2025-12-31T23:00:00-05:00"
    [now], [before] = (
        pks(capsys, books, "ocp-live", *options)["ocp-live"] for options in ((), ("--as-of", then))
    )
    assert before["exposures"] == now["exposures"] and "with_market_value" not in before
    [early] = pks(capsys, books, "ocp-live", "--as-of", "2025-01-01T12:00:00Z")["ocp-live"]
    held = {each["currency"]: each["with_pending"] for each in early["exposures"]}
    assert held == {"CHF": "0.009051986", "USD": "153.121"}
    assert pks(capsys, books, "ocp-live", "--known-at", "1")["ocp-live"] == []
    assert pks(capsys, books, "ocp-live", "--book", "U9999999")["ocp-live"] == [now]


def sums_hold(node: dict[str, Any]) -> int:
    """How many transfers are below a node; each sum is that of its children."""
    children = node["children"]
    if node["how"].startswith("the sum of"):
        assert D(node["value"]) == sum((D(child["value"]) for child in children), D(0)), node["figure"]
    return sum(map(sums_hold, children)) or ("transfer" in node["how"] and not children)


def test_an_open_position_is_explained_down_to_its_transfers(books: Path):
    with caught_up(Settings(data=books), ["currency_position"], print) as log:
        whole = explain_currency_position(log, "", "CHF")
        dollars = explain_currency_position(log, "", "CHF", "USD")
        nothing = explain_currency_position(log, "", "CHF", "SEK")
    # No rates are there, so nothing of it is in the sum, and the exposures are whole all the same.
    assert (whole["value"], whole["unit"]) == (None, "CHF") and "no sum: EUR, USD" in whole["how"]
    assert [child["figure"].rpartition(" ")[2] for child in whole["children"]] == ["CHF", "EUR", "USD"]
    assert dollars["value"] is None and dollars == whole["children"][2]
    [cash] = dollars["children"]
    assert cash["value"] == "21.349816002"
    assert sums_hold(whole) == 262 + 71 + 1114
    assert nothing["value"] == "0"
