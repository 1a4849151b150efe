"""Canonical rows: the fields of `pks lots` rows and those of `FillEvent`, read as fills and written from them.

Owns: which columns a canonical file has, which of them a row must have, and the identity of its fills.
Assumes: one fill a row; `fee` is short for one commission in the settlement currency (or in `fee_currency`), `fees`
is the whole list.
Guarantees: all faults of a file are raised together; a fill has the same event id at every import; what
`write_canonical` writes, `read_canonical` reads as the same fill.

A CANCEL need not repeat what its trade says: what it leaves out is taken from the NEW row that it names, where
the file has that row.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from connectors.files import fields
from connectors.files.faults import FaultCollector
from connectors.files.rows import Row, describe, read_rows
from connectors.files.source import Source
from schemas import events
from schemas.frames import encode_event, wire
from schemas.identity import content_id
from schemas.numbers import ZERO, plain
from schemas.times import format_time
from schemas.units import Action, LifecycleKind, Regime, Side

FORMAT = "canonical"

LOTS_READERS: dict[str, fields.Reader] = {
    "trade_id": fields.identifier,
    "book": fields.identifier,
    "instrument": fields.identifier,
    "side": fields.choice(Side),
    "quantity": fields.positive,
    "price": fields.number,
    "fee": fields.number,
    "fee_currency": fields.text,
    "fees": fields.fees,
    "executed_at": fields.time,
    "action": fields.choice(Action),
    "original_trade_id": fields.identifier,
    "multiplier": fields.positive,
    "inverse": fields.boolean,
    "currency": fields.text,
}
"""The columns of `pks lots` (and `fee_currency`, `fees`), and how each is read."""

FILL_READERS: dict[str, fields.Reader] = {
    **LOTS_READERS,
    "kind": fields.choice(LifecycleKind),
    "source_sequence": fields.integer,
    "regime": fields.choice(Regime),
    "instrument_scheme": fields.text,
    "venue": fields.text,
    "account": fields.text,
    "entity": fields.text,
    "strategy": fields.text,
    "trader": fields.text,
    "counterparty": fields.text,
    "underlying": fields.text,
    "instrument_class": fields.text,
    "accrued_interest": fields.number,
    "settlement_date": fields.day,
    "group_id": fields.text,
    "leg": fields.integer,
    "idempotency_hash": fields.text,
}
"""Every column of a canonical file."""

_FillEvent = wire(events.FillEvent)
_Fee = wire(events.Fee)
_CONTENT = ("instrument", "side", "quantity", "price", "executed_at")
_REQUIRED = ("trade_id", *_CONTENT)
_COMMISSION = _Fee(amount=ZERO).kind
_WRITTEN_APART = ("fee", "fee_currency", "fees", "executed_at")


@dataclass(slots=True)
class CanonicalFills:
    """The fills of a file in the order of its rows; `fills[i]` stands at `numbers[i]`, a line or an index.

    `faulty_ids` are the trade ids of rows that could not be read, so that nobody takes them for missing.
    `foreign_fees` counts rows whose fee is in another currency, where those are left out (`lots_only`).
    """

    fills: list[events.FillEvent] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unit: str = "line"
    faulty_ids: set[str] = field(default_factory=set)
    foreign_fees: int = 0


def read_canonical(
    source: Source, *, input_format: str | None = None, book: str | None = None
) -> list[events.FillEvent]:
    """The fills of a canonical file, as wire twins, in the order of its rows.

    `book` is the book of rows without one; where there is none either, routing chooses it at capture. Raises
    InputFaults with every fault of the file.
    """
    faults = FaultCollector(source.name)
    found = read_fills(source, faults, input_format=input_format, book=book)
    faults.raise_if_any()
    return found.fills


def read_fills(
    source: Source,
    faults: FaultCollector,
    *,
    input_format: str | None = None,
    book: str | None = None,
    lots_only: bool = False,
) -> CanonicalFills:
    """The fills that can be read, with what is wrong with the others in `faults`.

    `lots_only` reads the columns of `pks lots` and no other, requires a book in each row, and leaves a `fee` of
    another currency out: it is no cost in the currency of the trade.
    """
    readers = LOTS_READERS if lots_only else FILL_READERS
    required = (*_REQUIRED, "book") if lots_only else _REQUIRED
    reader = _RowReader(source, faults, readers, required, book, lots_only)
    for row in read_rows(source, faults, input_format=input_format, known=readers, required=required):
        reader.read(row)
    return reader.finish()


@dataclass(slots=True)
class _Cancel:
    """A CANCEL that leaves fields out: completed when every row is read. `slot` is its place among the fills."""

    slot: int
    row: Row
    content: dict[str, Any]
    missing: list[str]


class _RowReader:
    """Makes fills of rows, one by one."""

    def __init__(
        self,
        source: Source,
        faults: FaultCollector,
        readers: dict[str, fields.Reader],
        required: tuple[str, ...],
        book: str | None,
        lots_only: bool,
    ) -> None:
        self._source_name = f"{FORMAT}:{PurePath(source.name).name}"
        self._faults = faults
        self._readers = readers
        self._required = required
        self._book = book
        self._lots_only = lots_only
        self._found = CanonicalFills()
        self._cancels: list[_Cancel] = []

    def read(self, row: Row) -> None:
        """Take a row."""
        values, faults = row.values, self._faults
        content: dict[str, Any] = {}
        sound = not row.absent
        for name, reader in self._readers.items():
            if name in values:
                try:
                    content[name] = reader(values[name])
                except ValueError as error:
                    sound = False
                    faults.add(row.place, name, str(error), describe(values[name]))
        cancels = values.get("action") == Action.CANCEL
        missing = [name for name in self._required if name not in values and name not in row.absent]
        if missing and (not cancels or "trade_id" in missing):
            sound = False
            for name in missing:
                faults.add(row.place, name, "a value", "nothing")
        if not (self._check_original(row, content) and self._check_fees(row, values)) or not sound:
            self._faulty(content)
            return
        if missing:
            self._cancels.append(_Cancel(len(self._found.fills), row, content, missing))
        self._found.fills.append(self._fill(content, row) if not missing else None)  # type: ignore[arg-type]
        self._found.numbers.append(row.number)
        self._found.unit = row.unit

    def _faulty(self, content: dict[str, Any]) -> None:
        if "trade_id" in content:
            self._found.faulty_ids.add(content["trade_id"])

    def _check_original(self, row: Row, content: dict[str, Any]) -> bool:
        original = content.get("original_trade_id")
        if "original_trade_id" in row.values and original is None:
            return False
        if content.get("action", Action.NEW) is Action.NEW:
            if original is not None and original == content.get("trade_id"):
                del content["original_trade_id"]
            elif original is not None and ("action" not in row.values or "action" in content):
                self._faults.add(row.place, "original_trade_id", "none for a NEW row", original)
                return False
        elif original is None:
            self._faults.add(row.place, "original_trade_id", "the id of the trade to correct", "nothing")
            return False
        return True

    def _check_fees(self, row: Row, values: dict[str, Any]) -> bool:
        if "fee" in values and "fees" in values:
            self._faults.add(row.place, "fees", "fee or fees, not both", describe(values["fees"]))
            return False
        return True

    def _fill(self, content: dict[str, Any], row: Row) -> events.FillEvent:
        fee, fee_currency = content.pop("fee", None), content.pop("fee_currency", "")
        if fee and self._lots_only and fee_currency not in ("", content.get("currency", "")):
            self._found.foreign_fees += 1
        elif fee:
            content["fees"] = (_Fee(amount=fee, currency=fee_currency),)
        if self._book is not None and "book" not in content:
            content["book"] = self._book
        sequence = content.pop("source_sequence", row.number)
        bare = encode_event(_FillEvent(event_id="", **content))
        return _FillEvent(
            event_id=content_id("fill", FORMAT, content["trade_id"], bare.decode()),
            source=self._source_name,
            source_sequence=sequence,
            **content,
        )

    def finish(self) -> CanonicalFills:
        """All rows are read: complete the CANCELs that leave fields out."""
        found = self._found
        trades = {}
        if self._cancels:
            news = (fill for fill in found.fills if fill is not None and fill.action is Action.NEW)
            trades = {fill.trade_id: fill for fill in news}
        for cancel in self._cancels:
            original = cancel.content["original_trade_id"]
            trade = trades.get(original)
            if trade is not None:
                for name in (*cancel.missing, "book"):
                    cancel.content.setdefault(name, getattr(trade, name))
                found.fills[cancel.slot] = self._fill(cancel.content, cancel.row)
            else:
                self._faulty(cancel.content)
                if original not in found.faulty_ids:
                    self._refuse(cancel)
        kept = [index for index, fill in enumerate(found.fills) if fill is not None]
        if len(kept) < len(found.fills):
            found.fills = [found.fills[index] for index in kept]
            found.numbers = [found.numbers[index] for index in kept]
        return found

    def _refuse(self, cancel: _Cancel) -> None:
        expected = "a value, as the file does not have the trade that is cancelled"
        for name in cancel.missing:
            self._faults.add(cancel.row.place, name, expected, "nothing")


_PLAIN_FEE = _Fee(amount=Decimal(1))
_OWN_COLUMNS = frozenset(
    ("quantity", "price", "executed_at", "fees", "multiplier", "accrued_interest", "inverse")
)


def write_canonical(fill: events.FillEvent) -> dict[str, Any]:
    """A fill as a canonical row: numbers and times as text; what is empty is left out.

    `event_id` and `source` are for people: reading makes them anew.
    """
    row: dict[str, Any] = {"event_id": fill.event_id, "source": fill.source}
    for name in FILL_READERS:
        if name in _WRITTEN_APART:
            continue
        value: Any = getattr(fill, name)
        if value is not None and value != "":
            row[name] = plain(value) if isinstance(value, Decimal) else value
    row["executed_at"] = format_time(fill.executed_at)
    row |= _written_fees(fill.fees)
    return row


def _written_fees(written: tuple[events.Fee, ...]) -> dict[str, Any]:
    if not written:
        return {}
    first = written[0]
    if len(written) == 1 and first.kind == _COMMISSION and first.amount:
        currency = {"fee_currency": first.currency} if first.currency else {}
        return {"fee": plain(first.amount), **currency}
    return {
        "fees": [{"kind": fee.kind, "amount": plain(fee.amount), "currency": fee.currency} for fee in written]
    }


def write_canonical_line(fill: events.FillEvent) -> str:
    """A fill as a line of JSON Lines."""
    return json.dumps(write_canonical(fill), ensure_ascii=False, separators=(",", ":")) + "\n"
