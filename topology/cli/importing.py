"""`pks import`: files of venues, brokers and desks into the log, or into canonical lines."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, messages, print_facts, print_json, print_table, progress, say
from topology.cli.reading_options import opened_if_made, opened_log_of
from topology.settings import Settings

if TYPE_CHECKING:
    from topology.control.entry import Receipt

_REJECTIONS_SHOWN = 20


def import_files(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Files (gzip and zip as they are), folders of ticks, or -."),
    ] = None,
    format_name: Annotated[str | None, typer.Option("--format", help="See --list.")] = None,
    book: Annotated[str | None, typer.Option(help="The book of every fill that names none.")] = None,
    books: Annotated[
        str | None, typer.Option(metavar="FILE", help="Books by instrument or account: CSV, JSON or YAML.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write canonical JSON Lines there; not into the log.")
    ] = None,
    input_format: Annotated[
        str | None, typer.Option("--input-format", help="csv, json or jsonl, for canonical files.")
    ] = None,
    opening_cash: Annotated[
        bool,
        typer.Option(
            "--opening-cash", help="Book what a statement's accounts began with, too (its first import)."
        ),
    ] = False,
    list_formats: Annotated[bool, typer.Option("--list", help="Print the formats.")] = False,
    conflate: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Of marks, the newest of each so many seconds.")
    ] = 0.0,
    boards: Annotated[
        list[str] | None,
        typer.Option("--board", help="Of moex-iss-marks: a board that is preferred to the usual ones."),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decode files to canonical fills, or quotes to marks, and put them into the running system, or into the embedded log.

    A malformed file is refused whole. What was imported before counts as duplicate and changes nothing.
    """
    if list_formats:
        _list(as_json)
        return
    _check(files, format_name, book, books, out)
    assert files is not None and format_name is not None, "checked"
    if _makes_marks(format_name):
        _check_marks(book, books, out)
        document = _import_marks(
            files, format_name, tuple(boards or ()), input_format, conflate, load_settings(data, transport)
        )
        _report(document, as_json, quiet=False)
        return
    if _makes_rates(format_name):
        _check_marks(book, books, out)
        _report(_import_rates(files, load_settings(data, transport)), as_json, quiet=False)
        return
    document = _import(
        files,
        format_name,
        _options(book, books, input_format),
        out,
        data,
        transport,
        opening_cash=opening_cash,
    )
    _report(document, as_json, quiet=out == "-")


def _check(
    files: list[str] | None, format_name: str | None, book: str | None, books: str | None, out: str | None
) -> None:
    from schemas.units import identifier_fault

    faults = []
    if not files:
        faults.append("FILE: expected a file, found none")
    if format_name is not None and not _is_known(format_name):
        faults.append(f"--format: expected one of {', '.join(_readable())}, found {format_name!r:.80}")
    if format_name is None:
        faults.append("--format: expected a format (pks import --list), found none")
    if book is not None and books is not None:
        faults.append("--books: expected --book or --books, found both")
    expected = None if book is None else identifier_fault(book)
    if expected is not None:
        faults.append(f"--book: expected {expected}, found {book!r:.80}")
    if out is not None and out != "-":
        folder = Path(out).parent
        if not (folder.is_dir() and os.access(folder, os.W_OK)) or Path(out).is_dir():
            found = f"the folder {out}" if Path(out).is_dir() else f"{folder}, which is none"
            faults.append(
                f"--out: expected a file in a folder that is there and can be written, found {found}"
            )
    if faults:
        bad_input(faults)


def _is_known(format_name: str) -> bool:
    from connectors.venues.formats import FORMATS

    return format_name in FORMATS or _makes_marks(format_name) or _makes_rates(format_name)


def _readable() -> list[str]:
    from connectors.files.ecb_rates import NAME as ECB_RATES
    from connectors.marks.formats import QUOTE_FORMATS
    from connectors.venues.formats import FORMATS

    return [*(name for name, entry in FORMATS.items() if entry.available), *QUOTE_FORMATS, ECB_RATES]


def _makes_marks(format_name: str) -> bool:
    from connectors.marks.formats import QUOTE_FORMATS

    return format_name in QUOTE_FORMATS


