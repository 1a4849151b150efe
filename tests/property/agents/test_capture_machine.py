"""The capture stage as a machine that anything may happen to, against an independent model.

Fills and corrections in any order and number a step, from two sources: duplicates, ids with other content,
corrections before their trades, of corrections and of cancelled trades, amends that move a trade to another
book, client hashes that come again, invalid fills, unknown symbols, fills that no rule routes, reference data that
comes and goes, clock ticks, commits that fail, restarts.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from agents import trade_capture
from agents.counters import read_counts
from agents.stage import Step
from schemas.topics import BOOKINGS, REJECTIONS
from schemas.units import Action, LotMethod, Side
from tests.capture_model import DAY, CaptureModel
from tests.stage_support import StageInMemory, emitted, run_for_long
from tests.support import MONDAY, Book, ClockTick, FillEvent, Instrument, RoutingRule

TRADES = [f"t{number}" for number in range(16)]
CORRECTIONS = [f"c{number}" for number in range(40)]

CONTENTS = st.fixed_dictionaries(
    {
        "side": st.sampled_from(Side),
        "quantity": st.sampled_from([1, 1, 1, 2, 2, 3, 3, 0]).map(Decimal),
        "price": st.sampled_from(["10", "11"]).map(Decimal),
        "book": st.sampled_from([None, None, None, "B1", "B1", "B2", "B2", "unlisted"]),
        "venue": st.sampled_from(["V1", "V2", "V3"]),
        "instrument": st.sampled_from(["X", "S"]),
        "instrument_scheme": st.sampled_from(["id", "id", "id", "symbol"]),
        "source": st.sampled_from(["one", "other"]),
        "idempotency_hash": st.sampled_from([None, None, None, None, None, "h1", "h2", "h3"]),
        "recorded_at": st.sampled_from([0, 0, DAY - 1, DAY, 2 * DAY]),
    }
)
ACTIONS = st.sampled_from([Action.AMEND, Action.AMEND, Action.CANCEL])
NEW = st.fixed_dictionaries({"trade_id": st.sampled_from(TRADES), "action": st.just(Action.NEW)})
CORRECTION = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from(CORRECTIONS),
        "action": ACTIONS,
        "original_trade_id": st.sampled_from([*TRADES, *CORRECTIONS[:2]]),
    }
)
FILLS = st.tuples(NEW | CORRECTION, CONTENTS).map(lambda parts: parts[0] | parts[1])
OTHERWISE = st.sampled_from(
    [
        {},
        {},
        {"price": Decimal("12")},
        {"quantity": Decimal(5)},
        {"book": "B2"},
        {"venue": "V2"},
        {"source": "another"},
        {"instrument": "Y"},
        {"idempotency_hash": "h1"},
        {"idempotency_hash": None, "recorded_at": 5},
    ]
)
NUMBERS = st.integers(0, 1 << 16)


def names_itself(fields: dict[str, Any]) -> bool:
    return fields["trade_id"] == fields.get("original_trade_id")


class CaptureMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = StageInMemory(trade_capture.stage(waiting_max=6, waiting_ticks_max=2))
        self.model = CaptureModel(waiting_max=6, waiting_ticks_max=2)
        self.now = 0
        self.made: list[Any] = []
        self.event_ids: set[str] = set()
        self.holds: dict[str, str] = {}

    def fill(self, fields: dict[str, Any]) -> Any:
        number = len(self.made) + 1
        made = FillEvent(
            event_id=f"e{number}",
            executed_at=MONDAY,
            source_sequence=number,
            **fields | {"recorded_at": self.now + fields["recorded_at"]},
        )
        self.made.append(made)
        return made

    # -- what happens ---------------------------------------------------------------------------------------------

    @initialize(methods=st.tuples(st.sampled_from(LotMethod), st.sampled_from(LotMethod)))
    def books(self, methods: tuple[LotMethod, LotMethod]) -> None:
        for book, method in zip(("B1", "B2"), methods, strict=True):
            self.stage.define(Book(event_id=book, book=book, lot_methods={"*": method}))
            self.model.methods[book] = method
        self.route("*", "B1", True)
        self.route("V1", "B2", True)

    @rule(fills=st.lists(FILLS, min_size=1, max_size=4))
    def fills(self, fills: list[dict[str, Any]]) -> None:
        self.send(*(self.fill(fields) for fields in fills if not names_itself(fields)))

    @rule(number=NUMBERS, content=CONTENTS, action=ACTIONS)
    def correction_of_a_known_trade(self, number: int, content: dict[str, Any], action: Action) -> None:
        trades = [name for name, known in self.model.known.items() if known.state in ("booked", "cancelled")]
        if trades:
            original = trades[number % len(trades)]
            fields = {"trade_id": f"k{number % 97}", "action": action, "original_trade_id": original}
            self.send(self.fill(fields | content))

    @rule(
        number=NUMBERS,
        contents=st.lists(CONTENTS, min_size=2, max_size=4),
        action=ACTIONS,
        at_once=st.booleans(),
    )
    def corrections_before_their_trade(
        self, number: int, contents: list[dict[str, Any]], action: Action, at_once: bool
    ) -> None:
        trade_id = f"late {number % 997}"
        actions = [Action.AMEND, action, Action.AMEND][: len(contents) - 1]
        fills = [
            self.fill(
                {"trade_id": f"{trade_id}.{at}", "action": each, "original_trade_id": trade_id} | content
            )
            for at, (each, content) in enumerate(zip(actions, contents, strict=False))
        ]
        trade = self.fill({"trade_id": trade_id, "action": Action.NEW} | contents[-1])
        if at_once:
            self.send(*fills, trade)
        else:
            self.send(*fills)
            self.send(trade)

    @rule(number=NUMBERS)
    def sent_again(self, number: int) -> None:
        """A sender was not told that its fill is safe, and sends it again."""
        if self.made:
            self.send(self.made[number % len(self.made)])

    @rule(number=NUMBERS, otherwise=OTHERWISE)
    def sent_otherwise(self, number: int, otherwise: dict[str, Any]) -> None:
        """An earlier fill once more, its price written with more zeros, or with something else in it."""
        if self.made:
            made = self.made[number % len(self.made)]
            fields = {name: getattr(made, name) for name in made.__struct_fields__} | otherwise
            fields["price"] *= Decimal("1.00")
            self.made.append(FillEvent(**fields | {"event_id": f"e{len(self.made) + 1}"}))
            self.send(self.made[-1])

    @rule(venue=st.sampled_from(["V1", "V2", "*"]), book=st.sampled_from(["B1", "B2"]), active=st.booleans())
    def reference_data(self, venue: str, book: str, active: bool) -> None:
        self.route(venue, book, active)
        if venue != "*":
            self.symbol(venue, active or book == "B1")

    def route(self, rule: str, book: str, active: bool) -> None:
        self.stage.define(
            RoutingRule(
                event_id="r",
                rule=f"to {rule}",
                book=book,
                venue=None if rule == "*" else rule,
                priority=200 if rule == "*" else 100,
                active=active,
            )
        )
        self.model.rules.pop(rule, None)
        if active:
            self.model.rules[rule] = book

    def symbol(self, venue: str, active: bool) -> None:
        name = f"instrument {venue}"
        self.stage.define(
            Instrument(event_id="i", instrument=name, identifiers={f"symbol:{venue}": "S"}, active=active)
        )
        self.model.symbols.pop((venue, "S"), None)
        if active:
            self.model.symbols[venue, "S"] = name

    @rule(hours=st.sampled_from([1, 10, 25]))
    def tick(self, hours: int) -> None:
        self.now += hours * 3600 * 10**9
        self.model.sent.clear()
        self.model.rejected.clear()
        step = self.stage.step(ClockTick(event_id="tick", event_time=self.now))
        self.model.tick(self.now)
        self.what_goes_out_is_what_the_model_sends(step)

    @rule(fills=st.lists(FILLS, min_size=1, max_size=3), tick=st.booleans())
    def commit_fails(self, fills: list[dict[str, Any]], tick: bool) -> None:
        events = [self.fill(fields) for fields in fills if not names_itself(fields)]
        if tick:
            events.append(ClockTick(event_id="tick", event_time=self.now + DAY))
        self.stage.fail(*events)

    @rule()
    def restart(self) -> None:
        self.stage.restart()

    def send(self, *fills: Any) -> None:
        self.model.sent.clear()
        self.model.rejected.clear()
        step = self.stage.step(*fills)
        for made in fills:
            self.model.take(made)
        self.what_goes_out_is_what_the_model_sends(step)

    # -- what holds -----------------------------------------------------------------------------------------------

    def what_goes_out_is_what_the_model_sends(self, step: Step) -> None:
        told = emitted(step, BOOKINGS.name)
        booked = [event for event in told if event["type"] != "DayClosed"]
        assert [self.summary(event) for event in booked] == self.model.sent
        rejected = [(event["trade_id"], event["field"]) for event in emitted(step, REJECTIONS.name)]
        assert rejected == self.model.rejected
        assert [(refusal.trade_id, refusal.field) for _, _, _, refusal in step.refusals] == rejected
        ids = [event["event_id"] for event in told]
        assert len(set(ids)) == len(ids) and self.event_ids.isdisjoint(ids)
        self.event_ids.update(ids)
        for event in booked:
            self.hold(event)

    def summary(self, event: dict[str, Any]) -> tuple[Any, ...]:
        """An event as the model says it."""
        if event["type"] == "TradeBooked":
            return ("trade", *self.trade(event))
        trade = self.trade(event["trade"]) if "trade" in event else None
        return ("correction", event["trade_id"], event["original_trade_id"], event["book"], trade)

    @staticmethod
    def trade(event: dict[str, Any]) -> tuple[Any, ...]:
        return (
            *(event["trade_id"], event["source_sequence"], event["book"], event["instrument"]),
            *(Decimal(event["quantity"]), Decimal(event["price"])),
            LotMethod(event.get("lot_method", LotMethod.FIFO)),
        )

    def hold(self, event: dict[str, Any]) -> None:
        """Keep the books as a reader of the bookings would: a trade is in one book at a time, or in none."""
        if event["type"] == "TradeBooked":
            assert event["trade_id"] not in self.holds
            self.holds[event["trade_id"]] = event["book"]
        elif "trade" not in event:
            assert self.holds.pop(event["original_trade_id"]) == event["book"]
        else:
            assert self.holds.get(event["original_trade_id"]) in (None, event["book"])
            self.holds[event["original_trade_id"]] = event["book"]

    @invariant()
    def each_trade_is_in_the_book_that_the_model_says(self) -> None:
        booked = {name: known.book for name, known in self.model.known.items() if known.state == "booked"}
        assert self.holds == booked

    @invariant()
    def every_input_is_counted_once(self) -> None:
        found = read_counts(self.stage.committed)
        expected = {source: counts for source, counts in self.model.counts.items() if any(counts.values())}
        assert {
            source: {name: getattr(counts, name) for name in self.model.counts[source]}
            for source, counts in found.items()
        } == expected
        assert all(counts.read == sum(expected[source].values()) for source, counts in found.items())
        waiting = sum(len(waits) for waits in self.stage.state.waiting.values())
        assert waiting == self.stage.state.waiting_count == len(self.model.waiting)


def test_whatever_happens_to_fills():
    run_state_machine_as_test(CaptureMachine, settings=settings(max_examples=200, stateful_step_count=50))


@pytest.mark.soak
def test_whatever_happens_to_fills_for_long():
    assert run_for_long(CaptureMachine, examples=10_000, steps=100) > 0
