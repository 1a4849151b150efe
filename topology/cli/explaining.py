"""`pks explain`: the tree behind a figure."""

from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, console, print_json
from topology.cli.reading_options import opened_later

SHOWN_MAX = 10
"""Most children of a figure that are shown to people, who did not ask for all."""

_FILE_WIDTH = 2_000
"""Columns of a tree that goes to a file or a pipe: a node is a line."""


def explain(
    figure: Annotated[
        str,
        typer.Argument(
            metavar="FIGURE",
            help="KIND:PLACE, as pnl:BOOK/INSTRUMENT, pnl:BOOK, position:BOOK/INSTRUMENT, realised:BOOK/INSTRUMENT, "
            "unrealised:BOOK/INSTRUMENT, mark:INSTRUMENT, trade:ID, cash:ENTITY/ACCOUNT/CURRENCY, ocp:ENTITY.",
            show_default=False,
        ),
    ],
    whole: Annotated[
        bool,
        typer.Option("--all", help=f"Every child of a figure, not the {SHOWN_MAX} largest of many only."),
    ] = False,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a figure is made of, down to lots, trades, marks and rates."""
    from topology.documents.explained import FigureFault, kind_of
    from topology.documents.explained import explain as explained

    try:
        kind, _ = kind_of(figure)
    except FigureFault as fault:
        bad_input([f"FIGURE: {fault}"])
    settings = load_settings(data, transport)

    with opened_later(settings, list(kind.stages)) as log:
        try:
            tree = explained(log, settings, figure)
        except FigureFault as fault:
            bad_input([f"FIGURE: {fault}"])
    if as_json:
        print_json({"explain": tree})
    else:
        console(_FILE_WIDTH).print(_tree(tree, whole))


def _tree(node: dict[str, Any], whole: bool) -> Tree:
    shown = Tree(_line(node))
    children = node["children"]
    kept = children if whole or len(children) <= SHOWN_MAX else _largest(children)
    for child in kept:
        shown.add(_tree(child, whole))
    if len(kept) < len(children):
        shown.add(Text(_left_out(children, len(kept)), style="italic"))
    return shown


def _left_out(children: list[dict[str, Any]], shown: int) -> str:
    """How many of the things that a figure is made of are not shown; one node may stand for many of them."""
    together = sum(child.get("stands_for", 0) for child in children)
    more = sum(child.get("stands_for", 1) for child in children) - shown
    summed = f", {together:,} of them as their sum" if together else ""
    return f"{more:,} more: --all or --json shows them{summed}"


def _largest(children: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest by their absolute value, in the order in which they stood."""

    def size(child: dict[str, Any]) -> Decimal:
        return abs(Decimal(child["value"])) if child["value"] is not None else Decimal(0)

    single = [place for place, child in enumerate(children) if "stands_for" not in child]
    places = sorted(single, key=lambda place: size(children[place]), reverse=True)[:SHOWN_MAX]
    return [children[place] for place in sorted(places)]


def _line(node: dict[str, Any]) -> Text:
    value = "-" if node["value"] is None else node["value"]
    line = Text(f"{node['figure']}: ")
    line.append(f"{value} {node['unit']}".rstrip(), style="bold")
    if node["how"]:
        line.append(f"  ({node['how']})", style="dim")
    return line


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(explain)
