"""Reported positions from CSV, JSON or JSON Lines: what an exchange, clearer or broker states.

Owns: the columns: `venue` (or told), `account`, `instrument`, `reported_at`, `quantity` (signed), `average_price`, `currency`.
Guarantees: all faults of a file are raised together; a row has the same event id at every import.
"""

from collections.abc import Mapping
from typing import Any

from connectors.files import fields
from connectors.files.definitions import source_name
from connectors.files.faults import FaultCollector
from connectors.files.rows import Row, read_rows
from connectors.files.source import Source
from schemas import reported
from schemas.frames import encode_event, wire
from schemas.identity import content_id

_PositionReported: Any = wire(reported.PositionReported)
_READERS: Mapping[str, fields.Reader] = {
    "venue": fields.identifier,
    "instrument": fields.identifier,
    "reported_at": fields.time,
    "quantity": fields.number,
    "account": fields.text,
    "average_price": fields.number,
    "currency": fields.text,
}
_REQUIRED = ("instrument", "reported_at", "quantity")


def read_reported_positions(
    source: Source, *, venue: str | None = None, account: str | None = None, input_format: str | None = None
) -> list[Any]:
    """The reported positions of a file (wire twins); `venue` and `account` are those of rows that name none.

    Raises InputFaults with every fault of the file.
    """
    given = {name: value for name, value in (("venue", venue), ("account", account)) if value is not None}
    required = _REQUIRED if venue is not None else ("venue", *_REQUIRED)
    faults = FaultCollector(source.name)
    found: dict[tuple[Any, ...], Any] = {}
    for row in read_rows(source, faults, input_format=input_format, known=_READERS, required=required):
        stated = _stated(row, given, required, faults)
        if stated is None:
            continue
        key = (stated.venue, stated.account, stated.instrument, stated.reported_at)
        if found.setdefault(key, stated) != stated:
            place = "one quantity of a venue, account, instrument and time"
            faults.add(row.place, "quantity", place, f"{stated.quantity} beside {found[key].quantity}")
    faults.raise_if_any()
    return list(found.values())


def _stated(
    row: Row, given: Mapping[str, str], required: tuple[str, ...], faults: FaultCollector
) -> Any | None:
    values, whole = fields.read_row(row, _READERS, required, faults, given)
    if not whole:
        return None
    bare = _PositionReported(event_id="", source=f"reported:{source_name(faults.file)}", **values)
    identity = content_id("reported", encode_event(bare).decode())
    return _PositionReported(event_id=identity, source=bare.source, **values)
