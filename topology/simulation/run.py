"""Running plans: what became of a seed, or of a part of its plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agents import journal, journal_chunks
from topology.simulation.plan import Plan, make_plan
from topology.simulation.violation import Violation
from topology.simulation.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run; `violation` and `check` are empty where every promise held."""

    seed: int
    digest: str
    violation: str
    check: str
    history: list[str]


def simulate(seed: int) -> Outcome:
    """The run of a seed."""
    return run(make_plan(seed))


def run(plan: Plan) -> Outcome:
    """One run."""
    violation = check = ""
    world = World(plan)
    try:
        with _small_chunks(plan.chunk_entries_max):
            world.run()
    except Violation as error:
        violation, check = str(error), error.check
    except Exception as error:  # whatever the code under test raises is what this run has found
        check = f"raised {type(error).__name__}"
        violation = f"{check}: {error}"
    finally:
        world.close()
    if violation:
        world.note(violation)
    return Outcome(plan.seed, world.digest, violation, check, world.history)


@contextmanager
def _small_chunks(entries_max: int) -> Iterator[None]:
    """Journals of few trades have many chunks."""
    before = journal_chunks.CHUNK_ENTRIES_MAX
    journal.CHUNK_ENTRIES_MAX = journal_chunks.CHUNK_ENTRIES_MAX = entries_max
    try:
        yield
    finally:
        journal.CHUNK_ENTRIES_MAX = journal_chunks.CHUNK_ENTRIES_MAX = before
