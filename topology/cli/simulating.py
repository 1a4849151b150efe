"""`pks simulate`: runs of the spine under a simulated scheduler, clock, log and network, each from one seed."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import JsonOption
from topology.cli.output import EXIT_FAILURE, CommandError, bad_input, print_json, print_table

if TYPE_CHECKING:
    from topology.simulation.plan import Plan


def simulate(
    seed: Annotated[int, typer.Option("--seed", help="The first seed.", min=0)] = 0,
    seeds: Annotated[int, typer.Option("--seeds", help="How many seeds to run.", min=1)] = 1,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="These actions and fills of the seed only, by number, as a run that fails prints them.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stages with crashes, lost commits, repeats and reorder, and hold the result against a slow model."""
    import structlog

    from topology.simulation.plan import make_plan
    from topology.simulation.run import run

    # Planned crashes are no news; what happened is in the history of the seed.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    plans = [make_plan(seed)] if only is None else [_part(make_plan(seed), only, seeds)]
    total = blake2b(digest_size=16)
    failed: list[dict[str, Any]] = []
    for number in range(seed, seed + seeds):
        plan = plans.pop() if plans else make_plan(number)
        outcome = run(plan)
        total.update(outcome.digest.encode())
        if outcome.violation:
            found: dict[str, Any] = {
                "seed": number,
                "violation": outcome.violation,
                "history": outcome.history,
            }
            if not failed and only is None:
                found["smallest"] = _smallest(plan, outcome)
            failed.append(found)
    _report(seed, seeds, total.hexdigest(), failed, only, as_json)


def _part(plan: "Plan", only: str, seeds: int) -> "Plan":
    from topology.simulation.shrink import parse_only

    if seeds != 1:
        bad_input([f"--only: expected one seed, found {seeds}: what is named are parts of one run"])
    try:
        return plan.part(*parse_only(only))
    except ValueError as error:
        bad_input([f"--only: {error}"])


def _smallest(plan: "Plan", outcome: Any) -> dict[str, Any]:
    """The smallest history that still fails, and how to run it again."""
    from topology.simulation.shrink import describe, shrink

    found = shrink(plan, outcome)
    return {
        "actions": len(found.actions),
        "fills": len(found.fills),
        "runs": found.runs,
        "violation": found.outcome.violation,
        "command": f"pks simulate --seed {plan.seed} --only {found.only}",
        "history": [*describe(found.plan), *found.outcome.history],
    }


def _report(
    seed: int, seeds: int, digest: str, failed: list[dict[str, Any]], only: str | None, as_json: bool
) -> None:
    if as_json:
        print_json({"seed": seed, "seeds": seeds, "digest": digest, "failed": failed})
    else:
        print_table(
            "Simulation", ("first seed", "seeds", "failed", "digest"), [(seed, seeds, len(failed), digest)]
        )
    if not failed:
        return
    first = failed[0]
    smallest = first.get("smallest", first)
    again = smallest.get("command", f"pks simulate --seed {seed} --only {only}")
    raise CommandError(
        *([] if as_json else smallest["history"]),
        f"seed {first['seed']}: {smallest['violation']}",
        f"run it again: {again}",
        exit_code=EXIT_FAILURE,
    )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(simulate)
