"""The calculation behind `pks lots`: rows in any order to positions with their lots, matches and steps.

Owns: what a set of rows means: one trade an id, the last amend holds, a cancel wins, terms stay while a
position is open.
Assumes: each fill is valid by itself, and `numbers` gives the place of each in its file: it orders fills of
equal times, and names the place of a fault. Runs inside `exact_arithmetic()`.
Guarantees: all faults together, or the whole result; nothing depends on the order of rows but ties in time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from domain.lots.documents import Document, figures_document, lot_document, match_document, terms_document
from domain.lots.matching import Match, matches
from domain.lots.position import Position, Terms, TermsFault, Trade
from domain.lots.rematch import enter
from schemas.events import FillEvent
from schemas.numbers import ONE, ZERO, plain
from schemas.units import Action, FeePolicy, LotMethod, Side


@dataclass(frozen=True, slots=True)
class LotsOptions:
    """How rows are matched; multiplier and inverse are those of rows that do not say."""

    method: LotMethod = LotMethod.FIFO
    fee_policy: FeePolicy = FeePolicy.EXCLUDED
    multiplier: Decimal = ONE
    inverse: bool = False
    steps: bool = False


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with the row of a number among the others."""

    number: int
    field: str
    expected: str
    found: str


class LotsFaults(Exception):
    """The rows do not fit together; `faults` has every reason."""

    def __init__(self, faults: list[RowFault]) -> None:
        super().__init__(f"{len(faults)} faults, the first: {faults[0]}")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Entry:
    """A trade to match: `number` is the row whose content holds."""

    trade: Trade
    terms: Terms
    number: int


@dataclass(slots=True)
class PositionResult:
    """A position after all its trades, and the matches on the way."""

    book: str
    instrument: str
    position: Position
    matches: list[Match] = field(default_factory=list)

    def document(self) -> Document:
        """As `pks lots` prints it."""
        return {
            "book": self.book,
            "instrument": self.instrument,
            **figures_document(self.position),
            **terms_document(self.position),
            "lots": [lot_document(lot) for lot in self.position.lots],
            "matches": [match_document(match) for match in self.matches],
        }


@dataclass(slots=True)
class LotsResult:
    """Positions by book and instrument; steps in the order of matching over all of them."""

    options: LotsOptions
    positions: list[PositionResult]
    steps: list[Document]

    def document(self) -> Document:
        """The document of `pks lots`."""
        document: Document = {
            "method": self.options.method.value,
            "fee_policy": self.options.fee_policy.value,
            "positions": [result.document() for result in self.positions],
        }
        if self.options.steps:
            document["steps"] = self.steps
        return document


def calculate(
    fills: Sequence[FillEvent],
    numbers: Sequence[int],
    options: LotsOptions,
    faulty_ids: Collection[str] = (),
) -> LotsResult:
    """Match the fills. Raises LotsFaults with every reason where they do not fit together.

    `faulty_ids` are ids of rows that could not be read: a correction of one of them is not at fault.
    """
    rows = _Rows(options, faulty_ids)
    for fill, number in zip(fills, numbers, strict=True):
        rows.take(fill, number)
    by_position = rows.entries()
    results: list[PositionResult] = []
    steps: list[tuple[int, int, Document]] = []
    for (book, instrument), entries in sorted(by_position.items()):
        results.append(_match(book, instrument, entries, options, steps, rows.faults))
    if rows.faults:
        raise LotsFaults(sorted(rows.faults, key=lambda fault: fault.number))
    steps.sort(key=lambda step: step[:2])
    return LotsResult(options, results, [step for _, _, step in steps])


