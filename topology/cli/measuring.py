"""`pks bench`: a figure of the bench, beside its reference in the same run."""

from typing import Annotated

import typer

from topology.cli.options import JsonOption
from topology.cli.output import CommandError


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="A figure of docs/performance.md: lots, capture, positions, both, ...; all where none.",
        ),
    ] = None,
    fills: Annotated[int | None, typer.Option(min=1_000, max=10_000_000, help="Fills a figure.")] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare with the last release; exit 1 where a ratio is 15 % worse."),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Measure figures, each as a ratio to a reference in the same run, with machine, versions and command."""
    try:
        from bench.__main__ import main
    except ImportError as error:
        raise CommandError(
            f"pks bench: expected the bench of the repository, found: {error}; run it in a clone after `make setup`"
        ) from error
    arguments = [*(names or ()), *(["--fills", str(fills)] if fills else ())]
    return main([*arguments, *(["--compare"] if compare else ()), *(["--json"] if as_json else ())])


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(bench)