def _makes_rates(format_name: str) -> bool:
    from connectors.files.ecb_rates import NAME

    return format_name == NAME


def _import_rates(files: list[str], settings: Settings) -> dict[str, Any]:
    """Reference rates: the newest of each currency into the log, where a later one replaces it."""
    from connectors.files.ecb_rates import read_ecb_rates
    from connectors.files.source import open_source
    from schemas import topics
    from topology.control.entry import open_entry

    histories = [read_ecb_rates(open_source(file)) for file in files]
    with open_entry(settings) as entry:
        for history in histories:
            entry.publish(topics.FX_RATES, history.newest(), topics.FX_RATES.key_of)
    cells = sum(len(day.rates) for history in histories for day in history.days)
    missing = sum(history.missing for history in histories)
    sent = sum(len(history.currencies) for history in histories)
    return {
        "read": cells + missing,
        "rates": sent,
        "rejected": 0,
        "skipped": {"no rate": missing, "superseded": cells - sent},
        "days": sum(len(history.days) for history in histories),
        "ended": {currency: day for history in histories for currency, day in history.ended().items()},
    }


def _check_marks(book: str | None, books: str | None, out: str | None) -> None:
    given = {"--book": book, "--books": books, "--out": out}
    faults = [
        f"{name}: expected none beside a format of marks, found {value!r:.80}"
        for name, value in given.items()
        if value is not None
    ]
    if faults:
        bad_input(faults)


def _import_marks(
    files: list[str],
    format_name: str,
    boards: tuple[str, ...],
    input_format: str | None,
    conflate: float,
    settings: Settings,
) -> dict[str, Any]:
    import time
    from contextlib import ExitStack

    from connectors.marks.formats import open_quotes
    from connectors.marks.reading import QuoteOptions
    from domain.marks.classes import ClassRules
    from topology.control.entry import open_entry
    from topology.marks.importing import Judge, import_quotes

    judge = Judge(ClassRules(settings.mark_stale_seconds), time.time_ns())
    streams = open_quotes(format_name, files, QuoteOptions(boards, input_format))
    with ExitStack() as stack, progress() as bar:
        reading = bar.add_task("reading", total=None)
        counts = import_quotes(
            streams,
            judge,
            lambda: stack.enter_context(open_entry(settings)),
            round(conflate * 1e9),
            lambda count: bar.advance(reading, count),
        )
    for rejection in counts.rejections[:_REJECTIONS_SHOWN]:
        say(f"rejected: {rejection}")
    return counts.document()


def _options(book: str | None, books: str | None, input_format: str | None) -> Any:
    from connectors.files.book_map import read_book_map
    from connectors.files.source import open_source
    from connectors.venues.decoding import DecodeOptions

    mapping = {} if books is None else read_book_map(open_source(books))
    return DecodeOptions(book=book, books=mapping, input_format=input_format)


def _import(
    files: list[str],
    format_name: str,
    options: Any,
    out: str | None,
    data: Any,
    transport: Any,
    *,
    opening_cash: bool,
) -> dict[str, Any]:
    from connectors.venues.formats import decode
    from topology.control.entry import open_entry
    from topology.importing.importing import counts_document, spool, write_lines
    from topology.importing.movements import enter, known_of, placed, read_places, statement_cash

    decoded = decode(format_name, files, options)
    receipt = None
    movements: list[Any] = []
    known = 0
    with progress() as bar:
        reading = bar.add_task("reading", total=None)
        with spool(decoded, lambda count: bar.advance(reading, count)) as fills:
            bar.update(reading, total=fills.fills)
            if out is not None:
                writing = bar.add_task("writing", total=fills.fills)
                write_lines(fills, out, lambda count: bar.advance(writing, count))
            else:
                applying = bar.add_task("applying", total=fills.fills)
                settings = load_settings(data, transport)
                cash = statement_cash(format_name, files, opening=opening_cash)
                if cash is not None:
                    _say_what_cash_lacks(cash.left_out)
                    with opened_if_made(settings) as log:
                        movements = list(placed(cash.movements, options, read_places(log)))
                        known = known_of(log, movements)
                with open_entry(settings) as entry:
                    receipt = entry.submit(fills, on_progress=lambda count: bar.advance(applying, count))
                    enter(entry, movements)
    for rejection in decoded.rejections[:_REJECTIONS_SHOWN]:
        say(f"rejected: {rejection}")
    if receipt is not None and (receipt.rejected or receipt.waiting):
        _say_what_is_left(receipt, settings)
    _say_what_positions_lack(decoded.counts.skipped)
    _say_what_has_quotes(format_name, decoded.counts.skipped)
    document = counts_document(decoded, receipt)
    if movements:
        _say_what_moved(len(movements) - known, known)
        document |= {"movements": len(movements), "movements_known": known}
    return document


