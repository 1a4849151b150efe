"""`pks curve-define`: curves of rates from a file into the log, each in its next version."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import print_json, print_table
from topology.cli.reading_options import opened_if_made

if TYPE_CHECKING:
    from connectors.files.curves import StatedCurve
    from topology.settings import Settings


def curve_define(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON or JSON Lines; - is stdin.")],
    input_format: Annotated[
        str | None, typer.Option("--input-format", help="json or jsonl, where the extension does not say.")
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define curves: given by rates or factors, or bootstrapped from instruments, as pks price takes them.

    Each is built before anything is entered; the same curve again is no new version.
    """
    from connectors.files.curves import read_curves
    from connectors.files.source import open_source
    from domain.marks.curves import curve_fault, plain_form
    from schemas import topics
    from topology.control.entry import open_entry

    def check(definition: Mapping[str, Any]) -> tuple[str, str, str] | None:
        fault = curve_fault(definition)
        return None if fault is None else (fault.field, fault.expected, fault.found)

    stated = read_curves(open_source(file), check, input_format=input_format)
    settings = load_settings(data, transport)
    with open_entry(settings) as entry:
        # The owner of a log may be read beside itself; nobody else writes a version meanwhile but through it.
        known = _newest(settings)
        events = [_event(each, plain_form(each.definition), known.get(each.curve)) for each in stated]
        fresh = [event for event in events if event.version != getattr(known.get(event.curve), "version", 0)]
        if fresh:
            entry.publish(topics.CURVES, fresh, topics.CURVES.key_of)
    rows = [(event.curve, event.version, "new" if event in fresh else "unchanged") for event in events]
    if as_json:
        curves = [{"curve": name, "version": version, "state": state} for name, version, state in rows]
        print_json({"defined": len(fresh), "unchanged": len(rows) - len(fresh), "curves": curves})
    else:
        print_table("Curves", ("curve", "version", ""), rows)


def _newest(settings: "Settings") -> dict[str, Any]:
    """The newest version of each curve of the log."""
    from schemas import topics
    from topology.log_reading import read_events

    found: dict[str, Any] = {}
    with opened_if_made(settings) as log:
        for _, curve in () if log is None else read_events(log, topics.CURVES, 0):
            held = found.get(curve.curve)
            if held is None or curve.version >= held.version:
                found[curve.curve] = curve
    return found


def _event(stated: "StatedCurve", plain_definition: str, known: Any | None) -> Any:
    from schemas import market_data
    from schemas.frames import wire
    from schemas.identity import content_id
    from schemas.times import Nanoseconds

    make: Any = wire(market_data.Curve)
    # Quoted the same for another time is another version.
    if (
        known is not None
        and (known.definition, known.plain_definition) == (stated.definition, plain_definition)
        and stated.event_time in (None, known.event_time)
    ):
        return known
    version = 1 if known is None else known.version + 1
    return make(
        event_id=content_id("curve", stated.curve, str(version), stated.definition),
        source="definition",
        curve=stated.curve,
        version=version,
        event_time=Nanoseconds(time.time_ns() if stated.event_time is None else stated.event_time),
        definition=stated.definition,
        plain_definition=plain_definition,
    )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("curve-define")(curve_define)
