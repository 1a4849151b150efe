"""`binance-stream`: recorded Binance market streams; every public trade becomes a fill of its aggressor.

Reads lines of `{"stream": "btcusdt@trade", "data": {...}}` or of the event alone, with or without the local time in
nanoseconds before them. Events `trade` are fills; every other kind (bookTicker, depthUpdate, aggTrade, which
repeats trades, ...) is skipped by its name.
- Side: `m` says that the buyer was the maker, so the aggressor sold.
- Time: `T`, in milliseconds (or microseconds, as spot streams can be asked for).
- Trade id: market, symbol and `t`, since `t` counts per symbol; `t` orders trades of one time.
- A trade without quantity (`X` = `NA`) is skipped as `trade without quantity`.

Guarantees: prices and quantities digit by digit; a trade id seen before with the same content is a duplicate,
with other content it is rejected; a line that is no event, or a trade that lacks a field, refuses the input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from connectors.files.faults import FaultCollector
from connectors.files.source import open_source
from connectors.venues.binance_lines import (
    BROKEN,
    Envelope,
    Line,
    kind_of,
    lines_of,
    nanoseconds_of,
    note_fault,
    note_no_event,
)
from connectors.venues.binance_markets import VENUE, Market, market_of, terms_of
from connectors.venues.decoding import (
    BATCH_FILLS,
    Decoded,
    DecodeOptions,
    Known,
    KnownTrades,
    Numbers,
    checked_identifier,
    source_of,
)
from schemas.events import FillEvent
from schemas.frames import wire
from schemas.identity import content_id
from schemas.units import Side

NAME = "binance-stream"
BOOK = "BINANCE"
"""The book of fills where no option says one."""

_TRADE_NUMBER_MAX = 2**63 - 1
_Fill = wire(FillEvent)


class _Trade(msgspec.Struct):
    """The fields of a trade that a fill needs, under the venue's names."""

    symbol: str = msgspec.field(name="s")
    number: int = msgspec.field(name="t")
    price: msgspec.Raw = msgspec.field(name="p")
    quantity: msgspec.Raw = msgspec.field(name="q")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    spot_flag: bool | None = msgspec.field(name="M", default=None)
    trade_kind: str | None = msgspec.field(name="X", default=None)


def decode(paths: Sequence[str], options: DecodeOptions) -> Decoded:
    """The fills of the files, in their order."""

    def batches(decoded: Decoded) -> Iterator[list[FillEvent]]:
        reader = _Reader(decoded, options)
        for path in paths:
            yield from reader.read(path)

    return Decoded(batches)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A market's terms and the book that its fills go to."""

    market: Market
    book: str


class _Reader:
    """Decodes files one after the other; trade ids and markets are known over all of them."""

    def __init__(self, decoded: Decoded, options: DecodeOptions) -> None:
        self._decoded = decoded
        self._options = options
        self._counts = decoded.counts
        self._known = KnownTrades()
        self._numbers = Numbers()
        self._placed: dict[tuple[str, str], _Placed] = {}
        self._envelope = msgspec.json.Decoder(Envelope)
        self._trade = msgspec.json.Decoder(_Trade)

    def read(self, path: str) -> Iterator[list[FillEvent]]:
        """The fills of one file, in batches."""
        source = source_of(NAME, path)
        batch: list[FillEvent] = []
        with self._decoded.reading(path) as faults, open_source(path).open() as stream:
            for line in lines_of(stream, faults, self._counts):
                fill = self._line(line, path, source, faults)
                if fill is not None:
                    batch.append(fill)
                    if len(batch) == BATCH_FILLS:
                        yield batch
                        batch = []
        if batch:
            yield batch

    def _line(self, line: Line, path: str, source: str, faults: FaultCollector) -> FillEvent | None:
        """The fill of a line; None where it is another kind of event, or at fault."""
        try:
            envelope = self._envelope.decode(line.event)
            data = bytes(envelope.data) or line.event
            kind = kind_of(envelope, data)
            if kind == "trade":
                return self._fill(data, path, line.number, source, faults)
        except BROKEN as error:
            note_fault(faults, line.number, error, line.event)
            return None
        if kind is None:
            note_no_event(line, faults)
        else:
            self._counts.skip(kind)
        return None

    def _fill(
        self, data: bytes, path: str, number: int, source: str, faults: FaultCollector
    ) -> FillEvent | None:
        place = f"line {number}"
        trade = self._trade.decode(data)
        placed = self._place(trade, path, place, faults)
        price = self._number(trade.price, "p", place, faults)
        quantity = self._number(trade.quantity, "q", place, faults)
        executed_at = nanoseconds_of(trade.time)
        if not 0 <= trade.number <= _TRADE_NUMBER_MAX:
            faults.add(place, "t", "a trade number from 0 to 2^63 - 1", str(trade.number)[:80])
            return None
        if executed_at is None:
            faults.add(place, "T", "a time in milliseconds, from 1970 to 2200", str(trade.time)[:80])
            return None
        if placed is None or price is None or quantity is None:
            return None
        if not quantity:
            self._counts.skip("trade without quantity")
            return None
        if quantity < 0 or price <= 0:
            name, found = ("q", quantity) if quantity < 0 else ("p", price)
            faults.add(place, name, "a number above 0", str(found))
            return None
        market = placed.market
        side = Side.SELL if trade.buyer_is_maker else Side.BUY
        trade_id = f"{market.trade_prefix}{trade.number}"
        event_id = content_id("fill", NAME, trade_id, side, str(quantity), str(price), str(executed_at))
        known = self._known.see((market.instrument, trade.number), event_id)
        if known is Known.SAME:
            self._counts.duplicates += 1
            return None
        if known is Known.OTHER:
            expected = "the same content for the same trade"
            self._decoded.reject(path, place, "t", expected, f"another trade {trade_id}")
            return None
        return _Fill(
            event_id=event_id,
            source=source,
            trade_id=trade_id,
            instrument=market.instrument,
            side=side,
            quantity=quantity,
            price=price,
            executed_at=executed_at,
            book=placed.book,
            source_sequence=trade.number,
            venue=VENUE,
            underlying=market.underlying,
            instrument_class=market.instrument_class,
            multiplier=market.multiplier,
            inverse=market.inverse,
            currency=market.currency,
        )

    def _place(self, trade: _Trade, path: str, place: str, faults: FaultCollector) -> _Placed | None:
        """The market and the book of a trade, looked up once a symbol."""
        market = market_of(path, trade.spot_flag is not None, trade.trade_kind is not None)
        if market is None:
            expected = "`M` (a spot trade) or `X` (a futures trade), or a folder spot, usdm or cm"
            faults.add(place, "X", expected, "neither")
            return None
        key = (trade.symbol, market)
        placed = self._placed.get(key)
        if placed is None:
            terms = terms_of(trade.symbol.upper(), market)
            if not trade.symbol:
                faults.add(place, "s", "a symbol", "an empty text")
                return None
            longest_id = f"{terms.trade_prefix}{_TRADE_NUMBER_MAX}"
            for text in (terms.instrument, longest_id):
                if not checked_identifier(faults, place, "s", text):
                    return None
            placed = _Placed(terms, self._options.book_of(terms.instrument, "", BOOK))
            self._placed[key] = placed
        return placed

    def _number(self, raw: msgspec.Raw, name: str, place: str, faults: FaultCollector) -> Decimal | None:
        """A number of a trade, as text or as a JSON number, digit by digit."""
        text = bytes(raw).decode()
        text = text[1:-1] if text.startswith('"') else text
        try:
            return self._numbers[text]
        except ValueError as error:
            faults.add(place, name, str(error), text)
            return None
