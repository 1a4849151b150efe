"""The plain form of a curve is the curve, at its dates, between them and beyond; where none is, there is no plain form."""

import json
from datetime import date, timedelta
from math import log
from typing import Any

import pytest

from domain.marks.curves import curve_fault, plain_form
from domain.pricing.fields import Fields
from domain.pricing.rates.conventions import to_date
from domain.pricing.rates.curves import read_curve
from domain.pricing.rates.session import run
from domain.valuation.rates import zero_rate

DAY = date(2026, 1, 5)
REFERENCE = {"reference_date": DAY.isoformat()}
QUOTES = [
    {"type": "ois", "tenor": tenor, "rate": rate}
    for tenor, rate in (("1M", "0.019"), ("1Y", "0.0205"), ("5Y", "0.023"), ("10Y", "0.025"))
]
BOOTSTRAP = {"type": "bootstrap", **REFERENCE, "instruments": QUOTES}
SWAPS = [
    {"type": "deposit", "tenor": "6M", "rate": "0.021"}, {"type": "swap", "tenor": "2Y", "rate": "0.022"},
    {"type": "swap", "tenor": "30Y", "rate": "0.027"},
]  # fmt: skip
ZERO = {
    "type": "zero",
    "dates": ["2026-01-05", "2026-07-05", "2030-01-05"],
    "rates": ["0.03", "0.035", "0.05"],
}


def factors(definition: dict[str, Any], days: list[date]) -> list[float]:
    def build(fields: Fields) -> dict[str, Any]:
        curve = read_curve(fields)
        return {"factors": [curve.structure.discount(to_date(day)) for day in days]}

    return run(build, Fields({"curve": definition, "evaluation_date": DAY.isoformat()}))["factors"]


@pytest.mark.parametrize(
    "definition",
    [
        BOOTSTRAP,
        {**BOOTSTRAP, "interpolation": "linear_zero"},
        {**BOOTSTRAP, "interpolation": "flat_forward", "day_count": "Act/360"},
        {**BOOTSTRAP, "instruments": SWAPS},
        {**BOOTSTRAP, "instruments": SWAPS, "discount_curve": BOOTSTRAP},
        {"type": "flat", **REFERENCE, "rate": "0.04", "compounding": "annual"},
        {**ZERO, "day_count": "Act/360"},
        {**ZERO, "compounding": "annual"},
    ],
)
@pytest.mark.parametrize("later", [0, 40])
def test_a_plain_form_gives_the_rates_of_its_curve(definition: dict[str, Any], later: int):
    assert curve_fault(definition) is None
    rate = zero_rate(plain_form(json.dumps(definition)))
    assert rate is not None
    start = DAY + timedelta(later)
    ends = [start + timedelta(days) for days in (1, 20, 181, 400, 1_500, 3_000, 3_700, 12_000)]
    first, *found = factors(definition, [start, *ends])
    for end, factor in zip(ends, found, strict=True):
        years = (end - start).days / 365
        assert rate(start, years) * years == pytest.approx(-log(factor / first), abs=1e-9)


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "flat", **REFERENCE, "rate": "0.04"},
        ZERO,
        {**ZERO, "interpolation": "cubic"},
        {**ZERO, "day_count": "30/360"},
        {"type": "flat", **REFERENCE, "rate": "0.04", "compounding": "simple"},
    ],
)
def test_what_is_plain_already_and_what_cannot_be_has_none(definition: dict[str, Any]):
    assert plain_form(json.dumps(definition)) == ""