def _say_what_is_left(receipt: "Receipt", settings: Settings) -> None:
    """What the stages refused, and what waits: the exit code is 0, as everything else was applied."""
    from connectors.embedded.errors import EmbeddedLogError
    from connectors.kafka.errors import KafkaLogError
    from topology.importing.remarks import import_remarks
    from topology.log_reading import partition_count

    try:
        with opened_log_of(settings) as log:
            for remark in import_remarks(log, partition_count(log), receipt, settings.data):
                say(remark)
    except (EmbeddedLogError, KafkaLogError) as error:
        # All is done; only the reasons cannot be read now.
        messages().print(f"{receipt.rejected:,} rejected, {receipt.waiting:,} waiting; {error}", markup=False)


def _say_what_positions_lack(skipped: Mapping[str, int]) -> None:
    """A split or a merger changes positions without a trade: whoever imports must know that it was left out."""
    actions = sum(count for kind, count in skipped.items() if kind.partition(".")[0] == "CorporateAction")
    if actions:
        messages().print(
            f"corporate actions skipped: {actions:,}; the positions of their instruments may differ from the "
            "broker's",
            soft_wrap=True,
        )


def _say_what_has_quotes(format_name: str, skipped: Mapping[str, int]) -> None:
    if format_name == "binance-stream" and skipped.get("bookTicker"):
        messages().print(
            f"bookTicker skipped: {skipped['bookTicker']:,}; they are quotes, no fills: --format binance-quotes makes marks "
            "of them",
            soft_wrap=True,
        )


def _say_what_moved(new: int, known: int) -> None:
    """Movements are no fills: what they were read from stands under `skipped`, new or not."""
    say(
        f"movements of cash: {new:,} new, {known:,} imported before, which change nothing; what they were read from is no fill, "
        "and counted under skipped"
    )


def _say_what_cash_lacks(left_out: Mapping[str, int]) -> None:
    for kind, count in left_out.items():
        say(f"cash transactions left out, of types that are not known: {kind!r:.80} ({count:,})")


def _report(document: dict[str, Any], as_json: bool, *, quiet: bool) -> None:
    if as_json and quiet:
        say(json.dumps(document))
    elif as_json:
        print_json(document)
    else:
        facts = {name: value for name, value in document.items() if not isinstance(value, dict)}
        for name, of_kinds in document.items():
            if isinstance(of_kinds, dict):
                facts.update({f"{name}: {kind}": count for kind, count in of_kinds.items()})
        print_facts(facts, messages() if quiet else None)


def _list(as_json: bool) -> None:
    from connectors.files import ecb_rates
    from connectors.marks.formats import QUOTE_FORMATS
    from connectors.venues.formats import FORMATS, NOT_AVAILABLE

    rows = [(entry.name, entry.description, entry.available) for entry in FORMATS.values()]
    rows += [(entry.name, entry.description, True) for entry in QUOTE_FORMATS.values()]
    rows.append((ecb_rates.NAME, ecb_rates.DESCRIPTION, True))
    if as_json:
        print_json(
            {"formats": [{"name": name, "description": text, "available": ok} for name, text, ok in rows]}
        )
    else:
        print_table(
            "Import formats",
            ("format", "reads", ""),
            ((name, text, "" if ok else NOT_AVAILABLE) for name, text, ok in rows),
        )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("import")(import_files)
