"""Positions as of an execution time: the journal's undo images take a position back, with all that is known.

Guarantees: the result equals, digit for digit, a run of the trades executed up to then, corrections applied; the
cost is the number of trades after that time.
"""

from agents.journal import NOTHING_BEFORE, last_before, scan_journal
from agents.open_position import OpenPosition
from domain.lots.matching import undo
from domain.lots.position import OrderKey
from tables.partition import TablePartition

_FIRST = NOTHING_BEFORE[0]
_LAST = -_FIRST - 1


def first_order_after(instant: int) -> OrderKey:
    """The first place in the order of matching after everything executed up to an instant."""
    # Places are kept in 64 bits: what is outside of them is before or after everything.
    return (max(min(instant + 1, _LAST), _FIRST), _FIRST, "")


def rewind(table: TablePartition, opened: OpenPosition, instant: int) -> bool:
    """Take a position, restored from `table` for this alone, back to an execution time (nanoseconds).

    False where nothing of it was executed by then, though something was later. Call it inside
    `exact_arithmetic()`.
    """
    boundary = first_order_after(instant)
    position = opened.position
    undone = False
    for entry in scan_journal(table, opened.key, boundary, reverse=True, last=opened.last):
        undo(position, entry.trade, entry.applied)
        if entry.terms_before is not None:
            position.terms = entry.terms_before
        undone = True
    if not undone:
        return True
    last = last_before(table, opened.key, boundary)
    if last is None:
        return False
    opened.last = last
    return True
