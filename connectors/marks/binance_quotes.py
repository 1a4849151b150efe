"""`binance-quotes`: recorded Binance streams; every change of the best bid and ask (`bookTicker`) becomes a quote.

Lines are as `binance-stream` reads them, and so are instruments; other kinds of events are skipped by their name.
- Price: the middle of bid and ask.
- Time: `T`, when the venue's book changed. Spot book tickers carry no time: the recorder's, before the event.
- Order: `u`, the venue's number of the update.
"""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from connectors.files.source import open_source
from connectors.marks.reading import QuoteOptions, QuoteStream, Reading
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
from connectors.venues.binance_markets import Market, terms_of
from connectors.venues.decoding import Numbers, checked_identifier, source_of
from schemas.quotes import Quote

NAME = "binance-quotes"


class _Ticker(msgspec.Struct):
    """The fields of a book ticker, under the venue's names."""

    symbol: str = msgspec.field(name="s")
    update: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    ask: str = msgspec.field(name="a")
    time: int | None = msgspec.field(name="T", default=None)
    event: str | None = msgspec.field(name="e", default=None)


def open_streams(path: str, options: QuoteOptions) -> list[QuoteStream]:
    """The quotes of one recording."""
    return [QuoteStream(path, lambda reading: _read(path, reading))]


def _read(path: str, reading: Reading) -> Iterator[Quote]:
    reader = TickerReader(reading, source_of(NAME, path))
    with open_source(path).open() as stream:
        for line in lines_of(stream, reading.faults, reading.counts):
            quote = reader.quote(line)
            if quote is not None:
                yield quote


class TickerReader:
    """Reads the lines of one recording, or, where they are `observed`, events that came with the time at which they did."""

    def __init__(self, reading: Reading, source: str, *, observed: bool = False) -> None:
        self._reading = reading
        self._source = source
        self._observed = observed
        self._numbers = Numbers()
        self._markets: dict[tuple[str, bool], Market] = {}
        self._envelope = msgspec.json.Decoder(Envelope)
        self._ticker = msgspec.json.Decoder(_Ticker)

    def quote(self, line: Line) -> Quote | None:
        """The quote of a line; None where it is another kind of event, or at fault."""
        faults = self._reading.faults
        try:
            envelope = self._envelope.decode(line.event)
            data = bytes(envelope.data) or line.event
            kind = kind_of(envelope, data)
            if kind == "bookTicker":
                return self._quote(self._ticker.decode(data), line)
        except BROKEN as error:
            note_fault(faults, line.number, error, line.event)
            return None
        if kind is None:
            note_no_event(line, faults)
        else:
            self._reading.counts.skip(kind)
        return None

    def _quote(self, ticker: _Ticker, line: Line) -> Quote | None:
        place = f"line {line.number}"
        event_time = self._time(ticker, line, place)
        market = self._market(ticker, place)
        bid, ask = self._number(ticker.bid, "b", place), self._number(ticker.ask, "a", place)
        if event_time is None or market is None or bid is None or ask is None:
            return None
        return Quote(
            instrument=market.instrument,
            event_time=event_time,
            observed_at=(line.local_time or 0) if self._observed else 0,
            source=self._source,
            # A side without orders is quoted as 0.
            bid=bid or None,
            ask=ask or None,
            source_sequence=ticker.update,
            instrument_class=market.instrument_class,
            underlying=market.underlying,
            # An inverse contract is quoted in dollars, and settled in the coin.
            currency="USD" if market.inverse else market.currency or "",
            place=place,
        )

    def _time(self, ticker: _Ticker, line: Line, place: str) -> int | None:
        faults = self._reading.faults
        if ticker.time is None:
            if line.local_time is None:
                expected = "a time (T), or the recorder's before the event, in nanoseconds"
                faults.add(place, "T", expected, "neither")
            return line.local_time
        found = nanoseconds_of(ticker.time)
        if found is None:
            faults.add(place, "T", "a time in milliseconds, from 1970 to 2200", str(ticker.time)[:80])
        return found

    def _market(self, ticker: _Ticker, place: str) -> Market | None:
        # Only futures say what kind of event a book ticker is.
        key = (ticker.symbol, ticker.event is not None)
        market = self._markets.get(key)
        if market is None:
            market = terms_of(ticker.symbol.upper(), "futures" if key[1] else "spot")
            if not ticker.symbol or not checked_identifier(
                self._reading.faults, place, "s", market.instrument
            ):
                if not ticker.symbol:
                    self._reading.faults.add(place, "s", "a symbol", "an empty text")
                return None
            self._markets[key] = market
        return market

    def _number(self, text: str, name: str, place: str) -> Decimal | None:
        try:
            return self._numbers[text]
        except ValueError as error:
            self._reading.faults.add(place, name, str(error), text)
            return None
