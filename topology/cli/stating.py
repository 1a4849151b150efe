"""`pks exchange-positions`: what exchanges, clearers and brokers state of our positions, from files into the log."""

from typing import Annotated

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json


def exchange_positions(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON or JSON Lines; - is stdin.")],
    venue: Annotated[str | None, typer.Option(help="The venue of rows that name none.")] = None,
    account: Annotated[str | None, typer.Option(help="The account of rows that name none.")] = None,
    input_format: Annotated[
        str | None,
        typer.Option("--input-format", help="csv, json or jsonl, where the extension does not say."),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter positions as an exchange, a clearer or a broker states them; the books do not change.

    They are compared with nothing here: they stand in the topic pd.position.v1, and in QuestDB.
    """
    from connectors.files.reported_positions import read_reported_positions
    from connectors.files.source import open_source
    from schemas import topics
    from schemas.units import identifier_fault
    from topology.control.entry import open_entry

    expected = None if venue is None else identifier_fault(venue)
    if expected is not None:
        bad_input([f"--venue: expected {expected}, found {venue!r:.80}"])
    found = read_reported_positions(
        open_source(file), venue=venue, account=account, input_format=input_format
    )
    with open_entry(load_settings(data, transport)) as entry:
        if found:
            entry.publish(topics.REPORTED_POSITIONS, found, topics.REPORTED_POSITIONS.key_of)
    venues = sorted({stated.venue for stated in found})
    if as_json:
        print_json({"stated": len(found), "venues": venues})
    else:
        print_facts({"stated": len(found), "venues": ", ".join(venues)})


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("exchange-positions")(exchange_positions)
