"""Rates of curves in the stage are those of `pks price`; a curve that needs more says so."""

import json
import math
from datetime import date, timedelta

import pytest

from domain.pricing.fields import Fields
from domain.pricing.rates.conventions import to_date
from domain.pricing.rates.curves import read_curve
from domain.valuation.rates import zero_rate

DAY = date(2026, 1, 5)
ZERO = {
    "type": "zero",
    "dates": ["2026-01-05", "2026-07-05", "2030-01-05"],
    "rates": ["0.03", "0.035", "0.05"],
}
DISCOUNT = {
    "type": "discount",
    "dates": ["2026-01-05", "2027-01-05", "2028-01-05"],
    "factors": ["1", "0.96", "0.88"],
}


@pytest.mark.parametrize("definition", [{"type": "flat", "rate": "0.04"}, ZERO, DISCOUNT])
@pytest.mark.parametrize("days", [1, 90, 181, 300, 730, 900, 2_000])
@pytest.mark.parametrize("later", [0, 40])
def test_a_rate_is_that_of_the_curve(definition: dict, days: int, later: int):
    rate = zero_rate(json.dumps(definition))
    assert rate is not None
    start = DAY + timedelta(later)
    curve = read_curve(Fields({"curve": definition, "evaluation_date": DAY.isoformat()}))
    factor = curve.structure.discount(to_date(start + timedelta(days))) / curve.structure.discount(
        to_date(start)
    )
    years = days / 365
    assert rate(start, years) == pytest.approx(-math.log(factor) / years, rel=1e-9)


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "bootstrap", "instruments": []},
        {"type": "flat", "rate": "0.04", "compounding": "annual"},
        {"type": "flat", "rate": "0.04", "frequency": "annual"},
        {**ZERO, "day_count": "30/360"},
        {**ZERO, "interpolation": "cubic"},
        {**ZERO, "rates": ["0.03"]},
        {**DISCOUNT, "factors": ["1", "0", "0.88"]},
        {**ZERO, "dates": ["2026-01-05", "2026-01-05", "2028-01-05"]},
        {"type": "zero"},
    ],
)
def test_what_only_the_engine_reads_is_not_guessed(definition: dict):
    assert zero_rate(json.dumps(definition)) is None
