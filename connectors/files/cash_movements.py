"""Movements of cash from CSV, JSON or JSON Lines.

Owns: the columns: those of `CashMovement`, of which `movement_id`, `kind`, `currency`, `amount` (signed, in is positive) and
`trade_date` must stand in each row; `event_time` is the trade date's midnight where it is left out.
Guarantees: all faults of a file are raised together; a movement's event id is its own id.
"""

from collections.abc import Mapping
from typing import Any

from connectors.files import fields
from connectors.files.definitions import source_name
from connectors.files.faults import FaultCollector
from connectors.files.rows import Row, describe, read_rows
from connectors.files.source import Source
from schemas import money
from schemas.frames import wire
from schemas.times import parse_time
from schemas.units import MovementKind

_CashMovement: Any = wire(money.CashMovement)
_READERS: Mapping[str, fields.Reader] = {
    "movement_id": fields.identifier,
    "kind": fields.choice(MovementKind),
    "currency": fields.currency,
    "amount": fields.number,
    "trade_date": fields.day,
    "event_time": fields.time,
    "entity": fields.text,
    "account": fields.text,
    "book": fields.text,
    "settlement_date": fields.day,
    "value_date": fields.day,
    "instrument": fields.text,
    "counterparty": fields.text,
    "reference": fields.text,
    "reverses": fields.text,
    "accrual_key": fields.text,
    "by_payment": fields.boolean,
    "user": fields.text,
}
_REQUIRED = ("movement_id", "kind", "currency", "amount", "trade_date")


def read_cash_movements(source: Source, *, input_format: str | None = None) -> list[Any]:
    """The movements of a file (wire twins), in the order of its rows. Raises InputFaults with every fault."""
    faults = FaultCollector(source.name)
    found: dict[str, Any] = {}
    for row in read_rows(source, faults, input_format=input_format, known=_READERS, required=_REQUIRED):
        moved = _movement(row, faults)
        if moved is not None and found.setdefault(moved.movement_id, moved) != moved:
            faults.add(row.place, "movement_id", "one content of each movement", moved.movement_id)
    faults.raise_if_any()
    return list(found.values())


def _movement(row: Row, faults: FaultCollector) -> Any | None:
    values: dict[str, Any] = {}
    whole = not row.absent
    for name, read in _READERS.items():
        value = row.values.get(name)
        if value is None:
            if name in _REQUIRED and name not in row.absent:
                faults.add(row.place, name, "a value", "none")
                whole = False
            continue
        try:
            values[name] = read(value)
        except ValueError as error:
            faults.add(row.place, name, str(error), describe(value))
            whole = False
    if whole and values.get("by_payment"):
        for name, fault, wrong in (
            ("amount", "a negative amount: what is paid goes out", values["amount"] >= 0),
            ("user", "who drafts the payment", not values.get("user")),
        ):
            if wrong:
                faults.add(row.place, name, fault, describe(row.values.get(name, "nothing")))
                whole = False
    if not whole:
        return None
    values.setdefault("event_time", parse_time(f"{values['trade_date']}T00:00:00Z"))
    return _CashMovement(
        event_id=values["movement_id"], source=f"movements:{source_name(faults.file)}", **values
    )
