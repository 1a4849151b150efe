"""The compiled twin of `agents.trade_capture`: see the source beside it."""

from collections.abc import Sequence
from typing import Any

from agents.capture_state import CaptureState
from agents.stage import Step

def capture(state: CaptureState, events: Sequence[Any], place: int, step: Step) -> int: ...
