"""`pks price`, `pks pnl-explain`, `pks ocp`: a file of requests in, their answers out, with no state and no server."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.lots import InputFormatOption
from topology.cli.options import JsonOption
from topology.cli.output import messages, print_json, print_table, progress, say, shorten

if TYPE_CHECKING:
    from connectors.files.requests import Figures, Form

RequestsArgument = Annotated[
    str, typer.Argument(help="JSON (an array of requests) or JSON Lines; gzip or zip too; - for stdin.")
]


def price(
    file: RequestsArgument, input_format: InputFormatOption = None, as_json: JsonOption = False
) -> None:
    """Price the requests of FILE: options, futures, bonds, swaps and CVA, each answered on its own."""
    from connectors.files.requests import read_requests
    from connectors.files.source import open_source
    from domain.pricing.calculate import price_all

    chosen = None if input_format is None else input_format.value
    requests = read_requests(open_source(file), input_format=chosen)
    if as_json:
        print_json(list(price_all(requests)))
        return
    with progress() as shown:
        answers = list(shown.track(price_all(requests), total=len(requests), description=f"pricing {file}"))
    _print_prices(requests, answers)


def _print_prices(requests: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> None:
    """A table for each model, as their figures differ, and one of what could not be priced."""
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for request, answer in zip(requests, answers, strict=True):
        if "error" not in answer:
            by_model.setdefault(str(request["model"]), []).append(answer)
    for model, priced in by_model.items():
        columns = list(dict.fromkeys(name for answer in priced for name in answer))
        print_table(model, columns, ([_cell(answer.get(name)) for name in columns] for answer in priced))
    refused = [answer for answer in answers if "error" in answer]
    if refused:
        names = ("field", "expected", "found")
        rows = ([answer["id"], *(answer["error"][name] for name in names)] for answer in refused)
        print_table("Not priced", ("id", *names), rows)
    if not answers:
        messages().print("no requests")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, list):
        return (
            ", ".join(value) if all(isinstance(each, str) for each in value) else f"{len(value)}, in --json"
        )
    return "" if value is None else str(value)


def pnl_explain(
    file: RequestsArgument, input_format: InputFormatOption = None, as_json: JsonOption = False
) -> None:
    """Split the P&L of each request of FILE by cause, exact: the buckets add up, and what is left is shown."""
    from connectors.files.requests import Form
    from domain.pnl.taylor import GIVEN_BUCKETS, GREEKS, MOVES, explain
    from schemas.numbers import exact_arithmetic

    form = Form(numbers=("total_pnl", *GIVEN_BUCKETS), objects={"greeks": GREEKS, "moves": MOVES})
    found = _read(file, None if input_format is None else input_format.value, form)
    with exact_arithmetic():
        answers = [
            {
                "id": each.id,
                **explain(
                    each.objects["greeks"], each.objects["moves"], each.numbers, each.numbers.get("total_pnl")
                ).document(),
            }
            for each in found
        ]
    if as_json:
        print_json(answers)
        return
    buckets = (*GREEKS, *GIVEN_BUCKETS)
    print_table(
        "P&L by cause",
        ("id", *buckets, "explained", "total", "unexplained"),
        (
            [
                answer["id"],
                *(shorten(answer["buckets"][name]) for name in buckets),
                *(shorten(answer[name]) for name in ("explained", "total", "unexplained")),
            ]
            for answer in answers
        ),
        file_width=240,
    )


def ocp(file: RequestsArgument, input_format: InputFormatOption = None, as_json: JsonOption = False) -> None:
    """The net open currency position of each request of FILE and its capital charge (Basel shorthand), exact."""
    from connectors.files import fields
    from connectors.files.requests import Form
    from domain.currency_position import CAPITAL_RATE, open_currency_position
    from schemas.numbers import ZERO, exact_arithmetic
    from schemas.units import currency_code_fault

    form = Form(
        texts={"reporting_currency": fields.currency},
        numbers=("gold", "capital_rate"),
        objects={"positions": None},
        least={"capital_rate": ZERO},
        name_fault=currency_code_fault,
    )
    found = _read(file, None if input_format is None else input_format.value, form)
    with exact_arithmetic():
        answers = [
            {
                "id": each.id,
                **open_currency_position(
                    each.texts["reporting_currency"],
                    each.objects["positions"],
                    each.numbers.get("gold", ZERO),
                    each.numbers.get("capital_rate", CAPITAL_RATE),
                ).document(),
            }
            for each in found
        ]
    if as_json:
        print_json(answers)
        return
    names = ("sum_long", "sum_short", "net_open_position", "capital_charge")
    rows = ([answer["id"], *(shorten(str(answer[name])) for name in names)] for answer in answers)
    print_table("Open currency position", ("id", *names), rows)


def _read(file: str, input_format: str | None, form: "Form") -> "list[Figures]":
    """The requests of a file; names inside their objects that nothing reads are said on stderr."""
    from connectors.files.requests import read_figures
    from connectors.files.source import open_source

    source = open_source(file)
    found, left_out = read_figures(source, form, input_format=input_format)
    for name, count in left_out.items():
        remark = f"{source.name}: {name} is not known and was left out ({count} requests)"
        say(remark)
    if not found:
        say(f"{source.name}: no requests")
    return found


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command()(price)
    application.command("pnl-explain")(pnl_explain)
    application.command()(ocp)
