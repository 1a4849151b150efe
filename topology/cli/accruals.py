"""`pks accruals`: what accrues on what, by which rates, and what a run of a day books of it."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json, print_table, say
from topology.cli.reading_options import opened_if_made, parse_day

if TYPE_CHECKING:
    from decimal import Decimal

    from topology.accruals.running import Run

accruals = typer.Typer(
    no_args_is_help=True, help="Coupons, funding, interest: their terms and rates, and what they come to."
)


class RatesFormat(StrEnum):
    """How a file of rates is written."""

    ROWS = "rows"
    HYPERLIQUID = "hyperliquid"


class PaymentsFormat(StrEnum):
    """How a file of funding payments is written."""

    HYPERLIQUID = "hyperliquid"


InputFormatOption = Annotated[
    str | None,
    typer.Option("--input-format", help="csv, json, jsonl or yaml, where the extension does not say."),
]


@accruals.command("define")
def define(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON, JSON Lines or YAML; - is stdin.")],
    input_format: InputFormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define what accrues: coupons of bonds, funding of perpetuals, fees for what is short, interest on cash."""
    from connectors.files.accrual_terms import read_accrual_terms
    from connectors.files.source import open_source
    from schemas import topics
    from schemas.accruals import terms_key
    from topology.accruals.defining import check_terms, make_periods
    from topology.control.entry import open_entry

    found = read_accrual_terms(open_source(file), make_periods, check_terms, input_format=input_format)
    with open_entry(load_settings(data, transport)) as entry:
        if found:
            entry.publish(topics.ACCRUAL_TERMS, found, terms_key)
    keys = [terms_key(terms) for terms in found]
    if as_json:
        print_json({"defined": len(found), "terms": keys})
    else:
        print_facts({"defined": len(found), "terms": ", ".join(keys)})


@accruals.command("rates")
def rates(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Fixings: rows, or a venue's own answer; - is stdin.")
    ],
    file_format: Annotated[
        RatesFormat, typer.Option("--format", help="rows of PKS, or Hyperliquid's fundingHistory.")
    ] = RatesFormat.ROWS,
    input_format: InputFormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter rates as they were fixed; one of the same name and time again corrects it."""
    from connectors.files.accrual_terms import read_fixings
    from connectors.files.hyperliquid_funding import read_funding_rates
    from connectors.files.source import open_source
    from schemas import topics
    from schemas.accruals import rate_key
    from topology.control.entry import open_entry

    source = open_source(file)
    if file_format is RatesFormat.HYPERLIQUID:
        found = read_funding_rates(source)
    else:
        found = read_fixings(source, input_format=input_format)
    with open_entry(load_settings(data, transport)) as entry:
        if found:
            entry.publish(topics.RATES, found, rate_key)
    names = sorted({fixed.rate for fixed in found})
    if as_json:
        print_json({"fixed": len(found), "rates": names})
    else:
        print_facts({"fixed": len(found), "rates": ", ".join(names)})


@accruals.command("payments")
def payments(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A venue's answer; - is stdin.")],
    file_format: Annotated[
        PaymentsFormat, typer.Option("--format", help="Hyperliquid's userFunding.")
    ] = PaymentsFormat.HYPERLIQUID,
    account: Annotated[str, typer.Option(help="The account that was paid.")] = "",
    book: Annotated[str, typer.Option(help="The book whose entity has it.")] = "",
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book funding payments as a venue states them, each once; for an account whose funding no run reckons."""
    from connectors.files.hyperliquid_funding import read_funding_payments
    from connectors.files.source import open_source
    from connectors.venues.decoding import DecodeOptions
    from topology.control.entry import open_entry
    from topology.importing.movements import enter, placed, read_places

    assert file_format is PaymentsFormat.HYPERLIQUID, "the only one"
    found = read_funding_payments(open_source(file), account)
    settings = load_settings(data, transport)
    with opened_if_made(settings) as log:
        movements = list(placed(found, DecodeOptions(book=book), read_places(log)))
    with open_entry(settings) as entry:
        enter(entry, movements)
    amounts = _sums((each.currency, each.amount) for each in movements)
    if as_json:
        print_json({"movements": len(movements), "amounts": amounts})
    else:
        print_facts({"movements": len(movements), **amounts})


