"""Making a run that fails small: fewer actions and fewer fills, as long as the same check still finds it.

What is left is named by numbers (`4,9,12-15:3,8`: these actions, with these fills), which `pks simulate --only` takes.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from schemas.units import Action as FillAction
from topology.simulation.plan import Plan
from topology.simulation.run import Outcome, run

RUNS_MAX = 1_000
"""Most runs that making one smaller takes: about 10 seconds."""

_NUMBERS = re.compile(r"(\d+(-\d+)?(,\d+(-\d+)?)*)?")


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest run found: its parts by number, how many runs it took, and what became of it."""

    actions: tuple[int, ...]
    fills: tuple[int, ...]
    runs: int
    plan: Plan
    outcome: Outcome

    @property
    def only(self) -> str:
        """What `--only` takes."""
        return f"{format_numbers(self.actions)}:{format_numbers(self.fills)}"


def shrink(plan: Plan, failed: Outcome, runs_max: int = RUNS_MAX) -> Smallest:
    """The smallest run that is found from one that failed."""
    actions = [number for number, _ in plan.actions]
    fills = plan.fill_numbers()
    runs, best = 0, failed

    def fails(some_fills: list[int], some_actions: list[int]) -> bool:
        nonlocal runs, best
        if runs >= runs_max:
            return False
        runs += 1
        outcome = run(plan.part(set(some_actions), set(some_fills)))
        if outcome.check != failed.check:
            return False
        best = outcome
        return True

    def fails_of(some_actions: list[int], some_fills: list[int]) -> bool:
        return fails(some_fills, some_actions)

    size = -1
    while size != len(actions) + len(fills):
        size = len(actions) + len(fills)
        actions = _smaller(actions, partial(fails, fills))
        fills = _smaller(fills, partial(fails_of, actions))
    smallest = plan.part(set(actions), set(fills))
    return Smallest(tuple(actions), tuple(fills), runs, smallest, best)


def _smaller(items: list[int], fails: Callable[[list[int]], bool]) -> list[int]:
    """Leave out ever smaller pieces, the last ones first, as long as it still fails."""
    piece = len(items)
    while piece:
        end = len(items)
        while end > 0:
            without = items[: max(end - piece, 0)] + items[end:]
            if fails(without):
                items = without
            end -= piece
        piece //= 2
    return items


def format_numbers(numbers: Iterable[int]) -> str:
    """`1,4-7`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def parse_only(text: str) -> tuple[set[int], set[int]]:
    """Actions and fills by number. Raises ValueError with what was expected and found."""
    parts = text.split(":")
    if len(parts) != 2 or not all(_NUMBERS.fullmatch(part) for part in parts):
        raise ValueError(
            f"expected actions and fills by number, like 4,9,12-15:3,8 (as a run that fails prints them), found {text!r}"
        )
    actions, fills = (_parse_numbers(part) for part in parts)
    return actions, fills


def _parse_numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def describe(plan: Plan) -> list[str]:
    """The settings and the fills of a run, for its history."""
    lines = [
        f"partitions {plan.partitions}, cached lots {plan.cached_lots_max}, slots {plan.slots}, "
        f"chunks of {plan.chunk_entries_max}, re-matches of {plan.rematch_min} in slices of {plan.slice_trades}, "
        f"at most {plan.waiting_bookings_max} waiting"
        + (", corrections expire at the end" if plan.expires else "")
    ]
    for batch, places in enumerate(plan.batches):
        for place in places:
            fill = plan.fills[place]
            of = "" if fill.action is FillAction.NEW else f" {fill.action.value} of {fill.original_trade_id}"
            bad = f", with {plan.poison[place]!r}" if place in plan.poison else ""
            lines.append(
                f"fill {place} (batch {batch}): {fill.trade_id}{of} {fill.book} {fill.side.value} {fill.quantity} "
                f"{fill.instrument} at {fill.price}, executed {fill.executed_at}.{fill.source_sequence}{bad}"
            )
    return lines
