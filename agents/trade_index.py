"""The index of trades: where each trade of a book stands, for ever.

Owns: the layout of the trade family, `t book 0 trade id`.

A trade that was never corrected says what it first said in the journal, so its entry holds its place only:
a byte 1, executed_at and source_sequence (8 bytes each, big-endian, signed), then its instrument. The entry of a
corrected trade is a byte 2 and the whole `TradeIndex`.
"""

from collections.abc import Callable
from decimal import Decimal
from struct import Struct

import msgspec

from domain.lots.position import OrderKey
from domain.lots.rematch import JournalEntry

TRADE = b"t"

_PLACE = Struct(">Bqq")
pack_place = _PLACE.pack
FIRST = 1
_CORRECTED = b"\x02"


class TradeIndex(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a trade stands, and what it first said (a known id with other content is refused)."""

    live: bool
    instrument: str
    executed_at: int
    source_sequence: int
    first_instrument: str
    first_executed_at: int
    first_quantity: Decimal
    first_price: Decimal
    first_fee: Decimal


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TradeIndex).decode


def index_key(book: str, trade_id: str) -> bytes:
    """The key of a trade."""
    return f"t{book}\x00{trade_id}".encode()


def encode_index(index: TradeIndex) -> bytes:
    """The stored form of a corrected trade's entry (it holds for any)."""
    return _CORRECTED + _encode(index)


def decode_index(
    stored: bytes, trade_id: str, entry_at: Callable[[str, OrderKey], JournalEntry]
) -> TradeIndex:
    """The entry of a trade; `entry_at` gives the journal entry of an instrument's position at a place."""
    if stored[0] != FIRST:
        return _decode(stored[1:])
    _, executed_at, source_sequence = _PLACE.unpack_from(stored)
    instrument = stored[_PLACE.size :].decode()
    trade = entry_at(instrument, (executed_at, source_sequence, trade_id)).trade
    return TradeIndex(
        True,
        instrument,
        executed_at,
        source_sequence,
        instrument,
        executed_at,
        trade.quantity,
        trade.price,
        trade.fee,
    )
