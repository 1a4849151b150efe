"""The figures by name, and how they are run."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench import (
    append_to_commit,
    bars,
    beside_valuation,
    connectors,
    failover,
    flatness,
    kafka,
    late,
    ledger,
    looking_back,
    messaging,
    pnl,
    pricing,
    pricing_engine,
    restart,
    stock_faust,
    stopped_sink,
    throughput,
    valuation,
)
from bench.row import Row

FILLS_DEFAULT = 200_000

FIGURES: dict[str, Callable[[int], list[Row]]] = {
    "lots": throughput.lots,
    "capture": throughput.capture,
    "positions": throughput.books,
    "both": throughput.both,
    "stock-faust": stock_faust.run,
    "replay": throughput.replay,
    "looking-back": looking_back.run,
    "commit": append_to_commit.run,
    "late": late.run,
    "flatness": flatness.run,
    "restart": restart.run,
    "failover": failover.run,
    "connectors": connectors.run,
    "ledger": ledger.run,
    "pricing": pricing.run,
    "valuation": valuation.run,
    "bars": bars.run,
    "pnl": pnl.run,
}
"""By name, what measures with a number of fills."""

ASKED_FOR: dict[str, Callable[[int], list[Row]]] = {
    "kafka": kafka.run,
    "nats": messaging.nats,
    "questdb": messaging.questdb,
    "stopped-sink": stopped_sink.run,
    "pricing-engine": pricing_engine.run,
    "beside-valuation": beside_valuation.run,
    **{f"kafka-{name}": kafka.part(name) for name in kafka.PARTS},
}
"""By name, what measures only where it is named: it starts servers; `kafka` takes minutes, and all of its parts."""

OTHERS = {"shared-memory": "bench.shared_memory", "latency": "bench.latency"}
"""By name, the module whose `run()` measures; one that is not there leaves its figure out."""


def available() -> list[str]:
    """The names of the figures that this version measures."""
    return [*FIGURES, *ASKED_FOR, *(name for name, module in OTHERS.items() if find_spec(module) is not None)]


def run(
    names: Sequence[str] = (), fills: int = FILLS_DEFAULT, on_row: Callable[[Row], None] | None = None
) -> list[Row]:
    """Measure figures (all where none is named), in the order of `available`; `on_row` sees each as it comes.

    Raises KeyError for a name that is no figure.
    """
    known = available()
    for name in names:
        if name not in known:
            raise KeyError(name)
    rows: list[Row] = []
    for name in known:
        if name not in names if names else name in ASKED_FOR:
            continue
        measure = FIGURES.get(name) or ASKED_FOR.get(name)
        found = measure(fills) if measure is not None else import_module(OTHERS[name]).run()
        for each in found:
            row = _row(name, each)
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
