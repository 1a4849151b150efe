"""Bookings and marks through positions, valuation and P&L, stage by stage in memory, and what the last one told."""

from typing import Any

from agents import pnl, positions, valuation
from agents.stage import Step
from schemas import topics
from schemas.pnl import BUCKETS
from schemas.topics import Topic
from tests.stage_support import StageInMemory


def outputs(step: Step, topic: Topic) -> list[Any]:
    """What a step appended to a topic."""
    output = step.outputs.get((topic.name, 0))
    return topic.codec.decode(b"[" + b",".join([] if output is None else output.encoded) + b"]")


class PnLChain:
    """The three stages, each with a table of its own."""

    def __init__(self) -> None:
        self.positions = StageInMemory(positions.stage())
        self.valuation = StageInMemory(valuation.stage())
        self.pnl = StageInMemory(pnl.stage())
        self.told: list[Any] = []
        self.frames: list[Any] = []

    def define(self, *definitions: Any) -> None:
        """Instruments, books, rates."""
        self.valuation.define(*definitions)
        self.pnl.define(*(each for each in definitions if type(each).__name__ == "Book"))

    def book(self, *bookings: Any) -> list[Any]:
        """Bookings in one step; what the P&L stage told."""
        return self.value(*outputs(self.positions.step(*bookings), topics.POSITIONS))

    def value(self, *events: Any) -> list[Any]:
        """Marks, ends of days and ticks in one step; what the P&L stage told."""
        self.frames = outputs(self.valuation.step(*events), topics.VALUATIONS)
        found = outputs(self.pnl.step(*self.frames), topics.PNL) if self.frames else []
        self.told += found
        return found


def split(event: Any) -> dict[str, Any]:
    """The buckets of an event that are not zero, by name."""
    return {name: getattr(event.buckets, name) for name in BUCKETS if getattr(event.buckets, name)}
