"""From the changelog of the positions stage to rows: positions, lots, and what each trade did.

Assumes: the records of a step's commit come together, which the feed sees to.
Guarantees: the rows say what the table says, digit for digit; a trade's effects sum to the position at every place in
the order of matching.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from agents.journal import JOURNAL, Chunk
from agents.open_position import LOT, SUMMARY, ShownPosition, Summary
from connectors.postgres.position_steps import (
    EffectRow,
    LotRow,
    Order,
    PositionName,
    PositionRow,
    PositionStep,
)
from connectors.sink import Item
from domain.lots.position import Lot, Terms
from domain.lots.rematch import JournalEntry
from schemas.changelog import PACKED_KEY, changes_of
from schemas.identity import split_position_key
from schemas.numbers import exact_arithmetic
from schemas.units import LotMethod

_BIAS = 1 << 63
_ORDER_BYTES = 16
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_lot = msgspec.msgpack.Decoder(Lot).decode


def steps_of(items: Sequence[Item]) -> list[PositionStep]:
    """The steps whose changelog records these are, in order."""
    found = []
    with exact_arithmetic():
        for _, records in groupby(items, attrgetter("partition", "appended_at")):
            step = _step(list(records))
            if step is not None:
                found.append(step)
    return found


def _step(records: Sequence[Item]) -> PositionStep | None:
    last = records[-1]
    key = last.event[0]
    if not key.startswith(PACKED_KEY) or len(key) < len(PACKED_KEY) + 20:
        return None  # What `pks rebuild` notes: nothing changed.
    consumed = int.from_bytes(key[len(PACKED_KEY) : len(PACKED_KEY) + 8], "big")
    step = PositionStep(last.partition, last.offset, consumed, last.appended_at)
    chunks: dict[PositionName, list[tuple[Order, bytes]]] = {}
    terms: dict[PositionName, Terms] = {}
    for record in records:
        for changed, value in changes_of(*record.event):
            family = changed[:1]
            if family == SUMMARY:
                if value is not None:
                    name = split_position_key(changed[1:])
                    terms[name] = _decode_summary(value).terms
                    step.positions[name] = _position_row(name, value)
            elif family == LOT:
                name, order = _place(changed)
                step.lots[*name, order] = None if value is None else _lot_row(_decode_lot(value))
            elif family == JOURNAL:
                name, order = _place(changed)
                step.begins[name] = min(order, step.begins.get(name, order))
                if value is not None:
                    chunks.setdefault(name, []).append((order, value))
    for name, parts in chunks.items():
        step.effects[name] = list(_effects(parts, terms[name]))
    return step


def _place(key: bytes) -> tuple[PositionName, Order]:
    """Position and order in a key `? book 0 instrument 0 order`."""
    book, instrument, order = key[1:].split(b"\x00", 2)
    executed_at = int.from_bytes(order[:8], "big") - _BIAS
    sequence = int.from_bytes(order[8:_ORDER_BYTES], "big") - _BIAS
    return (book.decode(), instrument.decode()), (executed_at, sequence, order[_ORDER_BYTES:].decode())


def _position_row(name: PositionName, stored: bytes) -> PositionRow:
    shown = ShownPosition(*name, stored)
    part = _decode_summary(stored).part
    terms = shown.terms
    return PositionRow(
        shown.quantity,
        shown.average_price if shown.quantity else None,
        shown.cost_basis,
        shown.realised_pnl,
        shown.net_realised_pnl,
        shown.fees,
        shown.lots_open,
        shown.revision,
        str(terms.lot_method),
        str(terms.fee_policy),
        terms.multiplier,
        terms.inverse,
        terms.currency,
        *shown.last,
        *((None, None, None) if part is None else (part.quantity, part.value, part.fee)),
    )


def _lot_row(lot: Lot) -> LotRow:
    return LotRow(lot.quantity, lot.price, lot.value, lot.fee)


def _effects(parts: Sequence[tuple[Order, bytes]], terms: Terms) -> Iterator[tuple[Order, EffectRow]]:
    """What the trades of a position's chunks did; `terms` are those after the last of them."""
    entries: list[JournalEntry] = []
    for _, stored in sorted(parts):
        entries += Chunk.read(stored).entries()
    under: list[Terms] = []
    for entry in reversed(entries):
        under.append(terms)
        if entry.terms_before is not None:
            terms = entry.terms_before
    for entry, held in zip(entries, reversed(under), strict=True):
        trade, applied = entry.trade, entry.applied
        pool = applied.opened or applied.rest
        lots = (applied.rest is not None) + (applied.opened is not None) - len(applied.consumed)
        yield (
            trade.order,
            EffectRow(
                trade.quantity,
                applied.value,
                applied.value * held.multiplier + applied.held_fees,
                applied.realised_pnl,
                applied.net_realised_pnl,
                trade.fee,
                lots,
                held.inverse,
                pool.price if pool is not None and held.lot_method is LotMethod.AVERAGE else None,
            ),
        )
