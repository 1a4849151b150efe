"""`pks accruals bonds`: what accrues on what, and what a run of a day books of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import JsonOption
from topology.cli.output import bad_input, print_facts, print_json, print_table

if TYPE_CHECKING:
    from decimal import Decimal

accruals = typer.Typer(
    no_args_is_help=True, help="Coupons, funding, interest: their terms and rates, and what they come to."
)


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