@accruals.command("run")
def run(
    day: Annotated[str, typer.Option("--date", metavar="DATE", help="Up to and including this day.")],
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book everything that accrued up to a day and was not booked; what was booked with another rate is corrected.

    Again, it books nothing; after runs that were missed, it books their days.
    """
    from topology.accruals.running import run_accruals

    until = parse_day("--date", day)
    done = run_accruals(load_settings(data, transport), until, say)
    if done.nothing_defined:
        say(
            "no terms are defined, so nothing accrues: pks accruals define FILE, then rates (docs/concepts/accruals.md)"
        )
    _report(done, as_json)


def _report(done: "Run", as_json: bool) -> None:
    by_kind: dict[str, list[Any]] = {}
    for booking in done.booked:
        by_kind.setdefault(booking.accrued.kind.value, []).append(booking)
    missing: dict[str, list[str]] = {}
    for hole in done.holes:
        missing.setdefault(hole.reason, []).append(hole.at)
    if as_json:
        print_json(_document(done, by_kind, missing))
    else:
        _print(done, by_kind, missing)


def _document(done: "Run", by_kind: dict[str, list[Any]], missing: dict[str, list[str]]) -> dict[str, Any]:
    from schemas.numbers import plain

    return {
        "booked": len(done.booked),
        "reversed": sum(1 for booking in done.booked if booking.reverses),
        "by_kind": {
            kind: {
                "movements": len(found),
                "amounts": _sums((each.accrued.currency, each.accrued.amount) for each in found),
            }
            for kind, found in sorted(by_kind.items())
        },
        "missing": [
            {"reason": reason, "count": len(places), "first": places[0], "last": places[-1]}
            for reason, places in missing.items()
        ],
        "movements": [
            {
                "movement_id": each.movement_id,
                "kind": each.accrued.kind.value,
                "date": each.accrued.day.isoformat(),
                "amount": plain(each.accrued.amount),
                "currency": each.accrued.currency,
                "book": each.accrued.book,
                "instrument": each.accrued.instrument,
                "account": each.accrued.account,
                "reverses": each.reverses,
            }
            for each in done.booked
        ],
        "redemptions": [
            {
                "trade_id": each.trade_id,
                "action": each.action.value,
                "original_trade_id": each.original_trade_id,
                "date": each.redeemed.day.isoformat(),
                "quantity": plain(each.redeemed.quantity),
                "price": plain(each.redeemed.price),
                "book": each.redeemed.holding.book,
                "instrument": each.redeemed.holding.instrument,
                "account": each.redeemed.holding.account,
            }
            for each in done.redeemed
        ],
    }


def _print(done: "Run", by_kind: dict[str, list[Any]], missing: dict[str, list[str]]) -> None:
    from schemas.numbers import plain

    print_table(
        "Booked",
        ("kind", "movements", "reversed", "amount", "currency"),
        (
            [kind, len(found), sum(1 for each in found if each.reverses), amount, currency]
            for kind, found in sorted(by_kind.items())
            for currency, amount in _sums(
                (each.accrued.currency, each.accrued.amount) for each in found
            ).items()
        ),
    )
    if done.redeemed:
        print_table(
            "Redeemed",
            ("book", "instrument", "matured", "quantity", "price", "trade"),
            (
                [
                    each.redeemed.holding.book,
                    each.redeemed.holding.instrument,
                    each.redeemed.day,
                    plain(each.redeemed.quantity),
                    plain(each.redeemed.price),
                    each.action.value,
                ]
                for each in done.redeemed
            ),
        )
    for reason, places in missing.items():
        where = (
            places[0] if len(places) == 1 else f"{len(places):,} times, first {places[0]}, last {places[-1]}"
        )
        say(f"missing: {reason} ({where})")


def _sums(amounts: Any) -> dict[str, str]:
    from schemas.numbers import ZERO, exact_arithmetic, plain

    found: dict[str, Any] = {}
    with exact_arithmetic():
        for currency, amount in amounts:
            found[currency] = found.get(currency, ZERO) + amount
    return {currency: plain(amount) for currency, amount in sorted(found.items())}


@accruals.command("bonds")
def bonds(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="An answer of the Moscow Exchange's ISS; - is stdin.")
    ],
    rate: Annotated[
        list[str] | None,
        typer.Option("--rate", metavar="CURRENCY=RATE", help="Roubles for one; else what most bonds imply."),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Every bond that is not reproduced, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Reproduce the accrued interest that an exchange states from the coupons, and say why where that is not possible."""
    from connectors.files.moex_bonds import read_moex_bonds
    from connectors.files.source import open_source
    from topology.accruals.bonds import bonds_document

    document = bonds_document(read_moex_bonds(open_source(file)), _rates(rate or []), each=each)
    if as_json:
        print_json(document)
        return
    print_facts({"bonds": document["bonds"], "reproduced": document["reproduced"]})
    for title, name in (("Reproduced", "by_convention"), ("Not reproduced", "not_reproduced")):
        print_table(title, ("how" if name == "by_convention" else "why", "bonds"), document[name].items())
    rows = [
        [currency, found["rate"], found["bonds"]] for currency, found in document["implied_rates"].items()
    ]
    print_table("Rates that the bonds imply", ("currency", "rate", "by bonds"), rows)
    if each:
        columns = ("instrument", "board", "stated", "nearest", "reason")
        print_table("Others", columns, ([one[name] for name in columns] for one in document["others"]))


def _rates(given: list[str]) -> "dict[str, Decimal]":
    from schemas.numbers import parse_decimal
    from schemas.units import currency_code_fault

    found: dict[str, Any] = {}
    faults = []
    for text in given:
        currency, _, number = text.partition("=")
        try:
            found[currency] = parse_decimal(number)
        except ValueError as error:
            faults.append(f"--rate: expected CURRENCY=RATE with {error}, found {text!r:.80}")
            continue
        expected = currency_code_fault(currency)
        if expected is not None or found[currency] <= 0:
            faults.append(f"--rate: expected {expected or 'a rate above 0'}, found {text!r:.80}")
    if faults:
        bad_input(faults)
    return found


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.add_typer(accruals, name="accruals")
