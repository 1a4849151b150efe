"""Movements of cash from CSV, JSON or JSON Lines.

Owns: the columns: those of `CashMovement`, of which `movement_id`, `kind`, `currency`, `amount` (signed, in is positive) and
`trade_date` must stand in each row; `event_time` is the trade date's midnight where it is left out.
Guarantees: all faults of a file are raised together; a movement's event id is its own id. The sign of a deposit and of a
withdrawal is what they say, unless they take another movement back; other kinds go both ways (a dividend that is owed on a
short position, a rebate of fees, a refund of tax). No date lies further ahead of the time of recording than settlement needs.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from connectors.files import fields
from connectors.files.definitions import source_name
from connectors.files.faults import FaultCollector
from connectors.files.rows import Row, describe, read_rows
from connectors.files.source import Source
from schemas import money
from schemas.frames import wire
from schemas.times import format_time, parse_time
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

DAYS_AHEAD_MAX = 366
"""How far a date may lie after the time of recording: what settles later than in a year is entered once it is nearer. A year that
was mistyped would otherwise be the newest day of the ledger, which is the day that `pks cash` shows."""

_DATES = ("trade_date", "settlement_date", "value_date")


def last_day_of(recorded_at: int) -> str:
    """The last day that may be entered at an instant (nanoseconds)."""
    return (date.fromisoformat(format_time(recorded_at)[:10]) + timedelta(days=DAYS_AHEAD_MAX)).isoformat()


def read_cash_movements(source: Source, recorded_at: int, *, input_format: str | None = None) -> list[Any]:
    """The movements of a file (wire twins), in the order of its rows. Raises InputFaults with every fault.

    `recorded_at` is when they are entered, in nanoseconds.
    """
    latest = last_day_of(recorded_at)
    faults = FaultCollector(source.name)
    found: dict[str, Any] = {}
    for row in read_rows(source, faults, input_format=input_format, known=_READERS, required=_REQUIRED):
        moved = _movement(row, latest, faults)
        if moved is not None and found.setdefault(moved.movement_id, moved) != moved:
            faults.add(row.place, "movement_id", "one content of each movement", moved.movement_id)
    faults.raise_if_any()
    return list(found.values())


def _movement(row: Row, latest: str, faults: FaultCollector) -> Any | None:
    values, whole = fields.read_row(row, _READERS, _REQUIRED, faults)
    if whole:
        for name, expected in _contradictions(values, latest):
            faults.add(row.place, name, expected, describe(row.values.get(name, "nothing")))
            whole = False
    if not whole:
        return None
    values.setdefault("event_time", parse_time(f"{values['trade_date']}T00:00:00Z"))
    return _CashMovement(
        event_id=values["movement_id"], source=f"movements:{source_name(faults.file)}", **values
    )


def _contradictions(values: Mapping[str, Any], latest: str) -> Iterator[tuple[str, str]]:
    """The fields of a movement that say what cannot be together, and what is expected of each."""
    kind, amount = values["kind"], values["amount"]
    if not values.get("reverses"):
        if kind is MovementKind.DEPOSIT and amount < 0:
            yield "amount", "a positive amount of a deposit, which comes in (what goes out is a withdrawal)"
        if kind is MovementKind.WITHDRAWAL and amount > 0:
            yield "amount", "a negative amount of a withdrawal, which goes out (what comes in is a deposit)"
    if values.get("by_payment"):
        if amount >= 0:
            yield "amount", "a negative amount: what is paid goes out"
        if not values.get("user"):
            yield "user", "who drafts the payment"
    for name in _DATES:
        if values.get(name, "") > latest:
            yield name, f"a day up to {latest}, {DAYS_AHEAD_MAX} days from now"
