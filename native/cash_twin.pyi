"""The compiled twin of `agents.cash`: see the source beside it."""

from collections.abc import Sequence
from typing import Any

from agents.cash import CashState
from agents.stage import Step

def take(state: CashState, events: Sequence[Any], place: int, step: Step) -> int: ...
