"""`pks valuations`: what positions are, or were, worth by their marks, with their Greeks."""

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import print_json, print_table, say, shorten
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

_SHOWN = ("quantity", "mark", "market_value", "unrealised_pnl")


def valuations(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what positions are worth: value, unrealised P&L, Greeks, and why where there is none.

    Of another time is what was told then, as far back as the log keeps it: values of marks up to a time (--as-of), or told
    by a point of the log (--known-at). --as-of takes a date as well (YYYY-MM-DD): its end, 24:00 UTC.
    """
    from schemas import topics
    from topology.documents.valuations import told_valuations, valuation_documents

    date = business_date(as_of)
    instant = parse_instant("--as-of", f"{date}T23:59:59.999999999Z" if date else as_of)
    point = parse_option_point("--known-at", known_at)
    settings = load_settings(data, transport)

    with opened_later(settings, ["valuation"]) as log:
        if instant is None and point is None:
            found = valuation_documents(log, settings.fx_pivot, book, instrument)
        else:
            ends = ends_at(log, point, topics.VALUATIONS)
            found, first = told_valuations(log, ends, instant, book, instrument)
            if not found:
                say(f"no values were told by then; the first that the log has are of {first or 'no time'}")
    if as_json:
        print_json({"valuations": found})
        return
    print_table(
        "Valuations",
        ("book", "instrument", *_SHOWN, "currency", "quality", "delta", "gamma", "vega", "theta", "why not"),
        (
            [
                each["book"],
                each["instrument"],
                *(shorten(each[name]) for name in _SHOWN),
                each["currency"],
                each["mark_quality"],
                *(
                    "" if each[name] is None else f"{each[name]:.6g}"
                    for name in ("delta", "gamma", "vega", "theta")
                ),
                each["reason"],
            ]
            for each in found
        ),
    )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(valuations)
