"""`pks topology`: the graph of stages, topics and tables, and the number of their partitions."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    EXIT_STATE,
    CommandError,
    bad_input,
    console,
    messages,
    print_facts,
    print_json,
    print_table,
    progress,
)
from topology.settings import Settings, on_kafka

if TYPE_CHECKING:
    from rich.progress import Progress

    from topology.rebuilding.repartition import Moved

graph_commands = typer.Typer(invoke_without_command=True)


class GraphFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    DOT = "dot"
    SVG = "svg"


@graph_commands.callback()
def topology(
    context: typer.Context,
    graph_format: Annotated[
        GraphFormat, typer.Option("--format", help="How to show it.")
    ] = GraphFormat.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show the graph of stages, topics and tables, with partitions."""
    if context.invoked_subcommand is not None:
        return
    from topology import graph
    from topology.stages import build_stages

    settings = load_settings()
    stages = build_stages(settings)
    document = graph.graph_document(stages, settings.partitions)
    if as_json or graph_format is GraphFormat.JSON:
        print_json(document)
    elif graph_format is GraphFormat.DOT:
        console().print(graph.dot(stages), markup=False, soft_wrap=True)
    elif graph_format is GraphFormat.SVG:
        console().print(graph.svg(stages), markup=False, soft_wrap=True)
    else:
        _print_tables(document)


def _print_tables(document: dict[str, list[dict[str, object]]]) -> None:
    def listed(names: object) -> str:
        return "\n".join(str(name) for name in names) if isinstance(names, list) else str(names)

    print_table(
        "Stages",
        ("stage", "reads", "writes", "table", "changelog", "partitions"),
        (
            [
                stage["name"],
                listed(stage["inputs"]),
                listed(stage["outputs"]),
                listed(stage["tables"]),
                stage["changelog"],
                stage["partitions"],
            ]
            for stage in document["stages"]
        ),
    )
    print_table(
        "Topics",
        ("topic", "events", "key", "partitions", "kept", "NATS subjects"),
        (
            [
                topic["name"],
                listed(topic["events"]),
                topic["key"],
                topic["partitions"],
                _kept(topic),
                listed(topic["subjects"]),
            ]
            for topic in document["topics"]
        ),
    )


def _kept(topic: dict[str, object]) -> str:
    seconds = topic["retention_seconds"]
    if isinstance(seconds, int):
        return f"{seconds // 86_400} days"
    return "latest by key" if topic["compacted"] else "for ever"


@graph_commands.command()
def repartition(
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=1, max=1024, help="The new number.", show_default=False),
    ] = None,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="On Kafka: remove the topics that moves have left, for good."),
    ] = False,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the log to another number of partitions; print the book hash before and after, which must be equal.

    No worker may run. Killed at any moment, the old state stands, and it is run again.
    """
    settings = load_settings(data, transport)
    if partitions is None and not drop_old:
        bad_input(["--partitions: expected the new number, found none"])
    if drop_old and not on_kafka(settings):
        bad_input(["--drop-old: expected kafka://host:port: a data folder keeps no old topics"])
    document: dict[str, Any] = {}
    if partitions is not None:
        moved = _repartition(settings, partitions)
        document |= {
            "partitions_before": moved.partitions_before,
            "partitions": moved.partitions,
            "book_hash_before": moved.book_hash_before,
            "book_hash": moved.book_hash,
            "positions": moved.positions,
            "records": moved.records,
            "seconds": round(moved.seconds, 3),
        }
    if drop_old:
        document["dropped"] = _drop_old(settings)
    if as_json:
        print_json(document)
    else:
        print_facts({**document, **({"dropped": ", ".join(document["dropped"])} if drop_old else {})})
    if partitions is not None:
        messages().print(f"set PKS_PARTITIONS={partitions}, or `partitions` of the settings", soft_wrap=True)


def _repartition(settings: Settings, partitions: int) -> "Moved":
    from topology.rebuilding.rebuild import RebuildRefused
    from topology.runtime import PartitionStopped

    where = settings.transport if on_kafka(settings) else str(settings.data)
    try:
        with progress() as bar:
            if on_kafka(settings):
                return _move_cluster(settings, partitions, bar)
            return _move_folder(settings, partitions, bar)
    except (RebuildRefused, PartitionStopped) as refused:
        raise CommandError(f"{where}: {refused}", exit_code=EXIT_STATE) from refused


def _move_folder(settings: Settings, partitions: int, bar: "Progress") -> "Moved":
    from topology.rebuilding.rebuild import open_to_rebuild
    from topology.rebuilding.repartition import records_to_move, repartition
    from topology.stages import build_all

    log = open_to_rebuild(settings.data, settings.sync)
    try:
        task = bar.add_task("moving", total=records_to_move(log))
        return repartition(
            log, build_all(settings), settings, partitions, lambda records: bar.advance(task, records)
        )
    finally:
        log.close()


def _move_cluster(settings: Settings, partitions: int, bar: "Progress") -> "Moved":
    from topology.rebuilding.cluster_repartition import repartition_cluster

    task = bar.add_task("moving", total=None)
    return repartition_cluster(settings, partitions, lambda records: bar.advance(task, records))


def _drop_old(settings: Settings) -> list[str]:
    from topology.rebuilding.cluster_repartition import drop_old

    return drop_old(settings)


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.add_typer(graph_commands, name="topology")
