"""`pks ocp-live`, `pks ocp-define`: the open currency position of each entity, and how it is measured."""

from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import messages, print_facts, print_json, print_table, progress, shorten

EntityOption = Annotated[str | None, typer.Option("--entity", help="This entity only.", show_default=False)]


def ocp_live(
    entity: EntityOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the open currency position of each entity: exposures, rates with date and quality, limits, Basel shorthand.

    What comes from balances stands by itself; what positions are worth at the newest marks stands beside it.
    """
    from topology.catching_up import caught_up
    from topology.documents.currency_positions import currency_position_documents, values_of
    from topology.documents.valuations import valuation_documents

    settings = load_settings(data, transport)

    def say(line: str) -> None:
        messages().print(line, markup=False, soft_wrap=True)

    with progress() as bar:
        task = bar.add_task("records", total=None)

        def note(applied: int, whole: int) -> None:
            bar.update(task, completed=applied, total=whole)

        with caught_up(settings, ["currency_position", "valuation"], say, note) as log:
            values, unvalued = values_of(valuation_documents(log, settings.fx_pivot))
            found = currency_position_documents(log, settings.reporting_currency, values, entity)
    if as_json:
        print_json({"ocp-live": found, "unvalued": unvalued})
        return
    _print(found)
    for line in unvalued:
        messages().print(f"without a value: {line}", markup=False, soft_wrap=True)


def _print(found: list[dict[str, Any]]) -> None:
    names = ("sum_long", "sum_short", "net_open_position", "capital_charge", "settled_net_open_position")
    print_table(
        "Open currency position",
        ("entity", "in", *names),
        (
            [each["entity"] or "-", each["reporting_currency"], *(shorten(each[name]) for name in names)]
            for each in found
        ),
    )
    print_table(
        "Exposures",
        ("entity", "currency", "with pending", "without", "reported", "rate", "of", "quality"),
        (
            [
                each["entity"] or "-",
                one["currency"],
                shorten(one["with_pending"]),
                shorten(one["without_pending"]),
                shorten(one["reported_with_pending"]),
                shorten(one["rate"]),
                one["rate_time"] or "",
                one["rate_quality"] or "no rate",
            ]
            for each in found
            for one in each["exposures"]
        ),
    )
    print_table(
        "With what positions are worth",
        ("entity", "in", *names[:4]),
        (
            [
                each["entity"] or "-",
                each["reporting_currency"],
                *(shorten(each["with_market_value"][name]) for name in names[:4]),
            ]
            for each in found
        ),
    )
    for each in found:
        for warning in each["warnings"]:
            messages().print(f"{each['entity'] or '-'}: {warning}", markup=False, soft_wrap=True)


def ocp_define(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON, JSON Lines or YAML; - is stdin.")],
    input_format: Annotated[
        str | None,
        typer.Option("--input-format", help="csv, json, jsonl or yaml, where the extension does not say."),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define how open currency positions are measured: reporting currency, capital rate and limits of an entity (or *)."""
    from connectors.files.definitions import read_definitions
    from connectors.files.source import open_source
    from schemas import currency_position, topics
    from topology.control.entry import open_entry

    found = read_definitions(open_source(file), currency_position.CurrencyPolicy, input_format=input_format)
    with open_entry(load_settings(data, transport)) as entry:
        if found:
            entry.publish(topics.CURRENCY_POLICIES, found, topics.CURRENCY_POLICIES.key_of)
    names = [policy.entity for policy in found]
    if as_json:
        print_json({"defined": len(found), "entities": names})
    else:
        print_facts({"defined": len(found), "entities": ", ".join(names)})


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command("ocp-live")(ocp_live)
    application.command("ocp-define")(ocp_define)
