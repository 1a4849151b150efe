"""The circuit breaker: when it opens, what it lets through, how it closes."""

import pytest

from connectors.breaker import CircuitBreaker, CircuitOpen
from connectors.sink import Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, **options: float) -> CircuitBreaker:
    return CircuitBreaker(
        "far side",
        **{"failures_max": 3, "seconds_first": 1.0, "seconds_max": 8.0, **options},
        clock=clock,
        chance=lambda: 1.0,
    )


def fail(circuit: CircuitBreaker) -> None:
    with pytest.raises(Unavailable), circuit.attempt():
        raise Unavailable("no answer")


def test_it_opens_after_failures_in_a_row():
    circuit = breaker(Clock())
    fail(circuit), fail(circuit)
    with circuit.attempt():
        pass
    fail(circuit), fail(circuit)
    assert not circuit.is_open
    fail(circuit)
    assert circuit.is_open
    with (
        pytest.raises(CircuitOpen, match=r"far side: .* open circuit for 1\.0 s .*no answer"),
        circuit.attempt(),
    ):
        raise AssertionError("an attempt was let through")
    assert circuit.refused == 1 and circuit.failures == 3


def test_pauses_double_up_to_the_longest_and_a_probe_closes_it():
    clock = Clock()
    circuit = breaker(clock)
    pauses = []
    for _ in range(3):
        fail(circuit)
    for _ in range(6):
        pauses.append(circuit.seconds_left)
        clock.now += circuit.seconds_left
        fail(circuit)
    assert pauses == [1, 2, 4, 8, 8, 8]
    clock.now += 8
    with circuit.attempt():
        pass
    assert not circuit.is_open and circuit.seconds_left == 0


def test_only_one_probe_at_a_time():
    clock = Clock()
    circuit = breaker(clock, failures_max=1)
    fail(circuit)
    clock.now += 1
    with circuit.attempt(), pytest.raises(CircuitOpen), circuit.attempt():
        raise AssertionError("two probes")
    assert not circuit.is_open


def test_what_says_nothing_of_the_far_side_leaves_it_as_it_was():
    clock = Clock()
    circuit = breaker(clock, failures_max=1)
    with pytest.raises(KeyError), circuit.attempt():
        raise KeyError
    assert circuit.failures == 0
    fail(circuit)
    clock.now += 1
    with pytest.raises(KeyError), circuit.attempt():
        raise KeyError
    # The probe was not lost: the next one is let through.
    with circuit.attempt():
        pass


def test_pauses_are_spread_and_a_long_row_of_failures_has_the_longest():
    clock = Clock()
    circuit = CircuitBreaker(
        "x", failures_max=1, seconds_first=1, seconds_max=8, clock=clock, chance=lambda: 0.0
    )
    circuit.failed("no answer")
    assert circuit.seconds_left == 0.5
    for _ in range(5_000):
        circuit.failed("no answer")
    assert circuit.seconds_left == 4
