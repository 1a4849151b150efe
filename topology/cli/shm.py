"""`pks shm dump|watch|stat`: shared memory as any other process sees it, through the strategies' own reader."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import JsonOption, load_settings
from topology.cli.output import (
    EXIT_FAILURE,
    EXIT_STATE,
    CommandError,
    bad_input,
    console,
    print_facts,
    print_json,
    print_table,
    shorten,
)

if TYPE_CHECKING:
    from clients.python.pks_client import (
        GreeksReader,
        GreeksSlot,
        MarkReader,
        MarkSlot,
        PositionReader,
        PositionSlot,
    )
    from clients.python.pks_client.slots import SlotReader

CHANGES_MAX = 100_000
"""Most changes that `watch --json` keeps for its one document; the oldest go first, and are counted."""

_LINE_WIDTH = 1_000
"""Columns of a file in which no position takes two lines."""

_LOOK_SECONDS = 0.05

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", help="Name of the shared memory; default the setting shared_memory.", show_default=False
    ),
]
BookOption = Annotated[str | None, typer.Option("--book", help="This book only.", show_default=False)]
InstrumentOption = Annotated[
    str | None, typer.Option("--instrument", help="This instrument only.", show_default=False)
]

application = typer.Typer(
    name="shm", no_args_is_help=True, help="Shared-memory segments, as any other process sees them."
)


@contextlib.contextmanager
def _reader(name: str | None) -> "Iterator[SlotReader]":
    from clients.python.pks_client import (
        GreeksReader,
        LayoutMismatch,
        MarkReader,
        PositionError,
        PositionReader,
    )
    from clients.python.pks_client.segment import directory_magic

    chosen = load_settings().shared_memory if name is None else name
    if not chosen.startswith("/") or "/" in chosen[1:] or len(chosen) < 2:
        where = "setting shared_memory" if name is None else "--name"
        bad_input(
            [
                f"{where}: expected a name like /pks-positions-v1, with / before it and nowhere else, found {chosen!r:.80}"
            ]
        )
    try:
        readers: dict[int | None, type[SlotReader]] = {
            each.form.directory_magic: each for each in (MarkReader, GreeksReader)
        }
        yield readers.get(directory_magic(chosen), PositionReader)(chosen)
    except LayoutMismatch as error:
        raise CommandError(str(error), exit_code=EXIT_STATE) from error
    except PositionError as error:
        raise CommandError(str(error), exit_code=EXIT_FAILURE) from error


def _positions(reader: "SlotReader") -> "PositionReader":
    from clients.python.pks_client import PositionReader

    if not isinstance(reader, PositionReader):
        bad_input(
            [f"--name: expected shared memory of positions, found {reader.name}, of {reader.form.what}"]
        )
    return reader


def document(position: "PositionSlot") -> dict[str, Any]:
    """A slot by the field catalogue, and how far it may be trusted."""
    from schemas.fields import FIELDS, Kind
    from schemas.numbers import plain
    from schemas.times import format_time

    found: dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(position, field.name)
        if value is not None and field.kind is Kind.DECIMAL:
            value = plain(value)
        elif field.kind is Kind.TIME:
            value = format_time(value)
        found[field.name] = value
    return {
        **found,
        "status": position.status.value,
        "inexact": list(position.inexact),
        "partition": position.partition,
        "owner_epoch": position.owner_epoch,
    }


def mark_document(mark: "MarkSlot") -> dict[str, Any]:
    """A slot of a mark, and how far it may be trusted."""
    from schemas.numbers import plain
    from schemas.times import format_time

    numbers = {name: getattr(mark, name) for name in ("price", "bid", "ask", "accrued_interest")}
    return {
        "instrument": mark.instrument,
        "currency": mark.currency,
        **{name: None if value is None else plain(value) for name, value in numbers.items()},
        "quality": mark.quality,
        "event_time": format_time(mark.event_time),
        "source_sequence": mark.source_sequence,
        "source": mark.source,
        "updated_at": format_time(mark.updated_at),
        "status": mark.status.value,
        "inexact": list(mark.inexact),
        "partition": mark.partition,
    }


def _marks(reader: "MarkReader", instrument: str | None) -> list[dict[str, Any]]:
    found = [mark_document(mark) for mark in reader.marks() if instrument in (None, mark.instrument)]
    return sorted(found, key=lambda mark: str(mark["instrument"]))


def _print_marks(title: str, found: list[dict[str, Any]]) -> None:
    columns = ("instrument", "price", "bid", "ask", "currency", "quality", "event_time", "source", "status")
    rows = ([mark[name] for name in columns] for mark in found)
    print_table(title, columns, rows, file_width=_LINE_WIDTH)


def greeks_document(slot: "GreeksSlot") -> dict[str, Any]:
    """A slot of Greeks, of a position or a sum, and how far it may be trusted."""
    from schemas.times import format_time

    return {
        "book": slot.book,
        "instrument": slot.instrument,
        "underlying": slot.underlying,
        "currency": slot.currency,
        **{name: None if value != value else value for name, value in slot.raw._asdict().items()},
        "positions": slot.positions,
        "unvalued": slot.unvalued,
        "quality": slot.quality or None,
        "event_time": format_time(slot.event_time),
        "updated_at": format_time(slot.updated_at),
        "status": slot.status.value,
        "partition": slot.partition,
    }


def _greeks(reader: "GreeksReader", book: str | None, instrument: str | None) -> list[dict[str, Any]]:
    found = [
        greeks_document(slot)
        for slot in reader.slots()
        if book in (None, slot.book) and instrument in (None, slot.instrument)
    ]
    return sorted(found, key=lambda each: (each["book"], each["instrument"]))


def _print_greeks(title: str, found: list[dict[str, Any]]) -> None:
    figures = ("market_value", "unrealised_pnl", "delta", "gamma", "vega", "theta", "rho", "delta_value")
    rows = (
        [
            each["book"],
            each["instrument"],
            *("-" if each[name] is None else f"{each[name]:.6g}" for name in figures),
            each["currency"],
            f"{each['positions'] - each['unvalued']} of {each['positions']}",
            each["status"],
        ]
        for each in found
    )
    columns = ("book", "instrument", *figures, "currency", "valued", "status")
    print_table(title, columns, rows, file_width=_LINE_WIDTH)


def _selected(reader: "PositionReader", book: str | None, instrument: str | None) -> "Iterator[PositionSlot]":
    for position in reader.positions():
        if book in (None, position.book) and instrument in (None, position.instrument):
            yield position


def _print_positions(title: str, found: list[dict[str, Any]]) -> None:
    from schemas.fields import FIELDS, Kind

    # What fits into a table; the others stand in the document.
    columns = [field for field in FIELDS if field.kind is not Kind.TIME and field.name != "cost_basis"]
    print_table(
        title,
        (*(field.name for field in columns), "status"),
        (
            [
                *(
                    shorten(position[field.name]) if field.kind is Kind.DECIMAL else position[field.name]
                    for field in columns
                ),
                position["status"],
            ]
            for position in found
        ),
        file_width=_LINE_WIDTH,
    )


@application.command()
def dump(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every slot, of positions, marks or Greeks by the name, with whether it is live."""
    from clients.python.pks_client import GreeksReader, MarkReader

    with _reader(name) as reader:
        if isinstance(reader, GreeksReader):
            greeks = _greeks(reader, book, instrument)
            if as_json:
                print_json({"name": reader.name, "greeks": greeks})
            else:
                _print_greeks(reader.name, greeks)
            return
        if isinstance(reader, MarkReader):
            marks = _marks(reader, instrument)
            if as_json:
                print_json({"name": reader.name, "marks": marks})
            else:
                _print_marks(reader.name, marks)
            return
        found = [document(position) for position in _selected(_positions(reader), book, instrument)]
        found.sort(key=lambda position: (position["book"], position["instrument"]))
    if as_json:
        print_json({"name": reader.name, "positions": found})
    else:
        _print_positions(reader.name, found)


