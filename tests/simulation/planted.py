"""Defects that the simulation must find, each switched on for the time of a `with`.

Each takes the place of one function of the product (of the simulated sender, worker or log where what it stands for
lives in a driver: `SIMULATED`). `python -m tests.simulation.planted` looks for the first seed that catches each, and
writes the table of docs/concepts/simulation.md, which the tests hold.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from tests.simulation import defects_of_commits, defects_of_edges, defects_of_stages
from topology.simulation.run import simulate

SEEDS_MAX = 1_000
SIMULATED = (
    "acknowledge before commit",
    "offset apart",
    "retry applies twice",
    "memory kept after a failed read",
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "simulation.md"
_BLOCK = re.compile(r"(<!-- generated: planted defects -->\n)(.*?)(<!-- end -->)", re.DOTALL)

PLANTED: dict[str, Callable[[], Any]] = {
    defect.__name__.strip("_").replace("_", " "): defect
    for defect in (*defects_of_stages.DEFECTS, *defects_of_commits.DEFECTS, *defects_of_edges.DEFECTS)
}
"""Each defect by its name."""


def caught() -> dict[str, int]:
    """The first seed that catches each defect, as the page has it."""
    block = _BLOCK.search(PAGE.read_text())
    assert block is not None, f"{PAGE} has no table of planted defects"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block[2].splitlines()[2:]]
    return {name: int(seed) for name, _, seed, _ in rows}


def first_seed(defect: Callable[[], Any]) -> tuple[int, str] | None:
    """The first seed that catches a defect, and what it says."""
    with defect():
        for seed in range(SEEDS_MAX):
            outcome = simulate(seed)
            if outcome.violation:
                return seed, _cell(outcome.violation)
    return None


def _cell(text: str) -> str:
    """What the table keeps of a violation: the first 110 characters, without what would end a cell."""
    return " ".join(text.replace("|", "/").split())[:110].strip()


def main() -> int:
    """Write the table anew; the names of defects that no seed catches are printed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    rows, missed = [], []
    for name, defect in PLANTED.items():
        found = first_seed(defect)
        if found is None:
            missed.append(name)
            continue
        where = " (simulated)" if name in SIMULATED else ""
        rows.append(f"| {name} | {' '.join(str(defect.__doc__).split())}{where} | {found[0]} | {found[1]} |")
    table = "\n".join(
        ["| defect | what it does | first seed | what the simulation said |", "|---|---|---|---|", *rows]
    )
    text = PAGE.read_text()
    PAGE.write_text(_BLOCK.sub(lambda block: f"{block[1]}{table}\n{block[3]}", text))
    for name in missed:
        print(f"not caught within {SEEDS_MAX} seeds: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
