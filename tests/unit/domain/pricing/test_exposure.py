"""The simulated exposure of a swap: without volatility, in its mean, and at its reset dates against swaptions."""

from typing import Any

import pytest
import QuantLib as ql

from tests.pricing_support import EXPOSURE, SIMULATED_EXPOSURE, priced, refused

TODAY = ql.Date(15, 1, 2025)


def _swap() -> tuple[Any, Any]:
    """The swap of the request, and its curve."""
    ql.Settings.instance().evaluationDate = TODAY
    handle = ql.YieldTermStructureHandle(ql.FlatForward(TODAY, 0.03, ql.Actual365Fixed()))
    index = ql.Euribor6M(handle)
    start = ql.Date(17, 1, 2025)

    def schedule(tenor: str) -> Any:
        return ql.Schedule(
            start,
            start + ql.Period("5Y"),
            ql.Period(tenor),
            ql.TARGET(),
            ql.ModifiedFollowing,
            ql.ModifiedFollowing,
            ql.DateGeneration.Backward,
            False,
        )

    swap = ql.VanillaSwap(
        ql.Swap.Payer,
        1e6,
        schedule("1Y"),
        0.031,
        ql.Thirty360(ql.Thirty360.BondBasis),
        schedule("6M"),
        index,
        0.0,
        index.dayCounter(),
    )
    return swap, handle


def _simulated(**changes: Any) -> dict[str, Any]:
    terms = {**SIMULATED_EXPOSURE["simulation"], **changes}
    return priced("cva", **{**SIMULATED_EXPOSURE, "simulation": terms})


def _left_after(swap: Any, handle: Any, day: str) -> float:
    """Today's value of what is paid after a day."""
    after = ql.DateParser.parseISO(day)
    legs = ((-1.0, swap.fixedLeg()), (1.0, swap.floatingLeg()))
    return sum(
        sign * flow.amount() * handle.discount(flow.date())
        for sign, leg in legs
        for flow in leg
        if flow.date() > after
    )


def test_without_volatility_it_is_what_forward_rates_say():
    answer = _simulated(volatility=0)
    swap, handle = _swap()
    for point in answer["profile"]:
        expected = _left_after(swap, handle, point["date"])
        assert point["epe"] + point["ene"] == pytest.approx(expected, abs=1e-3), point
        assert min(point["epe"], -point["ene"]) == 0
    assert answer["cva_standard_error"] == pytest.approx(0, abs=1e-9)


def test_its_mean_is_what_forward_rates_say():
    """Nothing is gained or lost on average: the mean of the value, discounted along the path, is today's."""
    answer = _simulated(paths=20_000)
    swap, handle = _swap()
    for point in answer["profile"]:
        expected = _left_after(swap, handle, point["date"])
        assert point["epe"] + point["ene"] == pytest.approx(expected, abs=150), point


def test_at_a_payment_it_is_a_swaption():
    """Who may enter into what is left of the swap on a day has its positive exposure, no less and no more."""
    swap, handle = _swap()
    starts = list(swap.fixedSchedule())[1:-1]
    answer = _simulated(paths=50_000, dates=[start.ISO() for start in starts])
    engine = ql.JamshidianSwaptionEngine(ql.HullWhite(handle, 0.03, 0.01))
    for start, point in zip(starts, answer["profile"], strict=True):
        rest = ql.VanillaSwap(
            ql.Swap.Payer,
            1e6,
            ql.Schedule([day for day in swap.fixedSchedule() if day >= start]),
            0.031,
            ql.Thirty360(ql.Thirty360.BondBasis),
            ql.Schedule([day for day in swap.floatingSchedule() if day >= start]),
            ql.Euribor6M(handle),
            0.0,
            ql.Actual360(),
        )
        swaption = ql.Swaption(rest, ql.EuropeanExercise(start))
        swaption.setPricingEngine(engine)
        assert point["epe"] == pytest.approx(swaption.NPV(), rel=0.02), start.ISO()


def test_the_profile_is_one_that_cva_takes():
    answer = _simulated()
    request = {name: SIMULATED_EXPOSURE[name] for name in ("evaluation_date", "hazard_rate", "recovery")}
    again = priced("cva", **request, profile=answer["profile"])
    assert (again["cva"], again["dva"]) == (pytest.approx(answer["cva"]), pytest.approx(answer["dva"]))
    assert answer["simulated"] is True and "simulated" not in again


def test_a_seed_is_a_result():
    first, again, other = _simulated(seed=3), _simulated(seed=3), _simulated(seed=4)
    assert first == again and first["seed"] == 3
    assert (
        0 < abs(first["cva"] - other["cva"]) < 6 * (first["cva_standard_error"] + other["cva_standard_error"])
    )


def test_both_sides_see_the_same_exposure_turned():
    swap = SIMULATED_EXPOSURE["swap"]
    payer, receiver = (
        priced("cva", **{**SIMULATED_EXPOSURE, "swap": {**swap, "side": side}})
        for side in ("payer", "receiver")
    )
    assert payer["cva"] == pytest.approx(receiver["dva"])
    for left, right in zip(payer["profile"], receiver["profile"], strict=True):
        assert (left["date"], left["epe"]) == (right["date"], pytest.approx(-right["ene"]))


def test_a_running_swap_pays_what_was_fixed():
    swap = {**SIMULATED_EXPOSURE["swap"], "start_date": "2024-10-17", "tenor": "1Y"}
    request = {**SIMULATED_EXPOSURE, "swap": swap}
    assert refused("cva", **request)["field"] == "swap.fixings"
    swap["fixings"] = [{"date": "2024-10-15", "rate": 0.05}]
    high = priced("cva", **request)["profile"][0]["epe"]
    swap["fixings"] = [{"date": "2024-10-15", "rate": 0.01}]
    assert high > priced("cva", **request)["profile"][0]["epe"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"profile": EXPOSURE["profile"]}, "swap"),
        ({"swap": 5}, "swap"),
        ({"simulation": {}}, "simulation.volatility"),
        ({"simulation": {"volatility": 0.01, "paths": 1}}, "simulation.paths"),
        (
            {"simulation": {"volatility": 0.01, "paths": 200_000, "frequency": "monthly"}, "swap": None},
            "profile",
        ),
        ({"simulation": {"volatility": 0.01, "mean_reversion": 0}}, "simulation.mean_reversion"),
        ({"simulation": {"volatility": 0.01, "dates": ["2025-01-15"]}}, "simulation.dates[0]"),
        ({"discounted": False}, "discounted"),
        ({"curve": None}, "curve"),
        ({"curve": {"type": "flat", "rate": 0.03, "reference_date": "2025-01-17"}}, "curve.reference_date"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str):
    assert refused("cva", **{**SIMULATED_EXPOSURE, **changes})["field"] == field
