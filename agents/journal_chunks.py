"""How the journal of a position is stored: chunks of trades and of what each did.

Owns: the stored form of a chunk, `[[trade, ...], [outcome, ...]]` in msgpack (`domain.lots.outcomes`). Trades and
outcomes stand apart so that a re-match, which changes outcomes only, neither reads nor writes a trade twice.
Guarantees: a chunk reads back as it was written, digit for digit.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from struct import Struct

import msgspec

from domain.lots.outcomes import REST, Closed, Figure, Other, Outcome, applied_of, outcome, rest_of
from domain.lots.position import Lot, OrderKey, Terms, Trade
from domain.lots.rematch import JournalEntry
from schemas.numbers import exact_arithmetic

CHUNK_ENTRIES_MAX = 64
"""Most entries of a chunk; a trade that comes late may make it up to twice that."""

_BIAS = 1 << 63
_PLACE = Struct(">QQ").pack
NOTHING_BEFORE: OrderKey = (-_BIAS, 0, "")


class _Closing(msgspec.Struct, array_like=True, gc=False):
    """A `Closed` outcome as it is stored, without its realised P&L.

    Where `left` has `_FURTHER` in it, the trade first consumed what the closing before it had left of a lot, which
    is not told again.
    """

    left: int
    consumed: Sequence[Lot]


class _Written(msgspec.Struct, array_like=True, gc=False):
    trades: list[Trade] | msgspec.Raw
    figures: list[Figure]
    closings: list[_Closing]
    plain: bool
    oldest: int


class _Read(msgspec.Struct, array_like=True, gc=False):
    trades: msgspec.Raw
    figures: list[Figure]
    closings: msgspec.Raw
    plain: bool
    oldest: int


class _Outline(msgspec.Struct, array_like=True, gc=False):
    trades: msgspec.Raw
    figures: msgspec.Raw
    closings: msgspec.Raw
    plain: bool


_FURTHER = 4
_NEVER = _BIAS - 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Read).decode
_decode_outline = msgspec.msgpack.Decoder(_Outline).decode
_decode_trades = msgspec.msgpack.Decoder(list[Trade]).decode
_decode_closings = msgspec.msgpack.Decoder(list[_Closing]).decode


def order_bytes(order: OrderKey) -> bytes:
    """A place in the order of matching as bytes that sort alike."""
    return _PLACE(order[0] + _BIAS, order[1] + _BIAS) + order[2].encode()


def place_bytes(trade: Trade | Lot) -> bytes:
    """`order_bytes` of the place of a trade or lot."""
    return _PLACE(trade.executed_at + _BIAS, trade.source_sequence + _BIAS) + trade.trade_id.encode()


class Chunk:
    """Consecutive entries of a journal; what is stored of it is decoded when it is first asked for.

    `figures` are its outcomes without what they consumed. It is `plain` where all of its outcomes are None or
    `Closed`; those have consumed no lot that was opened before the time `oldest`.
    """

    __slots__ = ("_closings", "_outcomes", "_stored", "_trades", "figures", "oldest", "plain")

    def __init__(self, trades: list[Trade], outcomes: list[Outcome]) -> None:
        self._trades: list[Trade] | None = trades
        self._stored: msgspec.Raw | None = None
        self._closings: msgspec.Raw | None = None
        self._outcomes: list[Outcome] | None
        self.figures: list[Figure]
        self.outcomes = outcomes

    @classmethod
    def read(cls, stored: bytes) -> "Chunk":
        """A chunk from its stored form."""
        found = _decode(stored)
        chunk = cls.__new__(cls)
        chunk._trades, chunk._stored = None, found.trades
        chunk._outcomes, chunk._closings = None, found.closings
        chunk.figures, chunk.plain, chunk.oldest = found.figures, found.plain, found.oldest
        return chunk

    def __len__(self) -> int:
        return len(self.figures)

    @property
    def trades(self) -> list[Trade]:
        """Its trades. Who changes them makes another chunk."""
        if self._trades is None:
            assert self._stored is not None, "a chunk holds its trades in one form at least"
            self._trades = _decode_trades(self._stored)
        return self._trades

    @property
    def outcomes(self) -> list[Outcome]:
        """What its trades did; may be set, as long as there is one for each."""
        if self._outcomes is None:
            assert self._closings is not None, "a chunk holds its closings in one form at least"
            self._outcomes = list(_outcomes(self.figures, _decode_closings(self._closings), self.trades))
        return self._outcomes

    @outcomes.setter
    def outcomes(self, outcomes: list[Outcome]) -> None:
        self._outcomes, self._closings = outcomes, None
        self.figures, self.plain, self.oldest = _figures_of(outcomes)

    @property
    def closed(self) -> list[Closed]:
        """Its `Closed` outcomes."""
        return [found for found in self.outcomes if type(found) is Closed]

    @property
    def first(self) -> OrderKey:
        """The place of its first entry."""
        return self.trades[0].order

    @property
    def last(self) -> OrderKey:
        """The place of its last entry."""
        return self.trades[-1].order

    def place(self, order: OrderKey) -> int:
        """Where in it a place of the order of matching is, or would be."""
        return bisect_left(self.trades, order, key=_order_of)

    def part(self, start: int, end: int | None = None) -> "Chunk":
        """Some of its entries."""
        return Chunk(self.trades[start:end], self.outcomes[start:end])

    def encoded(self) -> bytes:
        """Its stored form."""
        return _encode(
            _Written(
                self.trades if self._stored is None else self._stored,
                self.figures,
                _stored_closings(self.closed),
                self.plain,
                self.oldest,
            )
        )

    def entries(self) -> list[JournalEntry]:
        """Its entries, with all that each trade did."""
        with exact_arithmetic():
            return [_entry(trade, found) for trade, found in zip(self.trades, self.outcomes, strict=True)]


def encoded_chunk(trades: list[Trade], outcomes: Sequence[Outcome]) -> bytes:
    """The stored form of a chunk that nobody else asks for anything."""
    figures, plain, oldest = _figures_of(outcomes)
    closed = [found for found in outcomes if type(found) is Closed]
    return _encode(_Written(trades, figures, _stored_closings(closed) if closed else [], plain, oldest))


def _figures_of(outcomes: Sequence[Outcome]) -> tuple[list[Figure], bool, int]:
    """`figures`, `plain` and `oldest` of a chunk."""
    figures: list[Figure] = []
    plain, oldest = True, _NEVER
    for found in outcomes:
        if found is None:
            figures.append(None)
        elif type(found) is Closed:
            figures.append(found.realised_pnl)
            # The oldest lot is at one end, by FIFO or LIFO.
            oldest = min(oldest, found.consumed[0].executed_at, found.consumed[-1].executed_at)
        else:
            figures.append(found)  # type: ignore[arg-type]
            plain = False
    return figures, plain, oldest


def _stored_closings(closed: Sequence[Closed]) -> list[_Closing]:
    stored: list[_Closing] = []
    partial = None
    for closing in closed:
        consumed, left = closing.consumed, closing.left
        if partial is not None and consumed[0].trade_id == partial:
            stored.append(_Closing(left | _FURTHER, consumed[1:]))
        else:
            stored.append(_Closing(left, consumed))
        partial = consumed[-1].trade_id if left == REST else None
    return stored


def _outcomes(
    figures: Sequence[Figure], stored: Sequence[_Closing], trades: Sequence[Trade]
) -> Iterator[Outcome]:
    """The outcomes of a chunk, from what is stored of its closings."""
    closings = iter(stored)
    rest: Lot | None = None
    with exact_arithmetic():
        for trade, figure in zip(trades, figures, strict=True):
            if type(figure) is not Decimal:
                yield figure  # type: ignore[misc]
                continue
            closing = next(closings)
            consumed, left = tuple(closing.consumed), closing.left & ~_FURTHER
            if closing.left != left:
                assert rest is not None, "a closing left the rest that this one consumed"
                consumed = (rest, *consumed)
            rest = rest_of(trade, consumed) if left == REST else None
            yield Closed(figure, consumed, left)


def _order_of(trade: Trade) -> OrderKey:
    return (trade.executed_at, trade.source_sequence, trade.trade_id)


def _entry(trade: Trade, found: Outcome) -> JournalEntry:
    if type(found) is Other:
        return JournalEntry(trade, found.applied, found.terms, found.terms_before)
    return JournalEntry(trade, applied_of(trade, found))


def decode_chunk(stored: bytes) -> list[JournalEntry]:
    """The entries of a stored chunk."""
    return Chunk.read(stored).entries()


def chunk_of(entries: Iterable[JournalEntry], under: Terms) -> Chunk:
    """A chunk of entries that were applied `under` some terms, until an entry names others."""
    trades: list[Trade] = []
    outcomes: list[Outcome] = []
    for entry in entries:
        under = entry.terms or under
        trades.append(entry.trade)
        outcomes.append(outcome(entry.applied, under, entry.terms, entry.terms_before))
    return Chunk(trades, outcomes)


def entry_count(stored: bytes) -> int:
    """How many entries a stored chunk has, from the length that its list of trades begins with."""
    head = stored[1]
    return (
        head & 0x0F
        if head & 0xF0 == 0x90
        else int.from_bytes(stored[2:4] if head == 0xDC else stored[2:6], "big")
    )


def is_plain(stored: bytes) -> bool:
    """Whether a stored chunk is `plain`; nothing else of it is decoded."""
    return _decode_outline(stored).plain


class Leveller:
    """Chunks of a fair size out of chunks in order: small neighbours become one, a large one becomes several."""

    __slots__ = ("_count", "_gathered")

    def __init__(self) -> None:
        self._gathered: list[Chunk] = []
        self._count = 0

    def add(self, chunk: Chunk) -> list[Chunk]:
        """Take the next chunk; returns what has become of those before it, where that is settled."""
        settled: list[Chunk] = []
        if self._gathered and self._count + len(chunk) > CHUNK_ENTRIES_MAX:
            settled = self.finish()
        if len(chunk):
            self._gathered.append(chunk)
            self._count += len(chunk)
        return settled

    def finish(self) -> list[Chunk]:
        """What has become of the rest."""
        gathered, self._gathered, self._count = self._gathered, [], 0
        return _one(gathered) if gathered else []


def level(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The same entries in chunks of a fair size."""
    leveller = Leveller()
    found = [settled for chunk in chunks for settled in leveller.add(chunk)]
    return found + leveller.finish()


def _one(chunks: Sequence[Chunk]) -> list[Chunk]:
    whole = chunks[0]
    if len(chunks) > 1:
        trades = [trade for chunk in chunks for trade in chunk.trades]
        whole = Chunk(trades, [found for chunk in chunks for found in chunk.outcomes])
    size = len(whole)
    if size <= 2 * CHUNK_ENTRIES_MAX:
        return [whole]
    return [whole.part(start, start + CHUNK_ENTRIES_MAX) for start in range(0, size, CHUNK_ENTRIES_MAX)]
