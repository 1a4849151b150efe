"""Updates and marks meet wherever they are needed, however they were cut into steps and whatever was restarted.

Beside the stages stands a model that keeps everything that it was ever told and looks it all up again for each event.
"""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents import mark_routing, position_routing
from schemas import events, market_data, topics
from schemas.frames import encode_event, wire
from schemas.murmur2 import partition_of_key
from schemas.units import LifecycleKind, MarkQuality
from tests.stage_support import StageInMemory
from tests.support import DayClosed, Instrument

PARTITIONS = 5
NAMES = st.sampled_from(["X", "Y", "Z"])
UNDERLYINGS = st.sampled_from(["", "U", "V", "W"])
ENTITIES = st.sampled_from(["", "E1", "E1", "E1", "E2", "E3"])
PositionUpdated, Mark = wire(events.PositionUpdated), wire(market_data.Mark)

TOLD = st.one_of(
    st.tuples(st.just("define"), NAMES, UNDERLYINGS),
    st.tuples(st.just("book"), st.sampled_from(["B1", "B2"]), NAMES, ENTITIES),
    st.tuples(st.just("book"), st.sampled_from(["B1", "B2"]), NAMES, ENTITIES),
    st.tuples(st.just("amend"), st.integers(0, 20), NAMES, ENTITIES),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("close"), st.sampled_from(["B1", "B2", "B3"])),
    st.tuples(st.just("mark"), NAMES),
    st.tuples(st.sampled_from(["step", "restart", "fail"])),
)


def of(key: str) -> int:
    return partition_of_key(key.encode(), PARTITIONS)


class Model:
    """Where each event must go, from all that came before it."""

    def __init__(self) -> None:
        self.definitions: list[tuple[str, str]] = []
        self.keys: dict[str, str] = {}
        self.trades: list[tuple[str, str]] = []
        self.entities: list[tuple[str, str]] = []

    def update(self, name: str, *said: Any) -> tuple[Any, set[int], set[int]] | None:
        kind, quantity, entity = None, Decimal(1), ""
        if name == "book":
            book, instrument, entity = said
            number = len(self.trades)
            self.trades.append((book, instrument))
        elif not self.trades:
            return None
        else:
            number = said[0] % len(self.trades)
            book, instrument = self.trades[number]
            kind, quantity = LifecycleKind.CANCEL, Decimal(0)
            if name == "amend":
                instrument, entity = said[1:]
                kind, quantity = LifecycleKind.AMEND, Decimal(2)
                self.trades[number] = (book, instrument)
        self.entities.append((book, entity))
        first = next(found for known, found in self.entities if known == book)
        named = [underlying for known, underlying in self.definitions if known == instrument]
        key = self.keys.setdefault(instrument, (named[-1] if named else "") or instrument)
        update = self._update(book, number, instrument, kind, quantity, entity)
        return update, {of(key)}, {of(first)}

    def _update(
        self, book: str, number: int, instrument: str, kind: Any, quantity: Decimal, entity: str
    ) -> Any:
        return PositionUpdated(
            event_id=f"{len(self.entities)}", book=book, instrument=instrument, trade_id=f"t{number}", revision=1,
            executed_at=number, quantity=Decimal(1), kind=kind, entity=entity, source="test",
            trade_quantity=None if kind is None else quantity,
        )  # fmt: skip

    def close(self, book: str) -> tuple[Any, set[int], set[int]]:
        everywhere = set(range(PARTITIONS))
        reached = {of(found) for known, found in self.entities if known == book}
        if reached:
            reached = {of(next(found for known, found in self.entities if known == book))}
        return (
            DayClosed(event_id="d", book=book, business_date="2026-01-05", event_time=9),
            everywhere,
            reached or everywhere,
        )

    def marked(self, instrument: str) -> set[int]:
        return {
            of(key)
            for key in (instrument, *(u for known, u in self.definitions if known == instrument and u))
        }


def parts(stage: StageInMemory, waiting: list[Any], topic: Any) -> list[tuple[int, bytes]]:
    step = stage.step(*waiting)
    return [
        (partition, encoded)
        for (name, partition), output in step.outputs.items()
        if name == topic.name
        for encoded in output.encoded
    ]


@given(st.lists(TOLD, max_size=40))
@settings(max_examples=300, deadline=None)
def test_everything_goes_where_it_is_needed_and_nowhere_else(told: list[tuple[Any, ...]]) -> None:
    positions = StageInMemory(position_routing.stage(), PARTITIONS)
    marks = StageInMemory(mark_routing.stage(), PARTITIONS)
    model = Model()
    waiting: list[tuple[Any, set[int], set[int]]] = []

    def settle() -> None:
        events_now = [event for event, _, _ in waiting]
        step = positions.step(*events_now)
        for topic, place in ((topics.VALUATION_INPUT, 1), (topics.LEDGER_INPUT, 2)):
            for partition in range(PARTITIONS):
                wanted = [encode_event(each[0]) for each in waiting if partition in each[place]]
                output = step.outputs.get((topic.name, partition))
                assert ([] if output is None else output.encoded) == wanted
                assert output is None or len(output.orders) == len(output.encoded)
        waiting.clear()

    for number, (name, *said) in enumerate(told):
        if name == "define":
            settle()
            definition = Instrument(event_id="i", instrument=said[0], underlying=said[1])
            positions.define(definition)
            marks.define(definition)
            model.definitions.append((said[0], said[1]))
        elif name == "mark":
            mark = Mark(event_id=f"{number}", instrument=said[0], event_time=number, price=Decimal(1), source="test", quality=MarkQuality.LIVE)  # fmt: skip
            wanted = {(partition, encode_event(mark)) for partition in model.marked(said[0])}
            assert set(parts(marks, [mark], topics.VALUATION_INPUT)) == wanted
            # Wherever a position in it is, its mark goes there.
            assert of(model.keys.get(said[0], said[0])) in model.marked(said[0])
        elif name == "close":
            waiting.append(model.close(said[0]))
        elif name == "restart":
            settle()
            positions.restart()
            marks.restart()
        elif name == "fail":
            positions.fail(*(event for event, _, _ in waiting))
        elif name == "step":
            settle()
        elif (found := model.update(name, *said)) is not None:
            waiting.append(found)
    settle()
