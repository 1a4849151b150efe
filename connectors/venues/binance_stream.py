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

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from connectors.files.faults import FaultCollector
from connectors.files.rows import first_stray_line
from connectors.files.source import open_source
from connectors.venues.binance_markets import VENUE, Market, market_of, terms_of
from connectors.venues.decoding import (
    BATCH_FILLS,
    EXECUTED_AT_MAX,
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
from schemas.times import Nanoseconds
from schemas.units import Side

NAME = "binance-stream"
BOOK = "BINANCE"
"""The book of fills where no option says one."""

_MICROSECONDS_FROM = 100_000_000_000_000
"""Times from here on are microseconds: as milliseconds they would lie after the year 5000."""

_TRADE_NUMBER_MAX = 2**63 - 1
_PLACE = re.compile(r" - at `(?:\$\.?)?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")

_Fill = wire(FillEvent)


class _Envelope(msgspec.Struct):
    """A line: a combined stream's envelope, a bare event, or the answer to a subscription."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    event: str = msgspec.field(name="e", default="")
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    update: msgspec.Raw = msgspec.field(name="u", default=msgspec.Raw())
    bid: msgspec.Raw = msgspec.field(name="b", default=msgspec.Raw())
    ask: msgspec.Raw = msgspec.field(name="a", default=msgspec.Raw())


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


class _EventType(msgspec.Struct):
    """The event type alone, where there is one."""

    event: str = msgspec.field(name="e", default="")


_EVENT_TYPE = msgspec.json.Decoder(_EventType)
_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


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
        self._envelope = msgspec.json.Decoder(_Envelope)
        self._trade = msgspec.json.Decoder(_Trade)

    def read(self, path: str) -> Iterator[list[FillEvent]]:
        """The fills of one file, in batches."""
        source = source_of(NAME, path)
        batch: list[FillEvent] = []
        with self._decoded.reading(path) as faults, open_source(path).open() as stream:
            stray = first_stray_line(stream.peek(1))
            if stray is not None:
                faults.add(f"line {stray[0]}", "", "one event a line", stray[1])
                return
            for number, line in enumerate(stream, start=1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                line = line.strip()
                if not line:
                    continue
                self._counts.read += 1
                fill = self._line(line, path, number, source, faults)
                if fill is not None:
                    batch.append(fill)
                    if len(batch) == BATCH_FILLS:
                        yield batch
                        batch = []
        if batch:
            yield batch

    def _line(
        self, line: bytes, path: str, number: int, source: str, faults: FaultCollector
    ) -> FillEvent | None:
        """The fill of a line; None where it is another kind of event, or at fault."""
        text = line
        if not line.startswith(b"{"):
            local, _, text = line.partition(b" ")
            text = text.lstrip()
            if not local.isdigit() or not text.startswith(b"{"):
                found = line[:200].decode("utf-8", "replace")
                faults.add(
                    f"line {number}", "", "an event, after its local time in nanoseconds or alone", found
                )
                return None
        try:
            envelope = self._envelope.decode(text)
            data = bytes(envelope.data) or text
            kind = _kind(envelope, data)
            if kind == "trade":
                return self._fill(data, path, number, source, faults)
        except _BROKEN as error:
            _note(faults, number, error, text)
            return None
        if kind is None:
            expected = "a Binance event (`stream` and `data`, or an event type `e`)"
            faults.add(f"line {number}", "", expected, text[:200].decode("utf-8", "replace"))
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
        executed_at = _nanoseconds(trade.time)
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


def _kind(envelope: _Envelope, data: bytes) -> str | None:
    """What a line is: its event type, else the kind of its stream; None where it is no event."""
    if envelope.event:
        return envelope.event
    if envelope.data:
        event = _EVENT_TYPE.decode(data).event if data.startswith(b"{") else ""
        return event or _stream_kind(envelope.stream)
    if envelope.update and envelope.bid and envelope.ask:
        # A bare bookTicker of the spot market has no event type.
        return "bookTicker"
    return "response" if envelope.id and (envelope.result or envelope.error) else None


def _stream_kind(stream: str) -> str | None:
    """`depth20` of `btcusdt@depth20@100ms`, `ticker` of `!ticker@arr`; None without a name."""
    name, *parameters = stream.split("@")
    if stream.startswith("!"):
        return name[1:] or None
    return parameters[0] if parameters and parameters[0] else None


def _nanoseconds(time: int) -> Nanoseconds | None:
    """A venue's time in nanoseconds; None where it is none from 1970 to 2200."""
    instant = time * (1_000 if time >= _MICROSECONDS_FROM else 1_000_000)
    return Nanoseconds(instant) if 0 <= instant < EXECUTED_AT_MAX else None


def _note(faults: FaultCollector, number: int, error: Exception, event: bytes) -> None:
    """Say what the JSON decoder found wrong with a line: the field where it names one, and what stands there."""
    message = str(error)
    place = f"line {number}"
    missing = _MISSING.search(message)
    if missing is not None:
        faults.add(place, missing.group(1), "a value", "nothing")
        return
    where = _PLACE.search(message)
    if where is None:
        faults.add(place, "", f"an event in JSON ({message})", event[:200].decode("utf-8", "replace"))
        return
    faults.add(
        place,
        where.group(1),
        _PLACE.sub("", message).removeprefix("Expected "),
        _content(event, where.group(1)),
    )


def _content(event: bytes, name: str) -> str:
    """What stands in a field of an event, for a message."""
    found: object = event
    try:
        fields = msgspec.json.decode(event, type=dict[str, msgspec.Raw])
        inner = fields.get("data", msgspec.Raw())
        if name not in fields and bytes(inner).startswith(b"{"):
            fields = msgspec.json.decode(inner, type=dict[str, msgspec.Raw])
        found = bytes(fields.get(name, event))
    except _BROKEN:
        found = event
    return bytes(found[:200]).decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
