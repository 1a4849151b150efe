"""The ledger hash: equal where, and only where, two ledgers have the same balances.

The sum modulo 2^256 of SHA-256 over the canonical JSON of each account that holds anything: what it holds in all, and what of
that has settled. No order, event ids or clocks: the same trades give the same hash in whatever order they came, late, amended
or in turn. It merges over partitions, as the book hash does; it is no defence against a forger.
"""

import json
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256

from schemas.numbers import plain

_MODULUS = 1 << 256


def account_digest(names: tuple[str, str, str, str, str], total: Decimal, settled: Decimal) -> int:
    """The share of one account: entity, account, book, currency and its name in the chart."""
    document = [*names, plain(total), plain(settled)]
    canonical = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(sha256(canonical.encode()).digest(), "big")


def ledger_hash(digests: Iterable[int]) -> str:
    """64 hexadecimal digits."""
    return f"{sum(digests) % _MODULUS:064x}"
