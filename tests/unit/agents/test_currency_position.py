"""The currency_position stage: exposures are the sum of balances, whatever the rates; limits warn; what it says is repeatable."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.currency_position import stage
from domain.currency_exposure import measure
from domain.currency_position import open_currency_position
from schemas import currency_position, market_data, money, topics
from schemas.frames import encode_event, wire
from schemas.numbers import ZERO, exact_arithmetic
from schemas.units import MarkQuality
from tests.stage_support import StageInMemory
from tests.support import ClockTick

D = Decimal
_balance = wire(money.CashBalance)
_rate = wire(market_data.FxRate)
_policy = wire(currency_position.CurrencyPolicy)


def balance(number: int, entity: str, account: str, currency: str, total: str, settled: str) -> Any:
    return _balance(
        event_id=f"e{number}",
        entity=entity,
        account=account,
        currency=currency,
        trade_date_balance=D(total),
        settled_balance=D(settled),
        projected_balance=D(total),
        business_date="2026-01-05",
        event_time=number,
    )


def rate(base: str, quote: str, value: str, at: int = 1, quality: MarkQuality = MarkQuality.LIVE) -> Any:
    return _rate(
        event_id=f"{base}{quote}{at}",
        base_currency=base,
        quote_currency=quote,
        event_time=at,
        rate=D(value),
        quality=quality,
    )


def told(found: StageInMemory, *events: Any) -> list[Any]:
    return [
        topics.CURRENCY_POSITIONS.codec.decode(b"[" + encoded + b"]")[0]
        for output in found.step(*events).outputs.values()
        for encoded in output.encoded
    ]


def one(found: StageInMemory, event: Any) -> Any:
    [answer] = told(found, event)
    return answer


@pytest.fixture
def positions() -> StageInMemory:
    return StageInMemory(stage("EUR"))


def test_accounts_add_up_and_reporting_currency_bears_no_risk(positions: StageInMemory):
    positions.define(rate("EUR", "USD", "1.25"))
    one(positions, balance(1, "E", "A", "USD", "100", "40"))
    one(positions, balance(2, "E", "B", "USD", "-350", "0"))
    answer = one(positions, balance(3, "E", "A", "EUR", "999", "999"))
    euro, dollar = answer.exposures
    assert (dollar.with_pending, dollar.without_pending) == (-250, 40)
    assert (dollar.rate, dollar.rate_path) == (D("0.8"), "EUR/USD")
    assert (dollar.reported_with_pending, dollar.reported_without_pending) == (-200, 32)
    assert (euro.rate, euro.rate_time, euro.rate_path) == (1, None, "")
    assert (answer.sum_long, answer.sum_short, answer.net_open_position) == (0, 200, 200)
    assert (answer.capital_charge, answer.settled_net_open_position) == (16, 32)
    assert (answer.event_id, answer.causation_id) == ("e3.ocp0", "e3")


def test_reference_rates_are_crossed_through_the_euro_and_live_ones_through_the_dollar(
    positions: StageInMemory,
):
    positions.define(
        _policy(event_id="p", entity="E", reporting_currency="CHF"),
        rate("EUR", "CHF", "0.95"),
        rate("EUR", "RUB", "117.2", quality=MarkQuality.INDICATIVE),
        rate("USD", "JPY", "150"),
        rate("USD", "CHF", "0.9", at=2),
    )
    roubles, yen = (
        one(positions, balance(number, "E", "A", currency, "1500", "0"))
        for number, currency in ((1, "RUB"), (2, "JPY"))
    )
    rouble = roubles.exposures[0]
    assert rouble.rate_path == "EUR/RUB EUR/CHF" and rouble.rate_quality is MarkQuality.INDICATIVE
    assert yen.exposures[0].reported_with_pending == 9


def test_a_currency_without_a_rate_is_named_and_in_no_sum(positions: StageInMemory):
    positions.define(_policy(event_id="p", entity="*", reporting_currency="USD", limits={"RUB": D(1)}))
    answer = one(positions, balance(1, "E", "A", "RUB", "1000", "1000"))
    # Nothing that is held has a rate: there is no sum, and no 0.
    assert answer.unrated == ("RUB",) and answer.net_open_position is answer.sum_long is None
    assert answer.capital_charge is answer.settled_net_open_position is None
    assert answer.exposures[0].with_pending == 1000 and answer.exposures[0].reported_with_pending is None
    assert answer.warnings == ("RUB: its limit of 1 USD cannot be held against it without a rate",)
    assert one(positions, balance(2, "E", "A", "RUB", "0", "0")).unrated == ()


def test_a_rate_that_has_ended_converts_and_is_said(positions: StageInMemory):
    positions.define(rate("EUR", "RUB", "117.201", at=1_646_146_800 * 10**9, quality=MarkQuality.STALE))
    answer = one(positions, balance(1, "E", "A", "RUB", "-117201", "0"))
    assert answer.net_open_position == 1000
    assert answer.warnings == ("RUB: its rate is stale, of 2022-03-01T15:00:00Z",)


def test_limits_warn(positions: StageInMemory):
    positions.define(
        rate("EUR", "USD", "1"),
        _policy(event_id="p", entity="E", reporting_currency="EUR", limits={"USD": D(50), "*": D(80)}),
    )
    assert one(positions, balance(1, "E", "A", "USD", "50", "0")).warnings == ()
    assert one(positions, balance(2, "E", "A", "USD", "-90.5", "0")).warnings == (
        "the net open position: expected at most 80 EUR, found 90.5",
        "USD short: expected at most 50 EUR, found 90.5",
    )
    assert one(positions, balance(3, "other", "A", "USD", "500", "0")).warnings == ()


def test_a_rate_that_is_older_changes_nothing_and_a_newer_one_what_is_said_next(positions: StageInMemory):
    positions.define(rate("EUR", "USD", "2", at=5), rate("EUR", "USD", "4", at=4))
    assert one(positions, balance(1, "E", "A", "USD", "8", "8")).net_open_position == 4
    positions.define(rate("EUR", "USD", "4", at=6))
    positions.restart()
    assert one(positions, balance(2, "E", "A", "GBP", "0", "0")).net_open_position == 2


def test_what_is_no_rate_and_no_policy_is_refused(positions: StageInMemory):
    refuse = positions.stage.on_broadcast
    assert refuse is not None
    assert refuse(positions.state, rate("EUR", "USD", "0")).field == "rate"
    assert refuse(positions.state, _policy(event_id="p", entity="E", reporting_currency="eur")).field == (
        "reporting_currency"
    )


BALANCES = st.lists(
    st.tuples(
        st.sampled_from(("E1", "")),
        st.sampled_from(("A", "B", "")),
        st.sampled_from(("USD", "EUR", "JPY")),
        st.decimals("-1000", "1000", places=2),
        st.decimals("-1000", "1000", places=2),
    ),
    max_size=30,
)


@given(BALANCES, st.integers(0, 30))
def test_exposures_are_the_sum_of_the_last_balances(rows: list[Any], restarted: int):
    found = StageInMemory(stage("EUR"))
    found.define(rate("EUR", "USD", "1.1"), rate("EUR", "JPY", "160"))
    last: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = {}
    said = []
    for number, (entity, account, currency, total, settled) in enumerate(rows):
        if number == restarted:
            found.restart()
        # A step whose commit fails leaves nothing behind.
        found.fail(balance(number, entity, account, currency, "7", "8"))
        answer = one(found, balance(number, entity, account, currency, str(total), str(settled)))
        said.append(encode_event(answer))
        last[entity, account, currency] = (total, settled)
        for each in answer.exposures:
            mine = [held for (who, _, what), held in last.items() if (who, what) == (entity, each.currency)]
            assert (each.with_pending, each.without_pending) == (
                sum((held[0] for held in mine), ZERO),
                sum((held[1] for held in mine), ZERO),
            )
        with exact_arithmetic():
            reference = open_currency_position(
                "EUR", {each.currency: each.reported_with_pending for each in answer.exposures}
            )
        assert answer.net_open_position == reference.net_open_position
        with exact_arithmetic():
            running = found.state.measured(entity)
            assert running == measure(running.exposures, found.state.policy(entity))
    # All in one step says the same.
    again = StageInMemory(stage("EUR"))
    again.define(rate("EUR", "USD", "1.1"), rate("EUR", "JPY", "160"))
    together = told(
        again, *(balance(number, *row[:3], str(row[3]), str(row[4])) for number, row in enumerate(rows))
    )
    assert [encode_event(answer) for answer in together] == said


def tick(number: int) -> Any:
    return ClockTick(event_id=f"tick{number}", event_time=number)


def test_a_rate_that_moves_is_told_with_the_next_tick_once(positions: StageInMemory):
    positions.define(rate("EUR", "USD", "1.25"))
    told(positions, balance(1, "E", "A", "USD", "100", "40"), balance(2, "F", "A", "EUR", "5", "5"))
    assert told(positions, tick(3)) == []
    positions.define(rate("EUR", "USD", "1.6", at=2), rate("EUR", "USD", "2", at=3))
    answer = one(positions, tick(4))
    # F holds euros alone: no rate moves it.
    assert (answer.entity, answer.exposures[0].reported_with_pending, answer.event_time) == ("E", 50, 4)
    assert (answer.event_id, answer.causation_id) == ("tick4.E.ocp0", "tick4")
    assert told(positions, tick(5)) == []
    positions.define(rate("EUR", "CHF", "0.9", at=4))
    assert told(positions, tick(6)) == []
    positions.define(_policy(event_id="p", entity="E", reporting_currency="EUR", limits={"USD": D(1)}))
    assert one(positions, tick(7)).warnings == ("USD long: expected at most 1 EUR, found 50",)


def test_a_rate_that_comes_or_moves_before_a_restart_is_told_after_it(positions: StageInMemory):
    assert one(positions, balance(1, "E", "A", "USD", "100", "100")).net_open_position is None
    positions.define(rate("EUR", "USD", "2"))
    positions.restart()
    assert one(positions, tick(2)).net_open_position == 50
    positions.restart()
    assert told(positions, tick(3)) == []


def test_a_balance_after_a_rate_tells_it_and_the_tick_does_not_again(positions: StageInMemory):
    told(positions, balance(1, "E", "A", "USD", "100", "100"))
    positions.define(rate("EUR", "USD", "2"))
    assert one(positions, balance(2, "E", "A", "USD", "200", "100")).net_open_position == 100
    assert told(positions, tick(3)) == []
