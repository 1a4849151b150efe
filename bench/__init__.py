"""Figures of speed, each beside a reference that is measured in the same run.

`python -m bench [NAME...]` measures and prints them with the machine, the versions and the command; `run` does so for
other callers. A figure of another machine says little, its ratio to the reference there says nearly as much as here.

`workload` makes the fills, `throughput` and `lots` measure the stages, `runner` knows the figures by name, and
`history` keeps what was measured and compares.
"""

from bench.row import Row
from bench.runner import FIGURES, run

__all__ = ["FIGURES", "Row", "run"]
