"""A position in memory, and how it stands in the table: its summary and its lots.

Owns: the layout of summaries and lots (`agents.position_state` lists all families of keys).
Guarantees: a fill writes the summary and the lots that it touched, whatever the position holds; a lot is written
once and removed once, and one opened and closed within one step is never written. What a close leaves of the
first lot stands in the summary, not in the lot's own entry.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice

import msgspec

from agents.journal import NOTHING_BEFORE, Journal
from agents.journal_chunks import order_bytes, place_bytes
from agents.stage import InvariantBroken
from domain.lots.matching import Applied, lot_changes
from domain.lots.position import Lot, OrderKey, Position, Terms, average_price
from schemas.identity import position_key, split_position_key
from schemas.numbers import ONE, ZERO
from schemas.units import LotMethod
from tables.partition import TablePartition
from tables.store import Store

SUMMARY, LOT = b"s", b"l"

_FIFO = LotMethod.FIFO


class Summary(msgspec.Struct, array_like=True, gc=False):
    """A position without its lots, as it is stored, with all that showing it needs.

    `part` is what is left of a first lot that was touched; `lots` says how many lots are open, and `price` the price
    of a single one (None where `part` has it): an average of one would be rounded.
    """

    revision: int
    terms: Terms
    quantity: Decimal
    value: Decimal
    realised_pnl: Decimal
    net_realised_pnl: Decimal
    fees: Decimal
    held_fees: Decimal
    last: tuple[int, int, str]
    part: Lot | None
    lots: int
    price: Decimal | None


class _EncodedSummary(Summary, array_like=True, gc=False):
    """The same to encode; its terms are encoded before, and numbers may be spelled already."""

    terms: msgspec.Raw  # type: ignore[assignment]
    realised_pnl: Decimal | str  # type: ignore[assignment]
    net_realised_pnl: Decimal | str  # type: ignore[assignment]
    fees: Decimal | str  # type: ignore[assignment]
    held_fees: Decimal | str  # type: ignore[assignment]


_encode = msgspec.msgpack.Encoder().encode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_lot = msgspec.msgpack.Decoder(Lot).decode


class OpenPosition:
    """A position in memory, with what the running step has changed of it.

    Of its lots the first `stored_lots` stand in the table, `gone` are those that stand there still and are
    consumed; where `part` is set, the first lot's entry does not say what is left of it. After a re-match
    `lot_changes` says of each lot that was touched what is left (None: nothing).
    """

    __slots__ = (
        "_journal",
        "book",
        "dirty",
        "encoded_terms",
        "gone",
        "instrument",
        "kept_lots",
        "key",
        "last",
        "lot_changes",
        "part",
        "position",
        "revision",
        "stored_lots",
    )

    def __init__(self, book: str, instrument: str, terms: Terms) -> None:
        self.book = book
        self.instrument = instrument
        self.key = position_key(book, instrument)
        self.encoded_terms = encoded_terms(terms)
        self.position = Position(self.encoded_terms[0])
        self.revision = 0
        self.last: OrderKey = NOTHING_BEFORE
        self._journal: Journal | None = None
        self.stored_lots = 0
        self.gone: Sequence[Lot] = ()
        self.part = False
        self.lot_changes: dict[OrderKey, Lot | None] | None = None
        self.dirty = False
        self.kept_lots = 0

    @property
    def journal(self) -> Journal:
        """The journal, with what the running step has added; made when a step first needs it."""
        if self._journal is None:
            self._journal = Journal(self.key)
        return self._journal

    def note_lots(self, applied: Applied) -> None:
        """The latest trade changed lots."""
        changes = self.lot_changes
        consumed = applied.consumed
        if changes is not None:
            lot_changes(applied, changes)
        elif consumed and self.stored_lots:
            rest, stored = applied.rest, self.stored_lots
            lots = self.position.lots
            if self.position.terms.lot_method is _FIFO:
                whole = len(consumed) if rest is None else len(consumed) - 1
                if whole >= stored:
                    self.gone = (*self.gone, *consumed[:stored])
                    self.stored_lots = 0
                    self.part = False
                    return
                if whole:
                    self.gone = (*self.gone, *consumed[:whole])
                    self.stored_lots = stored - whole
                self.part = rest is not None
                return
            # Consumed from the end: what is left of a lot is a lot to be written again.
            left = min(stored, len(lots) - (rest is not None) - (applied.opened is not None))
            self.gone = (*self.gone, *consumed[len(consumed) - stored + left :])
            self.stored_lots = left

    def before_rematch(self) -> None:
        """Lots may change anywhere: from now on, and up to `flush`, each is noted by itself."""
        if self.lot_changes is None:
            lots = self.position.lots
            changes: dict[OrderKey, Lot | None] = {lot.order: None for lot in self.gone}
            changes.update((lot.order, lot) for lot in islice(lots, self.stored_lots, None))
            if self.part:
                changes[lots[0].order] = lots[0]
            self.lot_changes = changes

    def write(self, changes: dict[bytes, bytes | None]) -> None:
        """Put what the step has changed of this position into its changes."""
        position = self.position
        if position.terms is not self.encoded_terms[0]:
            self.encoded_terms = encoded_terms(position.terms)
            position.terms = self.encoded_terms[0]
        part = self._write_lots(changes)
        lots = position.lots
        lots_open = len(lots)
        # Numbers are dear to spell: what is the same twice is spelled once, and what is nearly always zero is not.
        realised: Decimal | str = position.realised_pnl
        net: Decimal | str = position.net_realised_pnl
        if net is realised:
            net = realised = str(realised)
        fees, held_fees = position.fees, position.held_fees
        changes[SUMMARY + self.key] = _encode(
            _EncodedSummary(
                self.revision,
                self.encoded_terms[1],
                position.quantity,
                position.value,
                realised,
                net,
                "0" if fees is ZERO else fees,
                "0" if held_fees is ZERO else held_fees,
                self.last,
                part,
                lots_open,
                lots[0].price if lots_open == 1 and part is None else None,
            )
        )
        if self._journal is not None:
            self._journal.flush(changes)
            self._journal = None

    def _write_lots(self, changes: dict[bytes, bytes | None]) -> Lot | None:
        """Put the lots that changed into a step's changes; returns the first lot where `part` is set."""
        lots = self.position.lots
        prefix = LOT + self.key + b"\x00"
        noted = self.lot_changes
        if noted is not None:
            for order, lot in noted.items():
                changes[prefix + order_bytes(order)] = None if lot is None else _encode(lot)
            self.lot_changes = None
            self.part = False
        else:
            for lot in self.gone:
                changes[prefix + place_bytes(lot)] = None
            stored = self.stored_lots
            if stored < len(lots):
                for lot in islice(lots, stored, None) if stored else lots:
                    changes[prefix + place_bytes(lot)] = _encode(lot)
        self.gone = ()
        self.stored_lots = len(lots)
        return lots[0] if self.part else None


