"""The compiled twin of `agents.positions`: see the source beside it."""

from collections.abc import Sequence
from typing import Any

from agents.open_position import OpenPosition
from agents.position_state import PositionsState
from agents.stage import Step

def book(state: PositionsState, events: Sequence[Any], place: int, step: Step) -> int: ...
def flush(state: PositionsState, dirty: list[OpenPosition]) -> None: ...
