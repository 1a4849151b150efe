"""`pks day-close`: the business days of books closed by hand, where no clock does it."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json, print_table, say
from topology.cli.reading_options import parse_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from topology.day_closing import BookDays
    from topology.log_reading import WholeLog
    from topology.settings import Settings


def day_close(
    through: Annotated[
        str,
        typer.Option(
            "--date",
            metavar="YYYY-MM-DD",
            help="The last business date to close; those before it that are open, too.",
        ),
    ],
    book: Annotated[
        list[str] | None,
        typer.Option(
            "--book", help="This book only (repeat it); else every one with bookings.", show_default=False
        ),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close the business days of books up to a date: pending cash settles, and P&L goes on to the next day."""
    from connectors.embedded.database import database_exists
    from topology.control.entry import open_entry
    from topology.day_closing import marks, read_book_days
    from topology.settings import on_kafka

    parse_day("--date", through)
    settings = load_settings(data, transport)
    if on_kafka(settings) or database_exists(settings.data):
        # What is appended and not yet captured belongs before the close.
        with open_entry(settings) as entry:
            entry.gate.settle()
    # Marks come another way than bookings: those that are known now are of the day, and later ones are not.
    with _caught_up(settings) as log:
        known = read_book_days(log)
    closing = _to_close(known, sorted(known) if book is None else list(dict.fromkeys(book)), through)
    told = marks(closing)
    if told:
        _tell(settings, told)
    books: list[dict[str, Any]] = [
        {"book": name, "first": ended[0][0], "last": ended[-1][0], "days": len(ended)}
        for name, ended in closing.items()
        if ended
    ]
    if as_json:
        print_json({"through": through, "days_closed": len(told), "books": books})
    elif books:
        columns = ("book", "first", "last", "days")
        print_table("Days closed", columns, ([str(each[name]) for name in columns] for each in books))
    else:
        print_facts({"days closed": "none: they are closed already, or nothing was booked by then"})


def _caught_up(settings: "Settings") -> "AbstractContextManager[WholeLog]":
    from agents import pnl
    from topology.catching_up import caught_up

    return caught_up(settings, [pnl.NAME], say)


def _to_close(
    known: "Mapping[str, BookDays]", names: "Sequence[str]", through: str
) -> dict[str, list[tuple[str, int]]]:
    """The days of books that are to be closed, with their ends; ends the command where a book or a day cannot be."""
    now = time.time_ns()
    faults, closing = [], {}
    for name in names:
        if name not in known:
            faults.append(
                f"--book: expected a book for which something was booked (pks trades), found {name!r:.80}"
            )
            continue
        closing[name], open_day = known[name].to_close(through, now)
        if open_day:
            faults.append(
                f"--date: expected a business date that is over, found {through}: already {open_day} of {name} is not over yet"
            )
    if faults:
        bad_input(faults)
    return closing


def _tell(settings: "Settings", told: "Sequence[Any]") -> None:
    """Let capture tell the days, and bring what hangs on them to them."""
    from schemas import topics
    from topology.control.entry import CHUNK_EVENTS, open_entry

    with open_entry(settings) as entry:
        for start in range(0, len(told), CHUNK_EVENTS):
            entry.publish(topics.FILLS, told[start : start + CHUNK_EVENTS], topics.fill_key)
        entry.gate.settle()
    with _caught_up(settings):
        pass


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("day-close")(day_close)