@application.command()
def stat(name: NameOption = None, as_json: JsonOption = False) -> None:
    """Show the directory and the segments: writer, heartbeat, slots used, alarms."""
    with _reader(name) as reader:
        segments = reader.segments()
        owned = reader.owned_partitions()
    facts = {
        "name": reader.name,
        "partitions": sum(owned.values()),
        "partitions_without_owner": owned.get(-1, 0),
        "live": any(segment.live for segment in segments),
    }
    if as_json:
        print_json({**facts, "segments": [asdict(segment) for segment in segments]})
        return
    print_facts(facts)
    for segment in segments:
        console().print()
        print_facts({**asdict(segment), "heartbeat_age_seconds": round(segment.heartbeat_age_seconds, 3)})


@application.command()
def watch(
    book: BookOption = None,
    instrument: InstrumentOption = None,
    name: NameOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long; without it until Ctrl-C.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show slots as they change. With --json: one document of all changes, at the end."""
    with _reader(name) as reader:
        changes = _changes(_positions(reader), book, instrument, seconds)
        if as_json:
            _collect(reader.name, changes)
            return
        with contextlib.suppress(KeyboardInterrupt):
            for found in changes:
                for position in found:
                    console().print(_line(position), markup=False, soft_wrap=True)


def _line(position: dict[str, Any]) -> str:
    return (
        f"{position['updated_at']}  {position['book']} {position['instrument']}  "
        f"{position['quantity']} @ {shorten(position['average_price'])}  "
        f"realised {shorten(position['realised_pnl'])}  fees {shorten(position['fees'])}  "
        f"revision {position['revision']}  {position['status']}"
    )


def _collect(name: str, changes: Iterator[list[dict[str, Any]]]) -> None:
    kept: list[dict[str, Any]] = []
    dropped = 0
    with contextlib.suppress(KeyboardInterrupt):
        for found in changes:
            kept += found
            excess = max(0, len(kept) - CHANGES_MAX)
            del kept[:excess]
            dropped += excess
    print_json({"name": name, "changes": kept, "dropped": dropped})


def _changes(
    reader: "PositionReader", book: str | None, instrument: str | None, seconds: float | None
) -> Iterator[list[dict[str, Any]]]:
    """What changed at each look: first every position, then those that changed (latest state only)."""
    seen: dict[tuple[str, str], tuple[Any, ...]] = {}
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        changed = []
        for position in _selected(reader, book, instrument):
            key = (position.book, position.instrument)
            state = (position.owner_epoch, position.revision, position.updated_at, position.status)
            if seen.get(key) != state:
                seen[key] = state
                changed.append(document(position))
        yield changed
        if deadline is not None and time.monotonic() >= deadline:
            return
        time.sleep(_LOOK_SECONDS)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(application)
