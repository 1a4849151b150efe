"""`pks sinks`, `pks sink NAME`, `pks postgres migrate`: how the sinks go, one of them alone, and their schemas."""

import time
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import EXIT_STATE, CommandError, bad_input, print_facts, print_json, print_table

postgres = typer.Typer(no_args_is_help=True, help="The schemas of PKS in Postgres.")


def sinks(data: DataOption = None, transport: TransportOption = None, as_json: JsonOption = False) -> None:
    """List the sinks and sources: which are configured, whether they run, how far they are behind."""
    from topology.sinks.metrics import is_up
    from topology.sinks.registry import SINKS, SinkKind
    from topology.sinks.status import SinkStatus, read_statuses
    from topology.sources.registry import SOURCES, SourceKind

    settings = load_settings(data, transport)
    statuses = {status.name: status for status in read_statuses(settings.data)}
    now = time.time_ns()
    rows: list[dict[str, Any]] = []
    kinds: list[SinkKind | SourceKind] = [*SINKS, *SOURCES]
    for kind in kinds:
        status = statuses.get(kind.name, SinkStatus(kind.name, state="never ran"))
        up = is_up(status, now)
        rows.append(
            {
                "sink": kind.name,
                # What runs was asked for, if by the worker's settings: those of a profile stand nowhere else.
                "configured": up or kind.configured(settings),
                "up": up,
                "state": status.state,
                "lag_records": status.lag_records,
                "age_seconds": round(status.age_seconds(now), 3),
                "written": status.written,
                "refused": status.refused,
                "trouble": status.trouble,
            }
        )
    if as_json:
        print_json({"sinks": rows})
    else:
        print_table("Sinks", list(rows[0]), (list(row.values()) for row in rows))


def sink(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A sink that `pks sinks` lists.")],
    data: DataOption = None,
    transport: TransportOption = None,
) -> int:
    """Run one sink over a data folder until SIGTERM; `pks up` does so by itself for those that settings ask for."""
    from topology.logging import configure_logging
    from topology.sinks.feed import FeedFault
    from topology.sinks.process import run_sink
    from topology.sinks.registry import SINK_BY_NAME

    settings = load_settings(data, transport)
    kind = SINK_BY_NAME.get(name)
    if kind is None:
        bad_input([f"NAME: expected one of {', '.join(SINK_BY_NAME)}, found {name!r:.80}"])
    if not kind.configured(settings):
        bad_input(
            [f"{name}: expected the setting that turns it on (docs/reference/settings.md), found it empty"]
        )
    configure_logging(settings)
    try:
        return run_sink(settings, name)
    except FeedFault as error:
        raise CommandError(str(error), exit_code=EXIT_STATE) from error


def source(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source that `pks sinks` lists.")],
    data: DataOption = None,
    transport: TransportOption = None,
) -> int:
    """Run one source into a data folder until SIGTERM; `pks up` does so by itself for those that settings ask for."""
    from topology.logging import configure_logging
    from topology.sources.process import run_source
    from topology.sources.registry import SOURCE_BY_NAME

    settings = load_settings(data, transport)
    kind = SOURCE_BY_NAME.get(name)
    if kind is None:
        bad_input([f"NAME: expected one of {', '.join(SOURCE_BY_NAME)}, found {name!r:.80}"])
    if not kind.configured(settings):
        bad_input(
            [f"{name}: expected the setting that turns it on (docs/reference/settings.md), found it empty"]
        )
    configure_logging(settings)
    return run_source(settings, name)


@postgres.command()
def migrate(
    url: Annotated[
        str | None,
        typer.Option("--url", help="Address as the owner of the database; default is the setting postgres."),
    ] = None,
    to: Annotated[
        str, typer.Option("--to", help="A revision, head (the newest) or base (nothing).")
    ] = "head",
    as_json: JsonOption = False,
) -> None:
    """Bring the schemas of a database to a revision; what is there already is left alone."""
    import asyncio

    from sqlalchemy.exc import SQLAlchemyError

    from connectors.postgres.migrating import migrate as bring
    from connectors.postgres.migrating import revisions

    address = url or load_settings().postgres
    if not address.startswith("postgresql://"):
        bad_input(
            [f"--url: expected postgresql://user@host:port/database, found {address.partition('@')[0]!r:.80}"]
        )
    if to not in ("head", "base", *revisions()):
        bad_input([f"--to: expected head, base or one of {', '.join(revisions())}, found {to!r:.80}"])
    try:
        before, after = asyncio.run(bring(address, to))
    except (OSError, SQLAlchemyError) as error:
        raise CommandError(f"Postgres: expected to migrate the database, found: {error}") from error
    document = {"from": before, "to": after}
    if as_json:
        print_json(document)
    else:
        print_facts({name: value or "empty" for name, value in document.items()})


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command()(sinks)
    application.command()(sink)
    application.command()(source)
    application.add_typer(postgres, name="postgres")
