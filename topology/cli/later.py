"""Commands of the contract that this version does not have: each says so, and what there is instead."""

from collections.abc import Callable

import typer

from topology.cli.output import CommandError

LATER: dict[str, tuple[str, str]] = {
    "explain": (
        "the tree behind a figure",
        "`pks positions --lots` and `pks trades` show the lots and trades behind it",
    ),
}
"""By command: what it will show, and what is there instead."""


def register(application: typer.Typer) -> None:
    """Add the commands; they take any arguments, since those are known to the contract already."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name, (subject, instead) in LATER.items():
        application.command(name, context_settings=settings, help=f"Not in this version: {subject}.")(
            _refuser(name, subject, instead)
        )


def _refuser(name: str, subject: str, instead: str) -> Callable[[typer.Context], None]:
    def refuse(context: typer.Context) -> None:
        raise CommandError(f"pks {name}: {subject} come with a later version; now {instead}")

    return refuse
