"""The way of marks to the positions that they value, and of the marks of currency pairs to the rates.

Reads marks by instrument. A mark goes, as the bytes that it came as, to the partition of its own instrument and to those
of all that the definition of its instrument ever named as underlying: a position was brought to one of these, whenever it
was first seen. The newest mark of a currency pair becomes an `FxRate`.

Families of keys in the table (first byte):

    d instrument       its class, its currency, and the underlyings that its definitions named, the last one last
    f base/quote       the time and place of the mark that the pair's rate came from
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from agents.loaded_state import LoadedState
from agents.stage import Frame, Refusal, Stage, Step, TableDeclaration
from domain.currency_pairs import currency_pair
from schemas import market_data, topics
from schemas.events import number_fault
from schemas.frames import wire
from schemas.identity import derived_id
from schemas.numbers import ZERO
from schemas.passing import PassingCodec
from tables.partition import TablePartition

NAME = "mark_routing"

DEFINED, RATE = b"d", b"f"

_READ = PassingCodec(
    {
        market_data.Mark: (
            "event_id",
            "correlation_id",
            "instrument",
            "event_time",
            "source_sequence",
            "quality",
            "price",
            "instrument_class",
            "underlying",
            "currency",
        )
    }
)
_FxRate = wire(market_data.FxRate)
_encode = msgspec.msgpack.Encoder().encode
_decode_time = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Defined(msgspec.Struct, array_like=True, gc=False):
    """What is kept of an instrument's definitions."""

    instrument_class: str = ""
    currency: str = ""
    underlyings: tuple[str, ...] = ()


_decode_defined = msgspec.msgpack.Decoder(Defined).decode
_UNDEFINED = Defined()


class RoutingState(LoadedState):
    """What one partition knows of instruments, and of when its pairs were last quoted."""

    def __init__(self, table: TablePartition) -> None:
        super().__init__(table)
        self._load()

    def _load(self) -> None:
        scan = self.table.scan_prefix
        self._defined = {key[1:].decode(): _decode_defined(value) for key, value in scan(DEFINED)}
        self._quoted = {key[1:].decode(): _decode_time(value) for key, value in scan(RATE)}

    def define(self, definition: Any) -> Refusal | None:
        """Take in what the definition of an instrument says."""
        self._stale = True
        name, underlying = definition.instrument, definition.underlying
        known = self._defined.get(name, _UNDEFINED).underlyings
        if underlying:
            known = (*(other for other in known if other != underlying), underlying)
        found = Defined(definition.instrument_class, definition.currency, known)
        self._defined[name] = found
        self.table.put(DEFINED + name.encode(), _encode(found))
        return None

    def keys_of(self, instrument: str) -> tuple[str, ...]:
        """The keys under which positions may be that the instrument's marks value."""
        return (instrument, *self._defined.get(instrument, _UNDEFINED).underlyings)

    def pair_of(self, mark: Any) -> tuple[str, str] | None:
        """The two currencies that a mark is a rate of, by its definition or as the mark says; None where it is none."""
        defined = self._defined.get(mark.instrument, _UNDEFINED)
        return currency_pair(
            mark.instrument,
            defined.instrument_class or mark.instrument_class,
            (defined.underlyings[-1] if defined.underlyings else "") or mark.underlying,
            defined.currency or mark.currency,
        )

    def is_newest(self, pair: str, mark: Any) -> bool:
        """Whether a mark of a pair is as new as the newest one; notes it then."""
        place = (mark.event_time, mark.source_sequence)
        known = self._quoted.get(pair)
        if known is not None and place < known:
            return False
        self._stale = True
        self._quoted[pair] = place
        self.table.put(RATE + pair.encode(), _encode(place))
        return True


def handle(state: RoutingState, frames: Iterable[Frame], step: Step) -> None:
    """Pass marks on."""
    for frame in frames:
        for passed in frame.events:
            mark = passed.head
            counts = state.counters.of(mark.source)
            counts.read += 1
            counts.applied += 1
            order = (mark.event_time, mark.source_sequence)
            partitions = {step.partition_of(key) for key in state.keys_of(mark.instrument)}
            for partition in partitions if len(partitions) == 1 else sorted(partitions):
                step.bucket_at(topics.VALUATION_INPUT, partition).pass_on(passed.encoded, order)
            pair = state.pair_of(mark)
            if pair is not None:
                _quote(state, mark, pair, step)


def _quote(state: RoutingState, mark: Any, pair: tuple[str, str], step: Step) -> None:
    price: Decimal | None = mark.price
    # A rate of nothing, or below, is none: it could not be divided by. What is no number is refused where it is to value.
    if price is None or number_fault(price) or price <= ZERO or not state.is_newest("/".join(pair), mark):
        return
    base, quote = pair
    step.bucket(topics.FX_RATES, "/".join(pair)).append(
        _FxRate(
            event_id=derived_id(mark.event_id, "fx", 0),
            correlation_id=mark.correlation_id or mark.event_id,
            causation_id=mark.event_id,
            source=mark.source,
            base_currency=base,
            quote_currency=quote,
            event_time=mark.event_time,
            rate=price,
            quality=mark.quality,
        )
    )


def stage() -> Stage:
    """The declaration of this stage."""
    return Stage(
        name=NAME,
        input=topics.MARKS,
        outputs=(topics.VALUATION_INPUT, topics.FX_RATES),
        table=TableDeclaration(NAME),
        open_state=RoutingState,
        handler=handle,
        broadcasts=(topics.INSTRUMENTS,),
        on_broadcast=RoutingState.define,
        codec=_READ,
        bears_gaps=True,
        description="brings marks to the positions that they value, and rates of currencies to all",
    )
