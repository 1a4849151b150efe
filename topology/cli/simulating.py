"""`pks simulate`: runs of the spine under a simulated scheduler, clock, log and network, each from one seed."""

from hashlib import blake2b
from typing import Annotated

import typer

from topology.cli.options import JsonOption
from topology.cli.output import EXIT_FAILURE, CommandError, print_json, print_table


def simulate(
    seed: Annotated[int, typer.Option("--seed", help="The first seed.", min=0)] = 0,
    seeds: Annotated[int, typer.Option("--seeds", help="How many seeds to run.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run the stages with crashes, lost commits, repeats and reorder, and hold the result against a slow model."""
    import structlog

    from topology.simulation.oracle import simulate as run

    # Planned crashes are no news; what happened is in the history of the seed.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    total, failed = blake2b(digest_size=16), []
    for number in range(seed, seed + seeds):
        outcome = run(number)
        total.update(outcome.digest.encode())
        if outcome.violation:
            failed.append(outcome)
    digest = total.hexdigest()
    if as_json:
        print_json(
            {
                "seed": seed,
                "seeds": seeds,
                "digest": digest,
                "failed": [
                    {"seed": one.seed, "violation": one.violation, "history": one.history} for one in failed
                ],
            }
        )
    else:
        print_table(
            "Simulation", ("first seed", "seeds", "failed", "digest"), [(seed, seeds, len(failed), digest)]
        )
    if failed:
        first = failed[0]
        raise CommandError(
            *([] if as_json else first.history),
            f"seed {first.seed}: {first.violation}",
            f"run it again: pks simulate --seed {first.seed}",
            exit_code=EXIT_FAILURE,
        )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(simulate)
