"""What is wrong with a request is said by field, and spoils no other request."""

import random
from typing import Any

import pytest

from domain.pricing.calculate import MODELS, price, price_all
from tests.pricing_support import BOND, BY_MODEL, EXPOSURE, OPTION, OVERNIGHT_SWAP, SWAP, priced, refused


def test_every_model_has_a_sound_request():
    assert BY_MODEL.keys() == MODELS.keys()
    for model, fields in BY_MODEL.items():
        assert isinstance(priced(model, **fields)["price"], float), model


@pytest.mark.parametrize("model", MODELS)
def test_a_field_that_is_not_there_is_named(model: str):
    optional = {
        "dividend_yield",
        "issue_date",
        "start_date",
        "convention",
        "calendar",
        "face",
        "end_of_month",
        "compounding",
        "fixed_frequency",
        "fixed_day_count",
        "fixed_convention",
        "float_spread",
        "hazard_day_count",
        "discounted",
    }
    for name in BY_MODEL[model].keys() - optional:
        rest = {other: value for other, value in BY_MODEL[model].items() if other != name}
        error = refused(model, **rest)
        assert error["found"] in ("nothing", "none of them"), (name, error)


@pytest.mark.parametrize(
    "wrong", ["", "1e-2", "NaN", "Infinity", "1_000", "0x10", " 1", "١", "9" * 61, True, [], {}]
)
def test_a_number_is_plain_digits(wrong: Any):
    assert refused("bsm", **{**OPTION, "spot": wrong})["field"] == "spot"


@pytest.mark.parametrize(
    ("model", "changes", "field"),
    [
        ("bsm", {"option_type": "straddle"}, "option_type"),
        ("bsm", {"spot": 0}, "spot"),
        ("bsm", {"strike": -1}, "strike"),
        ("bsm", {"volatility": -0.1}, "volatility"),
        ("bsm", {"time_to_expiry": -0.1}, "time_to_expiry"),
        ("bsm", {"rate": 101}, "rate"),
        ("bsm", {"compounding": "annual"}, "compounding"),
        ("black76", {"forward": 0}, "forward"),
        ("implied_volatility", {"underlying_model": "heston"}, "underlying_model"),
        ("implied_volatility", {"price": -1}, "price"),
        ("fixed_rate_bond", {"clean_price": 99}, "clean_price"),
        ("fixed_rate_bond", {"settlement_date": "2004-12-01"}, "settlement_days"),
        ("fixed_rate_bond", {"maturity_date": "2004-11-30"}, "maturity_date"),
        ("fixed_rate_bond", {"evaluation_date": "2008-12-31"}, "maturity_date"),
        ("fixed_rate_bond", {"evaluation_date": "2004-02-30"}, "evaluation_date"),
        ("fixed_rate_bond", {"evaluation_date": "1899-01-01"}, "evaluation_date"),
        ("fixed_rate_bond", {"frequency": "fortnightly"}, "frequency"),
        ("fixed_rate_bond", {"day_count": "Act/1000"}, "day_count"),
        ("fixed_rate_bond", {"calendar": "Atlantis"}, "calendar"),
        ("fixed_rate_bond", {"convention": "sideways"}, "convention"),
        ("fixed_rate_bond", {"compounding": "sometimes"}, "compounding"),
        ("fixed_rate_bond", {"coupon": []}, "coupon"),
        ("fixed_rate_bond", {"coupon": [0.01] * 9}, "coupon"),
        ("fixed_rate_bond", {"coupon": [0.01, "x"]}, "coupon[1]"),
        ("fixed_rate_bond", {"coupon": -0.01}, "coupon"),
        ("fixed_rate_bond", {"face": 0}, "face"),
        ("fixed_rate_bond", {"yield": -2}, "yield"),
        ("fixed_rate_bond", {"ex_coupon_days": 1.5}, "ex_coupon_days"),
        ("fixed_rate_bond", {"end_of_month": "perhaps"}, "end_of_month"),
        ("fixed_rate_bond", {"first_coupon_date": "2010-01-01"}, "first_coupon_date"),
        (
            "fixed_rate_bond",
            {"first_coupon_date": "2008-06-30", "penultimate_coupon_date": "2006-06-30"},
            "penultimate_coupon_date",
        ),
        ("fixed_rate_bond", {"calendar": "MOEX"}, "calendar"),
        (
            "fixed_rate_bond",
            {"evaluation_date": "2008-08-29", "yield": -20, "compounding": "simple"},
            "yield",
        ),
        ("zero_coupon_bond", {"yield": -50, "compounding": "simple"}, "yield"),
        ("zero_coupon_bond", {"maturity_date": "2004-01-01"}, "maturity_date"),
        ("interest_rate_swap", {"side": "both"}, "side"),
        ("interest_rate_swap", {"notional": 0}, "notional"),
        ("interest_rate_swap", {"tenor": "ten years"}, "tenor"),
        ("interest_rate_swap", {"tenor": "101Y"}, "tenor"),
        ("interest_rate_swap", {"maturity_date": "2012-06-19"}, "tenor"),
        ("interest_rate_swap", {"tenor": "100Y", "evaluation_date": "2150-01-15"}, "tenor"),
        (
            "interest_rate_swap",
            {"curve": {"type": "flat", "rate": 0.05, "reference_date": "2002-06-25"}},
            "curve.reference_date",
        ),
        (
            "interest_rate_swap",
            {"curve": {"type": "flat", "rate": 0.05, "reference_date": "2003-06-25"}},
            "curve.reference_date",
        ),
        ("interest_rate_swap", {"float_index": "Euribor2D"}, "float_index"),
        ("interest_rate_swap", {"float_index": "Euribor"}, "float_index"),
        ("interest_rate_swap", {"float_index": "ESTR"}, "float_index"),
        ("interest_rate_swap", {"curve": "flat"}, "curve"),
        ("interest_rate_swap", {"curve": {"type": "round"}}, "curve.type"),
        ("interest_rate_swap", {"curve": {"type": "flat", "rate": "x"}}, "curve.rate"),
        ("overnight_swap", {"float_index": "Euribor6M"}, "float_index"),
        ("cva", {"recovery": 1.1}, "recovery"),
        ("cva", {"hazard_rate": -0.01}, "hazard_rate"),
        ("cva", {"discounted": False}, "curve"),
        ("cva", {"profile": [{"date": "2020-01-01", "epe": 1}]}, "profile[0].date"),
        ("cva", {"profile": [{"date": "2026-01-01"}]}, "profile[0].epe"),
        ("cva", {"profile": [{"date": "2026-01-01", "epe": -1}]}, "profile[0].epe"),
        ("cva", {"profile": [5]}, "profile[0]"),
    ],
)
def test_a_field_that_is_wrong_is_named(model: str, changes: dict[str, Any], field: str):
    assert refused(model, **{**BY_MODEL[model], **changes})["field"] == field


