"""Terms of pricing: canonical where they are right, and the field, what was expected and found where they are not."""

import json

import pytest

from schemas.pricing_terms import PRICING_BYTES_MAX, PricingFault, canonical_pricing, pricing_terms

OPTION = {"model": "bsm", "option_type": "call", "strike": "50", "expiry": "2026-03-20T16:00:00Z"}


def faults(**terms: object) -> tuple[str, str, str]:
    with pytest.raises(PricingFault) as raised:
        canonical_pricing(json.dumps(terms))
    return raised.value.field, raised.value.expected, raised.value.found


def test_digits_stay_as_they_were_given_and_order_does_not_matter():
    text = canonical_pricing(
        '{"strike": 50.10, "model": "bsm", "option_type": "put", "expiry": "2026-03-20T16:00Z"}'
    )
    assert text == '{"expiry":"2026-03-20T16:00Z","model":"bsm","option_type":"put","strike":"50.10"}'
    assert canonical_pricing(text) == text
    assert pricing_terms(text)["strike"] == "50.10"
    assert pricing_terms("") == {}


@pytest.mark.parametrize(
    ("terms", "field", "expected"),
    [
        ({"model": "hifo"}, "pricing.model", "one of linear, bsm"),
        ({}, "pricing.model", "one of linear"),
        ({**OPTION, "strike": "0"}, "pricing.strike", "a number above 0"),
        ({**OPTION, "strike": "1e3"}, "pricing.strike", "a plain decimal number"),
        ({**OPTION, "strike": [1]}, "pricing.strike", "text or a number"),
        ({**OPTION, "expiry": "2026-03-20"}, "pricing.expiry", "an ISO 8601 time"),
        ({**OPTION, "option_type": "straddle"}, "pricing.option_type", "one of call, put"),
        ({**OPTION, "striek": "1"}, "pricing.striek", "a field of bsm"),
        ({"model": "bsm"}, "pricing.option_type", "a value, which bsm needs"),
        ({**OPTION, "rate": "0", "curve": "USD"}, "pricing.curve", "a rate or a curve"),
        ({"model": "bond", "face": "1000", "coupon": "0.05"}, "pricing.frequency", "a value beside coupon"),
        ({"model": "bond"}, "pricing.face", "a value, which bond needs"),
    ],
)
def test_what_is_wrong_is_named(terms: dict, field: str, expected: str):
    found = faults(**terms)
    assert found[0] == field
    assert found[1].startswith(expected)


@pytest.mark.parametrize("text", ["[]", "1", "{", '"bsm"', '{"model": NaN}'])
def test_what_is_no_object_is_refused(text: str):
    with pytest.raises(PricingFault, match="pricing"):
        canonical_pricing(text)


def test_terms_are_bounded():
    with pytest.raises(PricingFault, match="at most"):
        canonical_pricing(json.dumps({"model": "cva", "profile": "x" * PRICING_BYTES_MAX}))


def test_the_engine_checks_what_is_its_own():
    assert pricing_terms(
        canonical_pricing('{"model": "overnight_swap", "notional": 1000, "any": [{"a": 1.50}]}')
    ) == {
        "model": "overnight_swap",
        "notional": "1000",
        "any": [{"a": "1.50"}],
    }
