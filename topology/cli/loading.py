"""`pks marks`: the newest mark of each instrument. `pks marks-load`: one look at a service of marks, into the log."""

import time
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    CommandError,
    bad_input,
    print_facts,
    print_json,
    print_table,
    say,
    shorten,
)

_REJECTIONS_SHOWN = 20
_LINE_WIDTH = 1_000
_TEXTS = ("currency", "quality", "event_time", "source")


def marks(
    instrument: Annotated[
        str | None, typer.Option("--instrument", help="This instrument only.", show_default=False)
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest mark of each instrument: price, bid, ask, quality, age, source."""
    from agents import bars
    from topology.catching_up import caught_up
    from topology.documents.marks import mark_documents

    with caught_up(load_settings(data, transport), [bars.NAME], say) as log:
        found = mark_documents(log, instrument, time.time_ns())
    if as_json:
        print_json({"marks": found})
        return
    print_table(
        "Marks",
        ("instrument", "price", "bid", "ask", *_TEXTS, "age"),
        (
            [
                mark["instrument"],
                *(shorten(mark[name]) for name in ("price", "bid", "ask")),
                *(mark[name] for name in _TEXTS),
                age_text(mark["age_seconds"]),
            ]
            for mark in found
        ),
        file_width=_LINE_WIDTH,
    )


def age_text(seconds: float) -> str:
    """How old something is, in whole units of the largest kind: 40 s, 12 min, 5 h, 328 d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length):,} {unit}"
    return f"{seconds:.0f} s"


def marks_load(
    name: Annotated[str, typer.Argument(metavar="NAME", help="moex-marks, alor-marks or binance-marks.")],
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a service of marks once, as `pks up` does again and again for those that settings name, and enter its marks.

    Prints the counts of `pks import`.
    """
    import asyncio
    from contextlib import ExitStack

    from connectors.marks.reading import QuoteStream
    from connectors.sink import Unavailable
    from domain.marks.classes import ClassRules
    from topology.control.entry import open_entry
    from topology.marks.importing import Judge, import_quotes
    from topology.marks.loader import poll_once
    from topology.sources.registry import MARK_SOURCES, SOURCE_BY_NAME, polled

    if name not in MARK_SOURCES:
        bad_input([f"NAME: expected one of {', '.join(MARK_SOURCES)}, found {name!r:.80}"])
    settings = load_settings(data, transport)
    if not SOURCE_BY_NAME[name].configured(settings):
        bad_input(
            [f"{name}: expected the setting that turns it on (docs/reference/settings.md), found it empty"]
        )
    now = time.time_ns()
    source = polled(settings, name)
    stream = QuoteStream(name, lambda reading: iter(asyncio.run(poll_once(source, reading, now))))
    try:
        with ExitStack() as stack:
            counts = import_quotes(
                [stream],
                Judge(ClassRules(settings.mark_stale_seconds), now),
                lambda: stack.enter_context(open_entry(settings)),
                0,
                lambda _: None,
            )
    except Unavailable as error:
        raise CommandError(str(error)) from error
    for rejection in counts.rejections[:_REJECTIONS_SHOWN]:
        say(f"rejected: {rejection}")
    _report(counts.document(), as_json)


def _report(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    facts = {name: value for name, value in document.items() if not isinstance(value, dict)}
    for name, of_kinds in document.items():
        if isinstance(of_kinds, dict):
            facts.update({f"{name}: {kind}": count for kind, count in of_kinds.items()})
    print_facts(facts)


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command()(marks)
    application.command("marks-load")(marks_load)
