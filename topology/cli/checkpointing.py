"""`pks checkpoint`: make looking back fast, now."""

from dataclasses import asdict

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json, progress
from topology.cli.reading_options import opened_embedded_log


def checkpoint(
    data: DataOption = None, transport: TransportOption = None, as_json: JsonOption = False
) -> None:
    """Take checkpoints of the positions up to now, so that --known-at and --from need not replay the whole log.

    A running worker does so by itself; this is for after a bulk import without one.
    """
    from topology.history.checkpoints import take_checkpoints

    settings = load_settings(data, transport)
    if not settings.checkpoint_spacing_bytes:
        bad_input(["checkpoint_spacing_bytes: expected more than 0 to take checkpoints, found 0"])
    with opened_embedded_log(data, transport, "pks checkpoint") as log, progress() as bar:
        task = bar.add_task("reading the changelog", total=None)
        taken = take_checkpoints(
            log,
            settings.checkpoint_spacing_bytes,
            settings.checkpoints_max,
            settings.checkpoint_bytes_max,
            lambda records: bar.advance(task, records),
        )
        document = {**asdict(taken), "sequence": log.sequence}
    if as_json:
        print_json(document)
    else:
        document["partitions"] = ", ".join(f"{place}: {count}" for place, count in taken.partitions.items())
        print_facts(document)


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(checkpoint)