def test_a_model_that_is_not_there_is_named():
    error = refused("heston")
    assert error["field"] == "model" and error["found"] == "heston" and "bsm" in error["expected"]
    assert price({"id": "7"})["error"]["found"] == "nothing"


@pytest.mark.parametrize("identity", [None, "", "x" * 257, "a\nb", [], True])
def test_an_id_is_needed(identity: Any):
    answer = price({"id": identity, "model": "bsm", **OPTION})
    assert answer["id"] is None and answer["error"]["field"] == "id"


def test_what_is_found_is_cut_and_on_one_line():
    error = refused("bsm", **{**OPTION, "spot": "9\n" * 100})
    assert len(error["found"]) == 80 and "\n" not in error["found"]


def test_answers_do_not_depend_on_the_requests_before_them():
    """QuantLib's evaluation date and fixings are global: every request sets both, and leaves neither."""
    past = {
        **SWAP,
        "evaluation_date": "2003-01-15",
        "start_date": "2002-06-19",
        "curve": {"type": "flat", "rate": 0.04, "reference_date": "2003-01-15"},
    }
    del past["settlement_days"]
    requests = [
        {"id": "bond", "model": "fixed_rate_bond", **BOND, "yield": 0.03},
        {"id": "later", "model": "fixed_rate_bond", **BOND, "evaluation_date": "2006-03-01", "yield": 0.03},
        {"id": "swap", "model": "interest_rate_swap", **SWAP},
        {"id": "ois", "model": "overnight_swap", **OVERNIGHT_SWAP},
        {"id": "cva", "model": "cva", **EXPOSURE},
        {"id": "option", "model": "bsm", **OPTION},
        {"id": "bad", "model": "bsm", **OPTION, "spot": 0},
        {
            "id": "fixed",
            "model": "interest_rate_swap",
            **past,
            "fixings": [{"date": "2002-06-17", "rate": 0.035}, {"date": "2002-12-17", "rate": 0.03}],
        },
        {"id": "not fixed", "model": "interest_rate_swap", **past},
    ]
    alone = {request["id"]: price(request) for request in requests}
    assert "error" in alone["not fixed"] and "price" in alone["fixed"]
    chance = random.Random(7)
    for _ in range(20):
        order = [*requests, *requests]
        chance.shuffle(order)
        for answer in price_all(order):
            assert answer == alone[answer["id"]]