@lru_cache(maxsize=10_000)
def encoded_terms(terms: Terms) -> tuple[Terms, msgspec.Raw]:
    """Terms that many positions share, as one object, and their stored form."""
    if str(terms.multiplier) == "1":
        # What multiplies by it asks for this one.
        terms = msgspec.structs.replace(terms, multiplier=ONE)
    return terms, msgspec.Raw(_encode(terms))


def load_position(table: TablePartition | Store, book: str, instrument: str) -> OpenPosition | None:
    """The position that stands in the table; None where there is none."""
    stored = table.get(SUMMARY + position_key(book, instrument))
    if stored is None:
        return None
    prefix = LOT + position_key(book, instrument)
    return _restore(
        book, instrument, stored, (lot for _, lot in table.scan(prefix + b"\x00", prefix + b"\x01"))
    )


def _restore(book: str, instrument: str, stored: bytes, stored_lots: Iterable[bytes]) -> OpenPosition:
    summary = _decode_summary(stored)
    opened = OpenPosition(book, instrument, summary.terms)
    position = opened.position
    position.quantity, position.value = summary.quantity, summary.value
    position.realised_pnl, position.net_realised_pnl = summary.realised_pnl, summary.net_realised_pnl
    if str(position.realised_pnl) == str(position.net_realised_pnl):
        position.net_realised_pnl = position.realised_pnl
    # Zeros of other decimals stay as they are: they show in the digits of later sums.
    position.fees = ZERO if str(summary.fees) == "0" else summary.fees
    position.held_fees = ZERO if str(summary.held_fees) == "0" else summary.held_fees
    opened.revision, opened.last = summary.revision, summary.last
    if position.quantity:
        lots = position.lots
        lots.extend(map(_decode_lot, stored_lots))
        opened.stored_lots = len(lots)
        if summary.part is not None:
            opened.part = True
            lots[0] = summary.part
    return opened


