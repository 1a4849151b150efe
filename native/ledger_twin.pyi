"""The compiled twin of `agents.ledger`: see the source beside it."""

from collections.abc import Sequence
from typing import Any

from agents.ledger_state import LedgerState
from agents.stage import Step

def book(state: LedgerState, events: Sequence[Any], place: int, step: Step) -> int: ...
