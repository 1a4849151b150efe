"""Compiled twins of the hottest paths. Where none was built, or `PKS_PLAIN` is set, the plain code runs alone.

Owns: which of the two runs.
Guarantees: both read and change the same objects and write the same bytes, so nothing but speed depends on it; a twin
takes the usual case only, and leaves all others to the plain code.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

PLAIN = "PKS_PLAIN"
"""The environment variable that keeps the compiled code out, where it is set to anything but nothing."""

_CAPTURE, _POSITIONS, _LEDGER = "native.capture_twin", "native.positions_twin", "native.ledger_twin"
_CASH, _SLOTS, _FRAMES = "native.cash_twin", "native.slot_twin", "native.frames_twin"


@cache
def capture() -> ModuleType | None:
    """The twin of `agents.trade_capture`; None where the plain code runs alone."""
    return _find(_CAPTURE)


@cache
def positions() -> ModuleType | None:
    """The twin of `agents.positions`; None where the plain code runs alone."""
    return _find(_POSITIONS)


@cache
def ledger() -> ModuleType | None:
    """The twin of `agents.ledger`; None where the plain code runs alone."""
    return _find(_LEDGER)


@cache
def cash() -> ModuleType | None:
    """The twin of `agents.cash`; None where the plain code runs alone."""
    return _find(_CASH)


@cache
def frames(event_class: type, whole: type | None = None) -> Callable[[bytes], list[Any] | None] | None:
    """What reads frames of one class of events, by its wire twin, where they are as usual; None where nothing does.

    Where `event_class` has a part of the fields only, `whole` is the wire twin that has all.
    """
    twin = _find(_FRAMES)
    try:
        return None if twin is None else twin.FrameReader(event_class, whole).read
    except ImportError:
        return None


def slots(layout: ModuleType, encode_exacts: Callable[..., object]) -> ModuleType | None:
    """The twin of `connectors.shm.packing`, for this layout of slots; None where the plain code runs alone."""
    twin = _find(_SLOTS)
    try:
        if twin is not None:
            twin.begin(layout, encode_exacts)
    except ImportError:
        return None
    return twin


def _find(name: str) -> ModuleType | None:
    if os.environ.get(PLAIN):
        return None
    try:
        # When a step first asks: a twin imports the agents whose objects it changes, and those import this.
        return import_module(name)
    except ImportError:
        return None


def description() -> str:
    """Which code runs for the stages, and why, in a few words."""
    if os.environ.get(PLAIN):
        return f"plain Python ({PLAIN} is set)"
    files, faults = [], []
    for name in (_CAPTURE, _POSITIONS, _LEDGER, _CASH):
        try:
            files.append(str(import_module(name).__file__).rpartition("/")[2])
        except ImportError as error:
            faults.append(str(error))
    found = [f"compiled ({', '.join(files)})"] if files else []
    return ", ".join([*found, *(f"plain Python ({fault})" for fault in faults)])
