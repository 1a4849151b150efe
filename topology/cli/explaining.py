"""`pks explain`: the tree behind a figure."""

from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, console, messages, print_json, progress

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
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a figure is made of, down to lots, trades, marks and rates."""
    from topology.catching_up import caught_up
    from topology.documents.explained import FigureFault, kind_of
    from topology.documents.explained import explain as explained

    try:
        kind, _ = kind_of(figure)
    except FigureFault as fault:
        bad_input([f"FIGURE: {fault}"])
    settings = load_settings(data, transport)

    def say(line: str) -> None:
        messages().print(line, markup=False, soft_wrap=True)

    with progress() as bar:
        task = bar.add_task("records", total=None)

        def note(applied: int, whole: int) -> None:
            bar.update(task, completed=applied, total=whole)

        with caught_up(settings, list(kind.stages), say, note) as log:
            try:
                tree = explained(log, settings, figure)
            except FigureFault as fault:
                bad_input([f"FIGURE: {fault}"])
    if as_json:
        print_json({"explain": tree})
    else:
        console(_FILE_WIDTH).print(_tree(tree))


def _tree(node: dict[str, Any]) -> Tree:
    shown = Tree(_line(node))
    for child in node["children"]:
        shown.add(_tree(child))
    return shown


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
