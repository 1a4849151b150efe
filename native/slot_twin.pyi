"""The compiled twin of `connectors.shm.packing`: see the source beside it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from types import ModuleType

def begin(layout: ModuleType, encode_exacts: Callable[..., object]) -> None: ...
def key_hash(book: str, instrument: str) -> int: ...
def pack_slot(
    hashed: int,
    decimals: Sequence[Decimal | None],
    epoch: int,
    counts: Sequence[int],
    times: Sequence[int],
    book: int,
    instrument: int,
    currency: int,
    partition: int,
) -> bytes: ...
