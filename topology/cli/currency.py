"""`pks ocp-live`, `pks ocp-define`: the open currency position of each entity, and how it is measured."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    bad_input,
    print_facts,
    print_json,
    print_table,
    say,
    shorten,
)
from topology.cli.reading_options import AsOfOption, BookOption, KnownAtOption, opened_if_made, opened_later

if TYPE_CHECKING:
    from pathlib import Path

    from topology.settings import Settings

EntityOption = Annotated[str | None, typer.Option("--entity", help="This entity only.", show_default=False)]


def ocp_live(
    entity: EntityOption = None,
    book: BookOption = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the open currency position of each entity: exposures, rates with date and quality, limits, Basel shorthand.

    What comes from balances stands by itself; what positions are worth at the newest marks stands beside it. Of another time are
    the balances; rates and limits are those of now.
    """
    from schemas.numbers import exact_arithmetic
    from topology.documents.currency_positions import currency_position_documents, paid_ahead, values_of
    from topology.documents.valuations import valuation_documents
    from topology.importing.movements import read_places
    from topology.money.rules import latest_rules

    settings = load_settings(data, transport)
    balances = None
    if as_of is not None or known_at is not None:
        balances = _balances_of(data, transport, as_of, known_at)

    stages = ["currency_position"] if balances is not None else ["currency_position", "valuation"]
    with opened_later(settings, stages) as log:
        if book is not None and entity is None:
            entity = read_places(log).entity_of(book)
        values: Any = None
        unvalued: list[str] = []
        if balances is None:
            with exact_arithmetic():
                paid = paid_ahead(log, latest_rules(log)[0])
            values, unvalued = values_of(valuation_documents(log, settings.fx_pivot), paid)
        found = currency_position_documents(log, settings.reporting_currency, values, entity, balances)
    if as_json:
        print_json({"ocp-live": found, "unvalued": unvalued})
        return
    _print(found)
    for line in unvalued:
        say(f"without a value: {line}")


def _balances_of(
    data: "Path | None", transport: str | None, as_of: str | None, known_at: str | None
) -> list[Any]:
    """The balances of cash of another time."""
    from agents.cash import scan_balances
    from domain.currency_exposure import Held
    from topology.cli.money import opened_money

    with opened_money(data, transport, as_of, known_at) as (_, past):
        assert past is not None, "a time is named"
        for _ in past.entries():
            pass
        return [
            ((entity, currency, account), Held(balance.total, balance.settled))
            for (entity, account, currency), balance in scan_balances(past.cash_table)
        ]


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
            if "with_market_value" in each
        ),
    )
    for each in found:
        if each["unrated"]:
            lacking = each["reason"] or (
                f"in no sum, without a rate: {', '.join(each['unrated'])}: pks import FILE --format ecb-rates"
            )
            say(f"{each['entity'] or '-'}: {lacking}")
        for warning in each["warnings"]:
            say(f"{each['entity'] or '-'}: {warning}")


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


def cash_statement(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Flex statements in XML; gzip or zip too.")
    ],
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a broker's statement of cash against the ledger: expected, found, and each break with what explains it.

    The fills and the cash of the statement are imported first (pks import FILE --format ibkr-flex --opening-cash).
    """
    from connectors.venues.ibkr_cash import read_statement_cash
    from topology.catching_up import caught_up
    from topology.documents.statement_cash import statement_document

    statement = read_statement_cash(files)
    settings = load_settings(data, transport)
    with caught_up(settings, ["ledger"], say) as log:
        found = statement_document(log, statement)
    if as_json:
        print_json({"cash-statement": found})
        return
    names = ("account", "currency", "date", "expected", "found", "break")
    rows = ([each[name] if name in names[:3] else shorten(each[name], 9) for name in names] for each in found)
    print_table("Cash of the statement", names, rows)
    for each in found:
        if each["break"] != "0":
            why = each["explanation"] or "not explained"
            say(f"{each['account']} {each['currency']}: {why}")
    _say_what_rounds(found, settings)


_STATEMENT_DECIMALS = 9
"""Decimals of amounts in Flex statements: what is stated of a balance may have fewer than what was paid."""


def _say_what_rounds(found: list[dict[str, Any]], settings: "Settings") -> None:
    """Name the posting rules where a break is finer than the minor unit in which the ledger holds a currency."""
    from topology.money.rules import latest_rules

    with opened_if_made(settings) as log:
        rules = latest_rules(log)[0]
    decimals = {
        each["currency"]: len(each["break"].partition(".")[2]) for each in found if each["break"] != "0"
    }
    if any(found > rules.scale(currency) for currency, found in decimals.items()):
        # One that breaks by whole minor units may do so by what was rounded before.
        scales = ", ".join(
            f"{currency}: {wanted}"
            for currency, found in sorted(decimals.items())
            if (wanted := max(found, _STATEMENT_DECIMALS)) > rules.scale(currency)
        )
        say(
            f"the statement has decimals below a minor unit, which the ledger rounds: add {scales} to the scales that "
            "`pks posting-rules` prints; defined (pks posting-rules-define) in a new folder before the statement is imported "
            "there, they keep them"
        )


def fx_lots(
    rates: Annotated[
        str, typer.Option("--rates", metavar="FILE", help="Reference rates (eurofxref-hist.csv).")
    ],
    currency: Annotated[str, typer.Option("--currency", help="The functional currency.")],
    book: BookOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split realised P&L in foreign currencies into price and FX parts, exact; with the lots of cash in them."""
    from connectors.files.ecb_rates import read_ecb_rates
    from connectors.files.source import open_source
    from schemas.units import currency_code_fault
    from topology.catching_up import caught_up
    from topology.documents.fx_lots import DailyRates, fx_lots_document, total

    fault = currency_code_fault(currency)
    if fault is not None:
        bad_input([f"--currency: expected {fault}, found {currency!r:.80}"])
    history = read_ecb_rates(open_source(rates))
    settings = load_settings(data, transport)
    with caught_up(settings, ["ledger"], say) as log:
        document = fx_lots_document(log, DailyRates(history.days, currency), currency, book)
    document["total"] = total(document)
    if as_json:
        print_json(document)
        return
    names = ("realised_pnl", "price_part", "fx_part", "functional_pnl", "functional_cost")
    print_table(
        f"Realised P&L in {currency}",
        ("book", "instrument", "in", "quantity", *names),
        (
            [
                each["book"],
                each["instrument"],
                each["foreign_currency"],
                shorten(each["quantity"]),
                *(shorten(each[name], 4) for name in names),
            ]
            for each in document["instruments"]
        ),
    )
    print_table(
        f"Foreign cash in {currency}",
        ("account", "in", "balance", "fx part", "functional cost", "lots"),
        (
            [
                each["account"] or each["entity"] or "-",
                each["foreign_currency"],
                shorten(each["balance"]),
                shorten(each["fx_part"], 4),
                shorten(each["functional_cost"], 4),
                len(each["lots"]),
            ]
            for each in document["cash"]
        ),
    )
    print_facts({name: shorten(value, 4) for name, value in document["total"].items()})
    for reason in document["missing"]:
        say(f"missing: {reason}")


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command("ocp-live")(ocp_live)
    application.command("ocp-define")(ocp_define)
    application.command("cash-statement")(cash_statement)
    application.command("fx-lots")(fx_lots)
