"""Requests for tests of pricing, and what an answer to one must be."""

from typing import Any

from domain.pricing.calculate import price


def priced(model: str, **fields: Any) -> dict[str, Any]:
    """The answer to a request that has a price."""
    answer = price({"id": "1", "model": model, **fields})
    assert "error" not in answer, answer
    return answer


def refused(model: str, **fields: Any) -> dict[str, str]:
    """The error of a request that has none."""
    answer = price({"id": "1", "model": model, **fields})
    assert answer.keys() == {"id", "error"}, answer
    assert answer["error"].keys() == {"field", "expected", "found"}
    assert all(isinstance(part, str) and part for part in answer["error"].values())
    return answer["error"]


OPTION: dict[str, Any] = {
    "option_type": "call",
    "spot": 100,
    "strike": 100,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.2,
    "time_to_expiry": 1,
}
FUTURE_OPTION: dict[str, Any] = {
    "option_type": "put",
    "forward": 20,
    "strike": 20,
    "rate": 0.09,
    "volatility": 0.25,
    "time_to_expiry": 0.25,
}
BOND: dict[str, Any] = {
    "evaluation_date": "2004-11-22",
    "settlement_days": 1,
    "issue_date": "2004-11-30",
    "start_date": "2004-11-30",
    "maturity_date": "2008-11-30",
    "frequency": "semiannual",
    "coupon": 0.02875,
    "day_count": "ActAct(ISMA)",
    "calendar": "US",
    "convention": "modified_following",
    "end_of_month": False,
    "face": 100,
}
SWAP: dict[str, Any] = {
    "evaluation_date": "2002-06-17",
    "settlement_days": 2,
    "tenor": "10Y",
    "notional": 100,
    "side": "payer",
    "fixed_rate": 0.06,
    "fixed_frequency": "annual",
    "fixed_day_count": "30/360",
    "fixed_convention": "unadjusted",
    "float_index": "Euribor6M",
    "float_spread": 0.001,
    "calendar": "TARGET",
    "curve": {"type": "flat", "rate": 0.05, "day_count": "Act/365F", "reference_date": "2002-06-19"},
}
OVERNIGHT_SWAP: dict[str, Any] = {
    "evaluation_date": "2009-02-05",
    "settlement_days": 2,
    "tenor": "1Y",
    "notional": 100,
    "side": "payer",
    "fixed_rate": 0.05127109637602412,
    "float_index": "ESTR",
    "curve": {"type": "flat", "rate": 0.05, "day_count": "Act/360", "reference_date": "2009-02-09"},
}
EXPOSURE: dict[str, Any] = {
    "evaluation_date": "2025-01-15",
    "hazard_rate": 0.02,
    "hazard_day_count": "Act/365F",
    "recovery": 0.4,
    "discounted": True,
    "profile": [
        {"date": "2026-01-15", "epe": 100, "ene": -40},
        {"date": "2027-01-15", "epe": 150, "ene": -30},
        {"date": "2028-01-15", "epe": 120, "ene": -20},
    ],
}
SIMULATED_EXPOSURE: dict[str, Any] = {
    "evaluation_date": "2025-01-15",
    "hazard_rate": 0.02,
    "recovery": 0.4,
    "curve": {"type": "flat", "rate": 0.03},
    "swap": {
        "start_date": "2025-01-17",
        "tenor": "5Y",
        "notional": 1_000_000,
        "side": "payer",
        "fixed_rate": 0.031,
        "float_index": "Euribor6M",
        "calendar": "TARGET",
    },
    "simulation": {"volatility": 0.01, "mean_reversion": 0.03, "paths": 2_000},
}
BY_MODEL: dict[str, dict[str, Any]] = {
    "bsm": OPTION,
    "black76": FUTURE_OPTION,
    "american": {**OPTION, "option_type": "put"},
    "implied_volatility": {
        "underlying_model": "bsm",
        "price": 9,
        **{name: value for name, value in OPTION.items() if name != "volatility"},
    },
    "future": {"spot": 1300, "rate": 0.05, "dividend_yield": 0.01, "time_to_expiry": 0.25},
    "fixed_rate_bond": {**BOND, "yield": 0.03, "compounding": "semiannual"},
    "zero_coupon_bond": {
        "evaluation_date": "2004-11-22",
        "settlement_days": 1,
        "issue_date": "2004-11-30",
        "maturity_date": "2008-11-30",
        "face": 100,
        "calendar": "US",
        "convention": "modified_following",
        "yield": 0.03,
    },
    "interest_rate_swap": SWAP,
    "overnight_swap": OVERNIGHT_SWAP,
    "cva": EXPOSURE,
}
"""A sound request for every model."""
