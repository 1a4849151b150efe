"""What positions are worth and their Greeks in shared memory: `/pks-greeks-v1`, by position and summed.

Owns: what stands in a slot. A position's key is its book and instrument. A sum has no book, and `underlying:NAME`,
`book:NAME` or `desk:NAME` for an instrument.
Guarantees: figures are float64, NaN where there is none; the exact ones are the log's. A new field comes behind the others
of its kind and raises `GREEKS_VERSION`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from connectors.shm.slot_writer import Place, SlotWriter
from connectors.shm.slots import SlotLayout

GREEKS_VERSION = 1

GREEKS = SlotLayout(
    what="Greeks",
    directory_magic=int.from_bytes(b"PKSGDIR1", "little"),
    segment_magic=int.from_bytes(b"PKSGSEG1", "little"),
    catalogue_version=GREEKS_VERSION,
    keys=2,
    decimals=(),
    floats=(
        "market_value",
        "unrealised_pnl",
        "delta",
        "gamma",
        "vega",
        "theta",
        "rho",
        "vanna",
        "volga",
        "delta_value",
        "spot",
    ),
    counts=("positions", "unvalued", "quality"),
    times=("event_time", "updated_at"),
    texts=("book", "instrument", "currency", "underlying"),
)


class Shown(NamedTuple):
    """A slot's values; `figures` in the order of `GREEKS.floats`, `quality` as in the slots of marks."""

    partition: int
    figures: Sequence[float]
    positions: int
    unvalued: int
    quality: int
    event_time: int
    updated_at: int
    currency: str
    underlying: str


class GreeksWriter(SlotWriter[Shown]):
    """Writes slots of positions and of sums."""

    kind = GREEKS

    def texts_of(self, values: Shown) -> Sequence[str]:
        """The currency and the underlying."""
        return values.currency, values.underlying

    def body(self, place: Place, values: Shown) -> bytes:
        """A slot packed."""
        texts = self.segment.texts
        return self.kind.pack(
            place[1],
            ((), ()),
            self.epoch_of(values.partition),
            (values.positions, values.unvalued, values.quality),
            (values.event_time, values.updated_at),
            (place[2], place[3], texts[values.currency], texts[values.underlying]),
            values.partition,
            values.figures,
        )