class _Rows:
    """What the rows say together: which trades there are, and what each says in the end."""

    def __init__(self, options: LotsOptions, faulty_ids: Collection[str]) -> None:
        self.faults: list[RowFault] = []
        self._options = options
        self._faulty_ids = faulty_ids
        self._seen: dict[str, FillEvent] = {}
        self._numbers: dict[str, int] = {}
        self._corrections: list[FillEvent] = []
        self._unusable: set[str] = set()

    def take(self, fill: FillEvent, number: int) -> None:
        """Take a row."""
        known = self._seen.get(fill.trade_id)
        if known is not None:
            if self._content(known) != self._content(fill):
                expected = f"an id of its own, or the same content as row {self._numbers[fill.trade_id]}"
                self._fault(number, "trade_id", expected, fill.trade_id)
            return
        self._seen[fill.trade_id] = fill
        self._numbers[fill.trade_id] = number
        if fill.action is not Action.NEW:
            self._corrections.append(fill)
        if fill.action is not Action.CANCEL:
            self._check(fill, number)

    def _fault(self, number: int, name: str, expected: str, found: str) -> None:
        self.faults.append(RowFault(number, name, expected, found))

    def _content(self, fill: FillEvent) -> tuple[Any, ...]:
        """What must be the same where an id stands twice; numbers count by value."""
        terms = self._terms(fill)
        return (
            *(fill.action, fill.original_trade_id, fill.book, fill.instrument, fill.side, fill.quantity),
            *(fill.price, fill.executed_at, terms),
            tuple((fee.kind, fee.amount, fee.currency) for fee in fill.fees),
        )

    def _terms(self, fill: FillEvent) -> Terms:
        options = self._options
        return Terms(
            options.method,
            options.fee_policy,
            options.multiplier if fill.multiplier is None else fill.multiplier,
            options.inverse if fill.inverse is None else fill.inverse,
            fill.currency or "",
        )

    def _check(self, fill: FillEvent, number: int) -> None:
        terms = self._terms(fill)
        if terms.inverse and fill.price <= 0:
            self._fault(number, "price", "a price above 0 for an inverse contract", plain(fill.price))
            self._unusable.add(fill.trade_id)
        if terms.fee_policy is FeePolicy.CAPITALISED:
            for fee in fill.fees:
                if fee.currency and fee.currency != terms.currency:
                    expected = f"fees in the settlement currency {terms.currency!r} to capitalise"
                    self._fault(number, "fees", expected, fee.currency)

    def entries(self) -> dict[tuple[str, str], list[_Entry]]:
        """The trades that hold, by position; every position that a trade or an amend named is there."""
        by_position: dict[tuple[str, str], list[_Entry]] = {}
        holding = self._holding()
        for fill in self._seen.values():
            if fill.action is not Action.CANCEL:
                by_position.setdefault(_position_of(fill), [])
        for trade_id, fill in holding.items():
            entry = self._entry(fill, trade_id)
            by_position[_position_of(fill)].append(entry)
        for entries in by_position.values():
            entries.sort(key=lambda entry: entry.trade.order)
        return by_position

    def _holding(self) -> dict[str, FillEvent]:
        """What each trade says in the end, by its id; cancelled ones are left out."""
        holding = {trade_id: fill for trade_id, fill in self._seen.items() if fill.action is Action.NEW}
        cancelled: set[str] = set()
        trades = frozenset(holding)
        for fill in self._corrections:
            original = fill.original_trade_id or ""
            if original not in trades:
                if original not in self._faulty_ids:
                    number = self._numbers[fill.trade_id]
                    self._fault(number, "original_trade_id", "the id of a NEW row of the file", original)
            elif fill.action is Action.CANCEL:
                cancelled.add(original)
            else:
                holding[original] = fill
        return {
            trade_id: fill
            for trade_id, fill in holding.items()
            if trade_id not in cancelled and fill.trade_id not in self._unusable
        }

    def _entry(self, fill: FillEvent, trade_id: str) -> _Entry:
        fee = ZERO
        for part in fill.fees:
            if not part.currency or part.currency == fill.currency:
                fee += part.amount
        quantity = fill.quantity if fill.side is Side.BUY else -fill.quantity
        # An amend keeps the place of its trade where times are equal.
        place = self._numbers[trade_id]
        trade = Trade(trade_id, fill.executed_at, place, quantity, fill.price, fee)
        return _Entry(trade, self._terms(fill), self._numbers[fill.trade_id])


def _position_of(fill: FillEvent) -> tuple[str, str]:
    return fill.book or "", fill.instrument


def _match(
    book: str,
    instrument: str,
    entries: Sequence[_Entry],
    options: LotsOptions,
    steps: list[tuple[int, int, Document]],
    faults: list[RowFault],
) -> PositionResult:
    first = (
        entries[0].terms
        if entries
        else Terms(options.method, options.fee_policy, options.multiplier, options.inverse)
    )
    result = PositionResult(book, instrument, Position(first))
    position = result.position
    for entry in entries:
        trade = entry.trade
        terms, fault = _fitting(position, entry.terms)
        if fault is not None:
            faults.append(RowFault(entry.number, fault.field, fault.expected, fault.found))
            continue
        applied = enter(position, trade, terms).applied
        if applied.consumed:
            result.matches.extend(matches(trade, applied, position.terms))
        if options.steps:
            step = {"trade_id": trade.trade_id, "book": book, "instrument": instrument}
            steps.append((trade.executed_at, trade.source_sequence, step | figures_document(position)))
    return result


def _fitting(position: Position, terms: Terms) -> tuple[Terms | None, TermsFault | None]:
    """The terms that begin with a trade (None where those of the position go on), or why they do not fit.

    A row without a currency has that of its position.
    """
    kept = position.terms
    if terms == kept:
        return None, None
    if not terms.currency:
        terms = msgspec.structs.replace(terms, currency=kept.currency)
    elif not kept.currency:
        # The rows before it did not say: it says it for them as well.
        position.terms = msgspec.structs.replace(kept, currency=terms.currency)
    if terms == position.terms:
        return None, None
    return terms, position.terms_fault(terms)
