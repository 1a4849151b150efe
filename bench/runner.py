"""The figures by name, and how they are run."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.row import Row

FILLS_DEFAULT = 200_000

FIGURES: dict[str, str] = {
    "lots": "bench.throughput:lots",
    "capture": "bench.throughput:capture",
    "positions": "bench.throughput:books",
    "both": "bench.throughput:both",
    "replay": "bench.throughput:replay",
    "commit": "bench.append_to_commit:run",
    "shared-memory": "bench.shared_memory:run",
    "latency": "bench.latency:run",
}
"""By name, the module and the function that measures. A module that is not there leaves its figure out."""


def available() -> list[str]:
    """The names of the figures that this version measures."""
    return [name for name, place in FIGURES.items() if find_spec(place.partition(":")[0]) is not None]


def run(
    names: Sequence[str] = (), fills: int = FILLS_DEFAULT, on_row: Callable[[Row], None] | None = None
) -> list[Row]:
    """Measure figures (all where none is named), in the order of `FIGURES`; `on_row` sees each as it comes.

    Raises KeyError for a name that is no figure.
    """
    known = available()
    for name in names:
        if name not in known:
            raise KeyError(name)
    rows: list[Row] = []
    for name in known:
        if names and name not in names:
            continue
        module, _, function = FIGURES[name].partition(":")
        measure = getattr(import_module(module), function)
        # Figures of their own shape and size take no count.
        counted = module in ("bench.throughput", "bench.append_to_commit")
        for found in measure(fills) if counted else measure():
            row = _row(name, found)
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


def _row(figure: str, found: Any) -> Row:
    if isinstance(found, Row):
        return found
    return Row(
        name=f"{figure}, {found['name']}",
        value=found["value"],
        unit=found["unit"],
        reference=found.get("reference"),
        reference_name=found.get("reference_name", ""),
        higher_is_better=found.get("higher_is_better", False),
        note=found.get("note", ""),
    )
