"""Live positions from shared memory, for programs on the same machine.

    from pks_client import PositionReader

    reader = PositionReader()                       # /pks-positions-v1
    slot = reader.slot("MM-BOOK", "BTCUSDT")        # once
    quantity = slot.quantity                        # float64, in the strategy's loop
    position = slot.read()                          # PositionSlot or None: exact decimals, status
    if position is not None and position.live: ...

The standard library is all that it needs. Install it with `pip install ./clients/python`; inside the repository it
is imported as `clients.python.pks_client`.
"""

from .errors import LayoutMismatch, NotAvailable, PositionError, SlotBusy
from .greeks import GreeksHandle, GreeksReader, GreeksSlot, RawGreeks
from .marks import MarkHandle, MarkReader, MarkSlot, RawMark
from .position import PositionSlot, RawPosition, Status
from .reader import PositionReader, SlotHandle
from .segment import SegmentFacts

__all__ = [
    "GreeksHandle",
    "GreeksReader",
    "GreeksSlot",
    "LayoutMismatch",
    "MarkHandle",
    "MarkReader",
    "MarkSlot",
    "NotAvailable",
    "PositionError",
    "PositionReader",
    "PositionSlot",
    "RawGreeks",
    "RawMark",
    "RawPosition",
    "SegmentFacts",
    "SlotBusy",
    "SlotHandle",
    "Status",
]
