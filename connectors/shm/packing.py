"""A position packed into the bytes of its slot, and the hash of its key: compiled where that was built, else plain.

Guarantees: both give the same bytes.
"""

from collections.abc import Sequence
from decimal import Decimal

import native
from connectors.shm import layout
from connectors.shm.exact import encode_exacts


def pack_plainly(
    hashed: int,
    decimals: Sequence[Decimal | None],
    owner_epoch: int,
    counts: Sequence[int],
    times: Sequence[int],
    book: int,
    instrument: int,
    currency: int,
    partition: int,
) -> bytes:
    """A slot without its sequence (`layout.SLOT_BODY`).

    `decimals`, `counts` and `times` in the order of the field catalogue; `book`, `instrument` and `currency` are places
    among the texts of the segment.
    """
    floats, exacts = encode_exacts(decimals)
    return layout.SLOT_BODY.pack(
        hashed, *floats, owner_epoch, *counts, *times, book, instrument, currency, partition, *exacts
    )


_twin = native.slots(layout, encode_exacts)
pack_slot = pack_plainly if _twin is None else _twin.pack_slot
key_hash = layout.key_hash if _twin is None else _twin.key_hash
