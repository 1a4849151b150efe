"""A fault of the settings in words: where it stands (option, variable or file), what was expected, what was found."""

import difflib
import os
from collections.abc import Mapping
from typing import Any

from connectors.files.validation import expected_of
from topology.settings import Settings, settings_file

_PREFIX = str(Settings.model_config["env_prefix"])

_OTHERS = frozenset(
    ("PKS_SETTINGS", "PKS_PLAIN", "PKS_TAPES", "PKS_HYPOTHESIS", "PKS_TEST_CLOCK", "PKS_SINK_WATCHED")
)
_FAMILIES = ("PKS_SOAK_", "PKS_DEMO_")
"""Variables that are no settings: the settings' file, and those of the tests and the demonstration."""


def setting_fault(fault: Any, chosen: Mapping[str, Any]) -> str:
    """One line for an entry of `ValidationError.errors()`; `chosen` are the options of the command."""
    name = ".".join(map(str, fault["loc"]))
    where, found = _place(name, chosen), f"{fault['input']!r:.80}"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        meant = f"did you mean {near[0]}?" if near else "docs/reference/settings.md has them all"
        return f"{where}: expected the name of a setting ({meant}), found {name!r:.80}"
    return f"{where}: expected {expected_of(fault, _bounds(name))}, found {found}"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that looks like a setting and is none: it has no effect, which nobody would see."""
    settings = [f"{_PREFIX}{name}".upper() for name in Settings.model_fields]
    known = {*settings, *_OTHERS}
    lines = []
    for given in sorted(environment):
        name = given.upper()
        if not name.startswith(_PREFIX) or name in known or name.startswith(_FAMILIES):
            continue
        near = difflib.get_close_matches(name, [*settings, "PKS_SETTINGS"], 1)
        meant = f"did you mean {near[0]}?" if near else "docs/reference/settings.md has them all"
        lines.append(
            f"{given:.80}: expected the variable of a setting ({meant}), found another name: ignored"
        )
    return lines


def _place(name: str, chosen: Mapping[str, Any]) -> str:
    if chosen.get(name) is not None:
        return f"--{name.replace('_', '-')}"
    variable = f"{_PREFIX}{name}".upper()
    if any(given.upper() == variable for given in os.environ):
        return variable
    return f"{settings_file()}: {name}"


def _bounds(name: str) -> tuple[float | None, float | None]:
    """The least and the most that a setting may be, where it says so."""
    field = Settings.model_fields.get(name)
    marks = () if field is None else field.metadata
    least = next((mark.ge for mark in marks if hasattr(mark, "ge")), None)
    return least, next((mark.le for mark in marks if hasattr(mark, "le")), None)
