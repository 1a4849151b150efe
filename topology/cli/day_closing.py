"""`pks day-close`: the business days of books closed by hand, where no clock does it."""

import time
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json, print_table, say


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
    from agents import pnl
    from connectors.embedded.database import database_exists
    from schemas import topics
    from topology.catching_up import caught_up
    from topology.control.entry import CHUNK_EVENTS, open_entry
    from topology.day_closing import marks, read_book_days
    from topology.settings import on_kafka

    _check_date(through)
    settings = load_settings(data, transport)
    if on_kafka(settings) or database_exists(settings.data):
        # What is appended and not yet captured belongs before the close.
        with open_entry(settings) as entry:
            entry.gate.settle()
    # Marks come another way than bookings: those that are known now are of the day, and later ones are not.
    with caught_up(settings, [pnl.NAME], say) as log:
        known = read_book_days(log)
    names = sorted(known) if book is None else list(dict.fromkeys(book))
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
                f"--date: expected a business date that is over, found {through}: {open_day} of {name} is not"
            )
    if faults:
        bad_input(faults)
    told = marks(closing)
    if told:
        with open_entry(settings) as entry:
            for start in range(0, len(told), CHUNK_EVENTS):
                entry.publish(topics.FILLS, told[start : start + CHUNK_EVENTS], topics.fill_key)
            entry.gate.settle()
        with caught_up(settings, [pnl.NAME], say):
            pass
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


def _check_date(text: str) -> None:
    from datetime import date

    try:
        correct = date.fromisoformat(text).isoformat() == text
    except ValueError:
        correct = False
    if not correct:
        bad_input([f"--date: expected YYYY-MM-DD, found {text!r:.80}"])


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("day-close")(day_close)
