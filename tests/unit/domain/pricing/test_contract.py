"""Each model reads every field of its row in the command line's contract, and answers with every figure of it."""

from typing import Any

import pytest

from tests.pricing_support import (
    BOND,
    BY_MODEL,
    EXPOSURE,
    OVERNIGHT_SWAP,
    SIMULATED_EXPOSURE,
    SWAP,
    priced,
    refused,
)

CURVE = {"type": "flat", "rate": 0.04}
SPOT = ("option_type", "spot", "strike", "rate", "dividend_yield", "volatility", "time_to_expiry")
FORWARD = ("option_type", "forward", "strike", "rate", "volatility", "time_to_expiry")
GREEKS = ("price", "delta", "gamma", "vega", "theta", "rho")
ONE_BOND = [
    "evaluation_date",
    "settlement_days",
    "issue_date",
    "start_date",
    "maturity_date",
    "frequency",
    "coupon",
    "day_count",
    "calendar",
    "convention",
    "end_of_month",
    "ex_coupon_days",
    "face",
]
ONE_SWAP = [
    "evaluation_date",
    "settlement_days",
    "tenor",
    "notional",
    "side",
    "fixed_rate",
    "fixed_frequency",
    "fixed_day_count",
    "fixed_convention",
    "float_index",
    "float_spread",
    "float_day_count",
    "float_convention",
    "calendar",
    "curve",
    "forecast_curve",
]
BOND_FIGURES = [
    "price",
    "clean_price",
    "dirty_price",
    "accrued_interest",
    "yield",
    "macaulay_duration",
    "modified_duration",
    "convexity",
]

YIELD = {"yield": 0.03, "compounding": "semiannual"}

ROWS: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "bsm": (BY_MODEL["bsm"], SPOT, (*GREEKS, "vanna", "volga")),
    "black76": (BY_MODEL["black76"], FORWARD, GREEKS),
    "american": (BY_MODEL["american"], SPOT, GREEKS),
    "implied_volatility": (
        BY_MODEL["implied_volatility"],
        ("underlying_model", "price", *(name for name in SPOT if name != "volatility")),
        ("volatility",),
    ),
    "future": (BY_MODEL["future"], ("spot", "rate", "dividend_yield", "time_to_expiry"), ("price",)),
    "fixed_rate_bond": ({**BOND, **YIELD}, (*ONE_BOND, "yield", "compounding"), tuple(BOND_FIGURES)),
    "fixed_rate_bond by price": ({**BOND, "clean_price": 99}, ("clean_price",), tuple(BOND_FIGURES)),
    "fixed_rate_bond off a curve": ({**BOND, "curve": CURVE}, ("curve",), tuple(BOND_FIGURES)),
    "fixed_rate_bond on a day": (
        {**{name: value for name, value in BOND.items() if name != "settlement_days"}, **YIELD}
        | {"settlement_date": "2004-12-10"},
        ("settlement_date",),
        tuple(BOND_FIGURES),
    ),
    "zero_coupon_bond": (
        BY_MODEL["zero_coupon_bond"],
        (
            "evaluation_date",
            "settlement_days",
            "maturity_date",
            "issue_date",
            "face",
            "calendar",
            "convention",
            "yield",
        ),
        ("price", "clean_price", "dirty_price"),
    ),
    "interest_rate_swap": (SWAP, tuple(ONE_SWAP), ("price", "fair_rate", "dv01")),
    "interest_rate_swap by dates": (
        {name: value for name, value in SWAP.items() if name not in ("settlement_days", "tenor")}
        | {"start_date": "2002-06-19", "maturity_date": "2012-06-19"},
        ("start_date", "maturity_date"),
        ("price", "fair_rate", "dv01"),
    ),
    "overnight_swap": (OVERNIGHT_SWAP, tuple(ONE_SWAP), ("price", "fair_rate", "dv01")),
    "cva": (
        EXPOSURE,
        ("evaluation_date", "hazard_rate", "hazard_day_count", "recovery", "profile", "discounted"),
        ("price", "cva", "dva"),
    ),
    "cva off a curve": (
        {**EXPOSURE, "discounted": False, "curve": {**CURVE, "reference_date": "2025-01-15"}},
        ("curve",),
        ("price", "cva", "dva"),
    ),
    "cva simulated": (
        SIMULATED_EXPOSURE,
        ("swap", "simulation", "curve"),
        ("price", "cva", "dva", "simulated", "profile"),
    ),
}
"""A sound request, the fields of the contract, and its figures."""


@pytest.mark.parametrize("row", ROWS)
def test_every_figure_is_there(row: str):
    request, _, figures = ROWS[row]
    answer = priced(row.partition(" ")[0], **request)
    assert set(figures) <= answer.keys()


@pytest.mark.parametrize(("row", "field"), [(row, field) for row in ROWS for field in ROWS[row][1]])
def test_every_field_is_read(row: str, field: str):
    """What is no value of any field is refused by the field's name, so nothing that is given is passed over."""
    request = ROWS[row][0]
    for wrong in (["no", "such"], "no such"):
        assert refused(row.partition(" ")[0], **{**request, field: wrong})["field"].startswith(field)


CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("fixed_rate_bond", {"frequency": "annual"}, True),
    ("fixed_rate_bond", {"frequency": "quarterly"}, True),
    ("fixed_rate_bond", {"frequency": "monthly"}, True),
    ("fixed_rate_bond", {"day_count": "30/360"}, True),
    ("fixed_rate_bond", {"day_count": "Act/360"}, True),
    ("fixed_rate_bond", {"day_count": "Act/365F"}, True),
    ("fixed_rate_bond", {"day_count": "ActAct(ISDA)"}, True),
    ("fixed_rate_bond", {"compounding": "annual"}, True),
    ("fixed_rate_bond", {"compounding": "quarterly"}, True),
    ("fixed_rate_bond", {"compounding": "monthly"}, True),
    ("fixed_rate_bond", {"compounding": "continuous"}, True),
    ("fixed_rate_bond", {"coupon": [0.02875, 0.03]}, True),
    ("fixed_rate_bond", {"face": 1000}, True),
    ("fixed_rate_bond", {"evaluation_date": "2005-03-01"}, True),
    ("fixed_rate_bond", {"ex_coupon_days": 10, "evaluation_date": "2005-05-25"}, True),
    # Settlement is never before the issue.
    ("fixed_rate_bond", {"settlement_days": 2}, False),
    ("interest_rate_swap", {"float_spread": 0.002}, True),
    ("interest_rate_swap", {"side": "receiver"}, True),
    ("interest_rate_swap", {"fixed_day_count": "Act/365F"}, True),
    ("interest_rate_swap", {"fixed_frequency": "semiannual"}, True),
    ("interest_rate_swap", {"float_day_count": "30/360"}, True),
    ("interest_rate_swap", {"float_index": "Euribor3M"}, True),
    ("interest_rate_swap", {"forecast_curve": {**SWAP["curve"], "rate": 0.06}}, True),
    ("overnight_swap", {"float_index": "SONIA"}, True),
    ("overnight_swap", {"notional": 200}, True),
    ("cva", {"hazard_day_count": "Act/360"}, True),
    ("cva", {"recovery": 0.2}, True),
    ("american", {"dividend_yield": 0.5}, True),
]


@pytest.mark.parametrize(("model", "changes", "moves"), CHANGES)
def test_what_a_field_says_counts(model: str, changes: dict[str, Any], moves: bool):
    request = BY_MODEL[model]
    before, after = priced(model, **request)["price"], priced(model, **{**request, **changes})["price"]
    assert (abs(after - before) > 1e-9) is moves, (before, after)
