"""The market's names for day counts, calendars and conventions, in the spellings that are in use."""

from typing import Any

import pytest

from domain.pricing.rates import conventions
from tests.pricing_support import BOND, SWAP, priced, refused


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (
            ["Act/Act(ISMA)", "ActAct(ISMA)", "ActAct(ICMA)", "ActAct(Bond)", "actact_isma"],
            "Actual/Actual (ISMA)",
        ),
        (["ActAct(ISDA)", "Act/Act", "ActualActual(ISDA)", "Actual/Actual"], "Actual/Actual (ISDA)"),
        (["Act/360", "ACT/360", "Actual360", "A/360"], "Actual/360"),
        (["Act/365F", "Act/365 (Fixed)", "Actual/365 (Fixed)", "Actual365Fixed"], "Actual/365 (Fixed)"),
        (["30/360", "30/360 (Bond Basis)", "Thirty360"], "30/360 (Bond Basis)"),
        (["30E/360", "30/360 (Eurobond Basis)"], "30E/360 (Eurobond Basis)"),
        (["Bus/252"], "Business/252(Brazil)"),
    ],
)
def test_day_counts(spellings: list[str], name: str):
    for spelling in spellings:
        assert conventions.DAY_COUNTS[conventions.folded(spelling)]().name() == name, spelling


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["null", "NullCalendar"], "Null"),
        (["TARGET", "target"], "TARGET"),
        (["US", "UnitedStates", "US (Government Bond)"], "US government bond market"),
        (["UK", "UnitedKingdom", "United Kingdom"], "UK settlement"),
        (["Russia", "RU"], "Russian settlement"),
        (["MOEX", "Russia(MOEX)"], "Moscow exchange"),
    ],
)
def test_calendars(spellings: list[str], name: str):
    for spelling in spellings:
        assert conventions.CALENDARS[conventions.folded(spelling)]().name() == name, spelling


def test_every_day_count_and_calendar_is_there():
    for make in (*conventions.DAY_COUNTS.values(), *conventions.CALENDARS.values()):
        assert make().name()


@pytest.mark.parametrize("spelling", ["modified_following", "ModifiedFollowing", "Modified Following", "MF"])
def test_conventions(spelling: str):
    expected = priced("fixed_rate_bond", **BOND, **{"yield": 0.03})
    assert priced("fixed_rate_bond", **{**BOND, "convention": spelling, "yield": 0.03}) == expected


@pytest.mark.parametrize("spelling", ["Euribor6M", "EURIBOR 6M", "euribor-6m"])
def test_term_rates(spelling: str):
    assert priced("interest_rate_swap", **{**SWAP, "float_index": spelling}) == priced(
        "interest_rate_swap", **SWAP
    )


@pytest.mark.parametrize("index", ["USDLibor3M", "GBPLibor6M", "Mosprime3M", "Euribor1Y"])
def test_other_term_rates_have_their_own_terms(index: str):
    assert priced("interest_rate_swap", **{**SWAP, "float_index": index})["fair_rate"] == pytest.approx(
        0.05, abs=3e-3
    )


@pytest.mark.parametrize(
    "index", ["ESTR", "EONIA", "SOFR", "FedFunds", "SONIA", "SARON", "TONAR", "CORRA", "RUONIA"]
)
def test_overnight_rates(index: str):
    terms: dict[str, Any] = {
        "evaluation_date": "2024-02-15",
        "settlement_days": 2,
        "tenor": "2Y",
        "notional": 1,
        "side": "payer",
        "fixed_rate": 0.05,
        "float_index": index,
        "curve": {"type": "flat", "rate": 0.05},
    }
    assert priced("overnight_swap", **terms)["fair_rate"] == pytest.approx(0.0505, abs=1.2e-3)
    assert refused("overnight_swap", **{**terms, "float_index": f"{index}6M"})["field"] == "float_index"
