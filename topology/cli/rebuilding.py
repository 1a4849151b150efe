"""`pks rebuild`: tables and changelogs made anew from the fills and bookings of the log."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    EXIT_STATE,
    CommandError,
    bad_input,
    messages,
    print_facts,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from connectors.postgres.snapshots import Snapshot
    from topology.rebuilding.rebuild import Rebuilt


def rebuild(
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            help="This stage only; default those that keep the books, and those behind them that read nothing else.",
            show_default=False,
        ),
    ] = None,
    from_snapshot: Annotated[
        bool,
        typer.Option(
            "--from-snapshot",
            help="Begin positions with the snapshot in Postgres (setting postgres), not with the first booking.",
        ),
    ] = False,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make tables and changelogs anew from the fills and bookings of the log; print the book hash before and after.

    Needs the folder for itself. Killed at any moment, the old state stands, and it is run again.
    """
    found = _rebuild(stage, from_snapshot, data, transport)
    document: dict[str, Any] = {
        "book_hash_before": found.hash_before,
        "book_hash": found.book_hash,
        "positions": found.positions,
        "stages": {
            name: {
                "events": counts.read,
                "applied": counts.applied,
                "duplicates": counts.duplicates,
                "rejected": counts.refused,
                "waiting": counts.waiting,
            }
            for name, counts in found.counts.items()
        },
        "sequence": found.sequence,
        "seconds": round(found.seconds, 3),
    }
    if as_json:
        print_json(document)
    else:
        for name, counts in document.pop("stages").items():
            document[f"stage {name}"] = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        print_facts(document)
    if found.hash_before != found.book_hash:
        messages().print("the positions that were there before were not those of the log", soft_wrap=True)


def _snapshots(address: str) -> "dict[int, Snapshot]":
    import asyncio

    import asyncpg

    from connectors.postgres.snapshots import read_snapshots

    if not address:
        bad_input(["--from-snapshot: expected the setting postgres to name the database, found it empty"])
    try:
        found = asyncio.run(read_snapshots(address))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(f"Postgres: expected to read the snapshot, found: {error}") from error
    if not found:
        raise CommandError("Postgres: expected a snapshot of positions, found none; rebuild without it")
    return found


def _rebuild(stage: str | None, from_snapshot: bool, data: Any, transport: Any) -> "Rebuilt":
    from topology.rebuilding import rebuild as rebuilding
    from topology.rebuilding.seeding import SnapshotRefused
    from topology.runtime import PartitionStopped
    from topology.stages import build_all

    settings = load_settings(data, transport)
    known = build_all(settings)
    named = [one for one in known if one.name == stage]
    if stage is not None and not named:
        bad_input([f"--stage: expected one of {', '.join(one.name for one in known)}, found {stage!r:.80}"])
    snapshots = _snapshots(settings.postgres) if from_snapshot else None
    log = rebuilding.open_to_rebuild(settings.data, settings.sync)
    try:
        stages = named or rebuilding.rebuildable(log, known)
        with progress() as bar:
            task = bar.add_task("rebuilding", total=rebuilding.records_to_apply(log, stages))
            return rebuilding.rebuild(log, stages, lambda records: bar.advance(task, records), snapshots)
    except (rebuilding.RebuildRefused, SnapshotRefused, PartitionStopped) as refused:
        raise CommandError(f"{settings.data}: {refused}", exit_code=EXIT_STATE) from refused
    finally:
        log.close()


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(rebuild)
