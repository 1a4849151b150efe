"""`pks positions`, `pks trades`, `pks book-hash`: what the books hold, now or at another time."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption
from topology.cli.output import print_facts, print_json, print_table, say, shorten
from topology.cli.reading_options import (
    AsOfOption,
    BookOption,
    InstrumentOption,
    KnownAtOption,
    opened_view,
    print_view,
    say_missing_book,
)

if TYPE_CHECKING:
    from topology.documents.views import View


def positions(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    lots: Annotated[bool, typer.Option("--lots", help="Open lots as well.")] = False,
    matched: Annotated[bool, typer.Option("--matches", help="Every match as well, with --json.")] = False,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show positions, flat ones included."""
    with opened_view(data, transport, as_of, known_at, book) as view:
        found = view.positions_documents(book, instrument, lots=lots, matched=matched)
        if not found:
            say_missing_book(view, book)
        if as_json:
            print_json({"positions": found, **view.document()})
            return
        names = ("quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees")
        print_table(
            "Positions",
            ("book", "instrument", *names, "currency", "lots"),
            (
                [
                    position["book"],
                    position["instrument"],
                    *(shorten(position[name]) for name in names),
                    position["currency"],
                    position["lots_open"],
                ]
                for position in found
            ),
        )
        if lots:
            print_table(
                "Open lots",
                ("book", "instrument", "trade", "quantity", "price", "opened at"),
                (
                    [
                        position["book"],
                        position["instrument"],
                        lot["trade_id"],
                        shorten(lot["quantity"]),
                        shorten(lot["price"]),
                        lot["opened_at"],
                    ]
                    for position in found
                    for lot in position["lots"]
                ),
            )
        print_view(view)


def trades(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    trade: Annotated[
        str | None, typer.Option("--trade", help="This trade id only.", show_default=False)
    ] = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show booked trades: every field, whether they stand, were amended or cancelled, and what they realised."""
    with opened_view(data, transport, as_of, known_at, book, past=trade is not None) as view:
        found = _said_where_none(view, book, view.trades_documents(book, instrument, trade))
        if as_json:
            print_json_list("trades", found, view.document())
            return
        refused: list[dict[str, Any]] = []
        print_table(
            "Trades",
            ("trade", "book", "instrument", "quantity", "price", "executed at", "state", "realised P&L"),
            (
                [
                    one["trade_id"],
                    one["book"],
                    one["instrument"],
                    shorten(one["quantity"]),
                    shorten(one["price"]),
                    one["executed_at"],
                    one["state"],
                    shorten(one.get("realised_pnl")),
                ]
                for one in _noting_refused(found, refused)
            ),
        )
        for one in refused:
            say(
                f"refused: {one['trade_id']}: {one['reason']}: {one['field']}: expected {one['expected']}, found "
                f"{one['found']}; send an amend of it (docs/operating/dead-letters.md); pks dlq show "
                f"{one['dead_letter_id']}"
            )
        print_view(view)


def _noting_refused(found: Iterable[Any], refused: list[dict[str, Any]]) -> Iterator[Any]:
    for one in found:
        if one["state"] == "refused":
            refused.append(one)
        yield one


def _said_where_none(view: "View", book: str | None, found: Iterable[Any]) -> Iterator[Any]:
    none = True
    for one in found:
        none = False
        yield one
    if none:
        say_missing_book(view, book)


def book_hash(
    book: BookOption = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the book hash: equal where, and only where, the books are equal."""
    with opened_view(data, transport, as_of, known_at, book) as view:
        total, count = view.book_hash(book)
        if not count:
            say_missing_book(view, book)
        facts = {"book_hash": total.hexadecimal, "positions": count}
        if as_json:
            print_json(facts | view.document())
        else:
            print_facts(facts)
            print_view(view)


def print_json_list(name: str, items: Iterable[Any], rest: Mapping[str, Any]) -> None:
    """One JSON document with a list that need not fit into memory."""
    write = sys.stdout.write
    write(f'{{"{name}": [')
    for number, item in enumerate(items):
        write((", " if number else "") + json.dumps(item, ensure_ascii=False))
    write("]")
    for key, value in rest.items():
        write(f", {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    write("}\n")


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command()(positions)
    application.command()(trades)
    application.command("book-hash")(book_hash)
