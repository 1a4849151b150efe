"""Compiled twins of the hottest paths. Where none was built, or `PKS_PLAIN` is set, the plain code runs alone.

Owns: which of the two runs.
Guarantees: both read and change the same objects and write the same bytes, so nothing but speed depends on it; a twin
takes the usual case only, and leaves all others to the plain code.
"""

import os
from collections.abc import Callable
from functools import cache
from types import ModuleType

PLAIN = "PKS_PLAIN"
"""The environment variable that keeps the compiled code out, where it is set to anything but nothing."""


@cache
def positions() -> ModuleType | None:
    """The twin of `agents.positions`; None where the plain code runs alone."""
    if os.environ.get(PLAIN):
        return None
    try:
        # When a step first asks: it imports the agents whose objects it changes, and those import this.
        from native import positions_twin as twin
    except ImportError:
        return None
    return twin


def slots(layout: ModuleType, encode_exacts: Callable[..., object]) -> ModuleType | None:
    """The twin of `connectors.shm.packing`, for this layout of slots; None where the plain code runs alone."""
    if os.environ.get(PLAIN):
        return None
    try:
        from native import slot_twin as twin

        twin.begin(layout, encode_exacts)
    except ImportError:
        return None
    return twin


def description() -> str:
    """Which code runs, and why, in a few words."""
    if os.environ.get(PLAIN):
        return f"plain Python ({PLAIN} is set)"
    try:
        from native import positions_twin as twin
    except ImportError as error:
        return f"plain Python ({error})"
    return f"compiled ({twin.__file__.rpartition('/')[2]})"