def scan_positions(table: TablePartition, book: str | None = None) -> Iterator[OpenPosition]:
    """The positions of a table partition (or of one book), in the order of book and instrument.

    Lots stand in the same order, so that one pass over each family finds all: a look-up a position is dearer.
    """
    prefix = b"" if book is None else position_key(book, "")
    lots = table.scan_prefix(LOT + prefix)
    lot = next(lots, None)
    for key, stored in table.scan_prefix(SUMMARY + prefix):
        prefix = LOT + key[1:] + b"\x00"
        found: list[bytes] = []
        while lot is not None and lot[0] < prefix:
            lot = next(lots, None)
        while lot is not None and lot[0].startswith(prefix):
            found.append(lot[1])
            lot = next(lots, None)
        yield _restore(*split_position_key(key[1:]), stored, found)


class ShownPosition:
    """The figures of a position, as whoever shows it needs them, from its summary alone."""

    __slots__ = (
        "average_price",
        "book",
        "cost_basis",
        "fees",
        "instrument",
        "last",
        "lots_open",
        "net_realised_pnl",
        "quantity",
        "realised_pnl",
        "revision",
        "terms",
    )

    def __init__(self, book: str, instrument: str, stored: bytes) -> None:
        summary = _decode_summary(stored)
        self.book, self.instrument = book, instrument
        self.terms = terms = summary.terms
        self.quantity, self.fees = summary.quantity, summary.fees
        self.realised_pnl, self.net_realised_pnl = summary.realised_pnl, summary.net_realised_pnl
        self.lots_open, self.revision, self.last = summary.lots, summary.revision, summary.last
        self.average_price: Decimal | None = summary.price
        if summary.lots == 1:
            if summary.part is not None:
                self.average_price = summary.part.price
        elif summary.lots:
            self.average_price = average_price(summary.quantity, summary.value, terms.inverse)
        self.cost_basis = summary.value
        if str(terms.multiplier) != "1":
            self.cost_basis *= terms.multiplier
        if str(summary.held_fees) != "0":
            self.cost_basis += summary.held_fees


def scan_shown(table: TablePartition, book: str | None = None) -> Iterator[ShownPosition]:
    """The positions of a table partition (or of one book) to be shown, in the order of book and instrument."""
    for key, stored in table.scan_prefix(SUMMARY if book is None else SUMMARY + position_key(book, "")):
        yield ShownPosition(*split_position_key(key[1:]), stored)


def load_shown(table: TablePartition, book: str, instrument: str) -> ShownPosition | None:
    """The position that stands in the table, to be shown; None where there is none."""
    stored = table.get(SUMMARY + position_key(book, instrument))
    return None if stored is None else ShownPosition(book, instrument, stored)


def check_position(opened: OpenPosition, lots_max: int | None = None) -> None:
    """The identities of a position: lots sum to it, and nothing is left when flat. Raises InvariantBroken."""
    position = opened.position
    lots = position.lots
    if (not position.quantity) != (not lots) or (not lots and (position.value or position.held_fees)):
        raise InvariantBroken(
            f"{opened.book}/{opened.instrument}: expected no lots and no cost when flat, found quantity "
            f"{position.quantity}, value {position.value}, held fees {position.held_fees}, {len(lots)} lots"
        )
    if lots_max is not None and len(lots) > lots_max:
        return
    if len(lots) == 1:
        lot = lots[0]
        if (
            lot.quantity == position.quantity
            and lot.value == position.value
            and lot.fee == position.held_fees
        ):
            return
    quantity = value = fees = ZERO
    for lot in lots:
        quantity += lot.quantity
        value += lot.value
        fees += lot.fee
    if quantity != position.quantity or value != position.value or fees != position.held_fees:
        raise InvariantBroken(
            f"{opened.book}/{opened.instrument}: expected the sum of lots to be the position "
            f"({position.quantity}, {position.value}, {position.held_fees}), found ({quantity}, {value}, {fees})"
        )
