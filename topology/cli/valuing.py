"""`pks valuations`: what positions are worth at the newest marks, with their Greeks."""

from typing import Annotated

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_json, print_table, shorten
from topology.cli.reading_options import BookOption, InstrumentOption, opened_later

_REFUSED = "Always refused: the log keeps the newest marks only; pks pnl has what was told at another time."
AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="TIME", help=_REFUSED, show_default=False)]
KnownAtOption = Annotated[
    str | None, typer.Option("--known-at", metavar="TIME|OFFSET", help=_REFUSED, show_default=False)
]

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
    """Show what positions are worth now: value, unrealised P&L, Greeks, and why where there is none."""
    from topology.documents.valuations import valuation_documents

    for option, given in (("--as-of", as_of), ("--known-at", known_at)):
        if given is not None:
            bad_input(
                [
                    f"{option}: expected none, found {given!r:.80}: values of another time hang on the marks of then; "
                    "pks positions has the positions of then, the topic bo.position.valuated.v1 what was told of them"
                ]
            )
    settings = load_settings(data, transport)

    with opened_later(settings, ["valuation"]) as log:
        found = valuation_documents(log, settings.fx_pivot, book, instrument)
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
