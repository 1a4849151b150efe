"""The book hash: one number that is equal where, and only where, the books are equal.

The sum modulo 2^256 of SHA-256 over the canonical JSON of each position with its lots, flat ones included.
It merges over partitions and processes and can be kept incrementally. It shows that books are equal; it is no
defence against a forger.
"""

import json
from hashlib import sha256

from domain.lots.position import Position
from schemas.numbers import plain

_MODULUS = 1 << 256


def position_digest(book: str, instrument: str, position: Position) -> int:
    """The share of one position in the book hash.

    Canonical JSON: sorted keys, decimals in plain notation without needless zeros, UTF-8, no blanks; no
    offsets, event ids or clocks.
    """
    terms = position.terms
    document = {
        "book": book,
        "instrument": instrument,
        "lot_method": terms.lot_method,
        "fee_policy": terms.fee_policy,
        "multiplier": plain(terms.multiplier),
        "inverse": terms.inverse,
        "currency": terms.currency,
        "quantity": plain(position.quantity),
        "cost_basis": plain(position.cost_basis),
        "realised_pnl": plain(position.realised_pnl),
        "net_realised_pnl": plain(position.net_realised_pnl),
        "fees": plain(position.fees),
        "lots": [
            [
                lot.trade_id,
                lot.executed_at,
                lot.source_sequence,
                plain(lot.quantity),
                plain(lot.price),
                plain(lot.fee),
            ]
            for lot in position.lots
        ],
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(sha256(canonical.encode()).digest(), "big")


class BookHash:
    """A running sum of position digests."""

    def __init__(self, total: int = 0) -> None:
        self._total = total % _MODULUS

    def add(self, digest: int) -> None:
        """Take a position in."""
        self._total = (self._total + digest) % _MODULUS

    def remove(self, digest: int) -> None:
        """Take a position out, as it was when it was added."""
        self._total = (self._total - digest) % _MODULUS

    def merge(self, other: "BookHash") -> None:
        """Take in the books of another partition or process."""
        self.add(other._total)

    @property
    def hexadecimal(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._total:064x}"
