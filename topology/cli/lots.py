"""`pks lots`: match the trades of a file, with no state and no server."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.units import FeePolicy, LotMethod
from topology.cli.options import JsonOption
from topology.cli.output import bad_input, messages, print_json, print_table, progress, say, shorten

if TYPE_CHECKING:
    from domain.lots.calculate import LotsOptions, LotsResult


class InputFormat(StrEnum):
    """The forms of a file of rows."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


InputFormatOption = Annotated[
    InputFormat | None,
    typer.Option("--input-format", help="How to read FILE, where its extension does not say."),
]


def lots(
    file: Annotated[str, typer.Argument(help="CSV, JSON or JSON Lines; gzip or zip too; - for stdin.")],
    method: Annotated[LotMethod, typer.Option(help="Which lots a close takes.")] = LotMethod.FIFO,
    fee_policy: Annotated[
        FeePolicy, typer.Option(help="How fees enter net realised P&L.")
    ] = FeePolicy.EXCLUDED,
    multiplier: Annotated[str, typer.Option(help="Multiplier of rows that have none.")] = "1",
    inverse: Annotated[bool, typer.Option("--inverse", help="Rows that do not say are inverse.")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="The figures after each trade as well.")] = False,
    input_format: InputFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Match the trades of FILE: positions, lots, matches and realised P&L, exact to the last digit."""
    from connectors.files.fields import positive
    from domain.lots.calculate import LotsOptions
    from schemas.numbers import exact_arithmetic

    try:
        number = positive(multiplier)
    except ValueError as error:
        bad_input([f"--multiplier: expected {error}, found {multiplier!r:.80}"])
    options = LotsOptions(method, fee_policy, number, inverse, steps)
    chosen = None if input_format is None else input_format.value
    with exact_arithmetic():
        if as_json:
            print_json(calculate_file(file, chosen, options).document())
            return
        with progress() as shown:
            shown.add_task(f"matching {file}", total=None)
            result = calculate_file(file, chosen, options)
        _print_tables(result)


def calculate_file(file: str, input_format: str | None, options: "LotsOptions") -> "LotsResult":
    """Read and match a file. Raises InputFaults with every fault of its rows, alone and together."""
    from connectors.files.canonical import read_fills
    from connectors.files.faults import FaultCollector, InputFaults
    from connectors.files.source import open_source
    from domain.lots.calculate import LotsFaults, calculate

    source = open_source(file)
    faults = FaultCollector(source.name)
    found = read_fills(source, faults, input_format=input_format, lots_only=True)
    try:
        result = calculate(found.fills, found.numbers, options, found.faulty_ids)
    except LotsFaults as refused:
        for fault in refused.faults:
            faults.add(f"{found.unit} {fault.number}", fault.field, fault.expected, fault.found)
    if faults:
        raise InputFaults(faults.sorted())
    if not found.fills:
        say(f"{source.name}: no rows")
    if found.foreign_fees:
        has = "row has" if found.foreign_fees == 1 else "rows have"
        messages().print(
            f"{found.foreign_fees} {has} a fee in another currency than their trade: those fees are left out"
        )
    return result


def _print_tables(result: "LotsResult") -> None:
    """From the details to the sum, so that the positions stand last, where a terminal shows them."""
    names = ("quantity", "average_price", "cost_basis", "realised_pnl", "fees", "net_realised_pnl")
    options = result.options
    document = result.document()
    positions = document["positions"]
    if options.steps:
        print_table(
            "Steps",
            ("trade", "book", "instrument", *names),
            (
                [row["trade_id"], row["book"], row["instrument"], *_shown(row, names)]
                for row in document["steps"]
            ),
        )
    match_names = ("quantity", "open_price", "close_price", "realised_pnl")
    print_table(
        "Matches",
        ("book", "instrument", "opened by", "closed by", *match_names),
        _parts(positions, "matches", ("opening_trade_id", "closing_trade_id"), match_names),
    )
    lot_names = ("quantity", "price", "opened_at")
    print_table(
        "Open lots",
        ("book", "instrument", "trade", *lot_names),
        _parts(positions, "lots", ("trade_id",), lot_names),
    )
    print_table(
        f"Positions ({options.method}, fees {options.fee_policy})",
        ("book", "instrument", *names),
        ([row["book"], row["instrument"], *_shown(row, names)] for row in positions),
    )


def _shown(row: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    return [shorten(row[name]) for name in names]


def _parts(
    positions: list[dict[str, Any]], part: str, ids: tuple[str, ...], names: tuple[str, ...]
) -> Iterator[list[str]]:
    for position in positions:
        for row in position[part]:
            yield [
                position["book"],
                position["instrument"],
                *(row[name] for name in ids),
                *_shown(row, names),
            ]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(lots)
