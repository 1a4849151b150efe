"""`pks book-define`, `instrument-define`, `routing-define`: reference data from files into the log."""

from collections import Counter
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import print_facts, print_json, say

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="CSV, JSON, JSON Lines or YAML; - is stdin.")
]
FormatOption = Annotated[
    str | None,
    typer.Option("--input-format", help="csv, json, jsonl or yaml, where the extension does not say."),
]


def book_define(
    file: FileArgument,
    input_format: FormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define books: entity, base currency, lot method by instrument class, fee policy, calendar, cut-off."""
    from domain.capture.business_date import time_zone_fault
    from schemas import reference, topics

    def check(book: Any) -> tuple[str, str, str] | None:
        fault = time_zone_fault(book.time_zone)
        return None if fault is None else ("time_zone", fault, book.time_zone)

    _define(
        file,
        reference.Book,
        topics.BOOKS,
        "book",
        check,
        input_format,
        load_settings(data, transport),
        as_json,
    )


def instrument_define(
    file: FileArgument,
    input_format: FormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define instruments: multiplier, inverse, currency, class, identifiers (ISIN, CUSIP, FIGI, RIC, symbols)."""
    from domain.capture.instruments import identifiers_fault
    from schemas import reference, topics

    def check(instrument: Any) -> tuple[str, str, str] | None:
        fault = identifiers_fault(instrument.identifiers)
        return None if fault is None else (fault.field, fault.expected, fault.found)

    settings = load_settings(data, transport)
    _define(
        file, reference.Instrument, topics.INSTRUMENTS, "instrument", check, input_format, settings, as_json
    )


def routing_define(
    file: FileArgument,
    input_format: FormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define routing rules: which book takes a fill that names none, by venue, account, class and strategy."""
    from schemas import reference, topics

    settings = load_settings(data, transport)
    _define(file, reference.RoutingRule, topics.ROUTING_RULES, "rule", None, input_format, settings, as_json)


def _define(
    file: str,
    kind: type,
    topic: Any,
    key: str,
    check: Any,
    input_format: str | None,
    settings: Any,
    as_json: bool,
) -> None:
    from connectors.files.definitions import read_definitions
    from connectors.files.source import open_source
    from topology.control.entry import open_entry

    unknown: Counter[str] = Counter()
    found = read_definitions(open_source(file), kind, input_format=input_format, check=check, unknown=unknown)
    for name, count in unknown.items():
        remark = f"{file}: {name!r:.80} is no field of a definition and was left out ({count} of them)"
        say(remark)
    with open_entry(settings) as entry:
        if found:
            entry.publish(topic, found, lambda definition: str(getattr(definition, key)))
    names = [str(getattr(definition, key)) for definition in found]
    if as_json:
        print_json({"defined": len(found), f"{key}s": names})
    else:
        print_facts({"defined": len(found), f"{key}s": ", ".join(names)})


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command("book-define")(book_define)
    application.command("instrument-define")(instrument_define)
    application.command("routing-define")(routing_define)
