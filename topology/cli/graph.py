"""`pks topology`: the graph of stages, topics and tables."""

from enum import StrEnum
from typing import Annotated

import typer

from topology.cli.options import JsonOption, load_settings
from topology.cli.output import console, print_json, print_table


class GraphFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    DOT = "dot"
    SVG = "svg"


def topology(
    graph_format: Annotated[
        GraphFormat, typer.Option("--format", help="How to show it.")
    ] = GraphFormat.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show the graph of stages, topics and tables, with partitions."""
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


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(topology)
