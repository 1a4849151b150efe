"""What a run will be, all of it from its seed: settings, fills, batches, and the actions in their order.

A plan never looks at the system: so a part of it (some actions, some fills) is a run as well, the same one whatever
the code under test does, and a failing run can be made small.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agents import positions, trade_capture
from topology.simulation.log import Fate
from topology.simulation.workload import POISON, make_fills

CAPTURE, POSITIONS = trade_capture.NAME, positions.NAME
FATES = (Fate.CROSSED, Fate.FAILS, Fate.FAILS_AND_IS_FOUND, Fate.KILLED_BEFORE, Fate.KILLED_AFTER)
STUMBLES = ("defect", "no memory", "broken invariant")
"""What goes wrong once in a handler: a defect that does not come again, no memory (the process ends), an identity
that does not hold (the partition stops)."""

_ACTIONS_MAX = 400
_BATCH_MAX = 5
_WEIGHTS = {
    "send": 28,
    "arrive": 20,
    "submit": 3,
    "capture": 22,
    "positions": 22,
    "sync": 8,
    "sync one": 4,
    "fate": 5,
    "reopen": 5,
    "restart": 3,
    "kill": 1,
    "lose": 1,
    "power cut": 1.5,
    "tick": 3,
    "clock": 1,
    "define": 1,
    "stumble": 2,
    "no files": 1,
    "beat": 3,
    "quiet": 2,
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that happens. What `number` and `count` mean is said where it is done (`World.act`)."""

    name: str
    target: str = ""
    number: int = 0
    count: int = 0

    def __str__(self) -> str:
        parts = [self.name, self.target, *(str(value) for value in (self.number, self.count) if value)]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it happens. `batches` name fills by their number; `actions` are kept with theirs."""

    seed: int
    partitions: int
    cached_lots_max: int
    slots: int
    chunk_entries_max: int
    rematch_min: int
    slice_trades: int
    waiting_bookings_max: int
    expires: bool
    fills: tuple[Any, ...]
    poison: dict[int, bytes]
    batches: tuple[tuple[int, ...], ...]
    actions: tuple[tuple[int, Action], ...]

    def part(self, actions: set[int], fills: set[int]) -> "Plan":
        """The same with these actions and fills only."""
        return replace(
            self,
            batches=tuple(tuple(number for number in batch if number in fills) for batch in self.batches),
            actions=tuple((number, action) for number, action in self.actions if number in actions),
        )

    def fill_numbers(self) -> list[int]:
        """The fills that are sent, by number."""
        return [number for batch in self.batches for number in batch]


def make_plan(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(seed)  # noqa: S311 - it must be foreseeable
    partitions = random.choice((1, 2, 3))
    cached_lots_max, slots = random.choice((2, 8, 2_000_000)), random.choice((2, 4, 32))
    chunk_entries_max = random.choice((1, 2, 64))
    expires = random.random() < 0.5
    fills = make_fills(random, random.randint(30, 70))
    left, batches = list(range(len(fills))), []
    while left:
        size = random.randint(1, _BATCH_MAX)
        batches.append(tuple(left[:size]))
        left = left[size:]
    poison = {number: random.choice(POISON) for number in range(len(fills)) if random.random() < 0.02}
    actions = _actions(random, len(batches), partitions)
    # Drawn by themselves: what else happens in a run does not hang on them.
    of_slices = Random(f"slices of {seed}")  # noqa: S311
    rematch_min = of_slices.choice((1, 1, 3, 1_000_000))
    if rematch_min < len(fills):
        actions = _with_slices(of_slices, actions)
    return Plan(
        seed,
        partitions,
        cached_lots_max,
        slots,
        chunk_entries_max,
        rematch_min,
        of_slices.choice((1, 2, 7)),
        of_slices.choice((2, 50)),
        expires,
        tuple(fills),
        poison,
        tuple(batches),
        tuple(enumerate(actions)),
    )


def _actions(random: Random, batches: int, partitions: int) -> list[Action]:
    names = list(_WEIGHTS)
    # Each run has a mix of its own: what is rare in one is frequent in another.
    weights = [weight * random.choice((0.3, 1, 1, 2)) for weight in _WEIGHTS.values()]
    waiting = list(range(batches))
    found: list[Action] = []
    while waiting and len(found) < _ACTIONS_MAX:
        name = random.choices(names, weights)[0]
        found.append(_action(random, name, batches, partitions, waiting))
    return found


def _with_slices(random: Random, actions: list[Action]) -> list[Action]:
    """The actions, and slices of what the positions have left over between them."""
    found = []
    share = random.choice((0.1, 0.4))
    for action in actions:
        found.append(action)
        if random.random() < share:
            found.append(Action("slice", number=random.choice((1, 1, 2, 5))))
    return found


def _action(random: Random, name: str, batches: int, partitions: int, waiting: list[int]) -> Action:
    if name in ("send", "submit"):
        # Not the oldest, always: the network delays, reorders and doubles.
        batch = random.randrange(batches) if random.random() < 0.1 else random.choice(waiting[:4])
        if batch in waiting and random.random() < 0.7:
            waiting.remove(batch)
        return Action(name, number=batch, count=random.choice((0, 0, 1)))
    if name == "arrive":
        return Action(name, random.choice(("", "", "reversed")), number=random.choice((1, 2, 9)))
    if name in ("capture", "positions"):
        again = random.choice((1, 2, 5)) if random.random() < 0.1 else 0
        stage = CAPTURE if name == "capture" else POSITIONS
        return Action("step", stage, random.choice((1, 2, 5, 100)), again)
    if name == "fate":
        return Action(name, random.choice(FATES).value)
    if name == "restart":
        return Action(name, random.choice((CAPTURE, POSITIONS)))
    if name == "stumble":
        kind = random.choice(STUMBLES)
        return Action(name, random.choice((CAPTURE, POSITIONS)), STUMBLES.index(kind), random.randint(1, 8))
    if name == "no files":
        return Action(name, number=random.choice((0, 1, 3, 10, 30)), count=random.choice((1, 1, 2, 3)))
    if name == "clock":
        return Action(name, random.choice(("an hour back", "an hour on", "a day on")))
    if name == "beat":
        return Action(name)
    return Action(name, number=random.randrange(partitions) if name == "tick" else 0)
