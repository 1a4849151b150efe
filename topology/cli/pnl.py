"""`pks pnl`: what positions made in their books' day, by cause."""

from pathlib import Path
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    EXIT_FAILURE,
    CommandError,
    bad_input,
    print_json,
    print_table,
    say,
    say_what_there_is,
    shorten,
)
from topology.cli.reading_options import (
    AsOfOption,
    BookOption,
    InstrumentOption,
    KnownAtOption,
    business_date,
    ends_at,
    opened_later,
    parse_instant,
    parse_option_point,
)

_NAMED_MAX = 5
_SHOWN = ("quantity", "realised", "unrealised", "fees", "total", "positional", "trading", "book_total")


def pnl(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    days: Annotated[bool, typer.Option("--days", help="The closed days that are kept as well.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the P&L of the day by cause over time into this file (.png, .svg, .pdf).",
            show_default=False,
        ),
    ] = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the P&L of each position's day: realised, unrealised, positional, trading, and the causes.

    --as-of takes a business date as well (YYYY-MM-DD): that day whole, restated by what came late. Of a time, what was told of
    the running day by then is shown; of --known-at, what was known at that point.
    """
    from schemas import topics
    from topology.documents.pnl import (
        day_documents,
        lumped_dates,
        pnl_documents,
        positions_waited_for,
        told_documents,
        told_events,
    )

    date = business_date(as_of)
    instant = None if date else parse_instant("--as-of", as_of)
    point = parse_option_point("--known-at", known_at)
    if days and (as_of is not None or point is not None):
        bad_input(["--days: expected without --as-of and --known-at, which show one moment"])
    settings = load_settings(data, transport)

    with opened_later(settings, ["pnl"]) as log:
        ends = ends_at(log, point, topics.PNL)
        if date:
            found = day_documents(log, date, ends, book, instrument)
        elif instant is None and point is None:
            found = pnl_documents(log, book, instrument, days=days)
            _say_what_is_not_closed(lumped_dates(log, book))
        else:
            found = told_documents(log, ends, instant, book, instrument)
        if not found and (book is not None or instrument is not None):
            for name, asked in (("book", book), ("instrument", instrument)):
                there = {each[name] for each in pnl_documents(log, None, None, days=False)}
                if asked is not None and asked not in there:
                    say_what_there_is(f"{name} {asked!r:.80}", there)
        waited_for = positions_waited_for(log)
        if waited_for:
            names = ", ".join(waited_for[:_NAMED_MAX]) + (", ..." if len(waited_for) > _NAMED_MAX else "")
            say(f"movements of cash name positions without a trade, and are in no P&L: {names}")
        told = [] if plot is None else list(told_events(log, ends, book, instrument))
    if plot is not None:
        _draw(plot, told, book, instrument)
    if as_json:
        print_json({"pnl": found})
        return
    _print(found)


def _say_what_is_not_closed(dates: dict[str, list[str]]) -> None:
    """Without a clock no day ends: the running day then has what was booked on several."""
    if not dates:
        return
    named = [f"{book} {of_book[0]} to {of_book[-1]}" for book, of_book in dates.items()]
    more = ", ..." if len(named) > _NAMED_MAX else ""
    say(
        f"days not closed, whose bookings are all in the running day: {', '.join(named[:_NAMED_MAX])}{more}: "
        f"pks day-close --date {max(of_book[-2] for of_book in dates.values())}"
    )


def _draw(path: Path, told: list[Any], book: str | None, instrument: str | None) -> None:
    from topology.documents.pnl import attribution_series
    from topology.pictures import NoPictures, draw_attribution

    of = " ".join(filter(None, (book, instrument))) or "all positions"
    try:
        draw_attribution(path, f"P&L of the day by cause, net of fees: {of}", attribution_series(told))
    except NoPictures as missing:
        raise CommandError(f"--plot: {missing}", exit_code=EXIT_FAILURE) from missing
    except (OSError, ValueError) as fault:
        bad_input([f"--plot: expected a file of a kind that can be drawn, found {str(path)!r:.80}: {fault}"])
    say(f"drawn: {path}")


def _print(found: list[dict[str, Any]]) -> None:
    from schemas.pnl import BUCKETS

    rows = [each for one in found for each in (*one.get("days", ()), one)]
    print_table(
        "P&L of the day, net of fees",
        ("book", "instrument", "day", *_SHOWN, "currency", "why not"),
        (
            [
                each["book"],
                each["instrument"],
                each["day"]["business_date"] or "-",
                *(shorten(each[name], 4) for name in _SHOWN),
                each["currency"],
                each["reason"],
            ]
            for each in rows
        ),
    )
    used = [name for name in BUCKETS if any((each["buckets"] or {}).get(name, "0") != "0" for each in rows)]
    if used:
        print_table(
            "By cause",
            ("book", "instrument", "day", *used),
            (
                [
                    each["book"],
                    each["instrument"],
                    each["day"]["business_date"] or "-",
                    *(shorten(each["buckets"][name], 4) for name in used),
                ]
                for each in rows
                if each["buckets"] is not None
            ),
        )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(pnl)
