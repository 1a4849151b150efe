"""`csv-marks`: marks of a desk or a vendor: CSV, a JSON array of objects, or JSON Lines; one a row.

Columns: `instrument`, `time` (ISO 8601 with an offset), and `price`, or `bid` and `ask`, or all three; `quality`
(`indicative` or `missing`, where it is not live), `instrument_class`, `underlying`, `currency`, `accrued_interest`,
`source_sequence` (else the row's line or index).

Guarantees: a malformed value refuses the file, with every fault; rows with one side only, which are skipped where they are all
that is wrong, are among them.
"""

from collections.abc import Iterator, Mapping

from connectors.files import fields
from connectors.files.faults import FAULTS_MAX
from connectors.files.rows import Row, describe, read_rows
from connectors.files.source import open_source
from connectors.marks.reading import QuoteOptions, QuoteStream, Reading
from connectors.venues.decoding import source_of
from schemas.quotes import Quote
from schemas.units import MarkQuality

NAME = "csv-marks"

_READERS: Mapping[str, fields.Reader] = {
    "instrument": fields.identifier,
    "time": fields.time,
    "price": fields.number,
    "bid": fields.number,
    "ask": fields.number,
    "quality": fields.choice(MarkQuality),
    "instrument_class": fields.text,
    "underlying": fields.text,
    "currency": fields.text,
    "accrued_interest": fields.number,
    "source_sequence": fields.integer,
}
_REQUIRED = ("instrument", "time")


def open_streams(path: str, options: QuoteOptions) -> list[QuoteStream]:
    """The quotes of one file."""
    return [QuoteStream(path, lambda reading: _read(path, options, reading))]


def _read(path: str, options: QuoteOptions, reading: Reading) -> Iterator[Quote]:
    source = source_of(NAME, path)
    rows = read_rows(
        open_source(path),
        reading.faults,
        input_format=options.input_format,
        known=_READERS,
        required=_REQUIRED,
    )
    one_sided: list[tuple[str, str]] = []
    for row in rows:
        reading.counts.read += 1
        quote = _quote(row, source, reading)
        if quote is not None:
            if quote.price is None and not quote.no_price and None in (quote.bid, quote.ask):
                one_sided.append((row.place, _sides(quote)))
                del one_sided[FAULTS_MAX:]
            yield quote
    if reading.faults:
        # Alone they are skipped; who mends the file is to see them, too.
        for place, sides in one_sided:
            reading.faults.add(place, "price", "a price, or bid and ask", sides)


def _sides(quote: Quote) -> str:
    if quote.bid is None and quote.ask is None:
        return "neither"
    return "a bid alone" if quote.ask is None else "an ask alone"


def _quote(row: Row, source: str, reading: Reading) -> Quote | None:
    values = {}
    whole = not row.absent
    for name, read in _READERS.items():
        value = row.values.get(name)
        if value is None:
            if name in _REQUIRED and name not in row.absent:
                reading.faults.add(row.place, name, "a value", "none")
                whole = False
            continue
        try:
            values[name] = read(value)
        except ValueError as error:
            reading.faults.add(row.place, name, str(error), describe(value))
            whole = False
    if not whole:
        return None
    quality = values.pop("quality", MarkQuality.LIVE)
    if quality is MarkQuality.MISSING and "price" in values:
        reading.faults.add(row.place, "price", "no price beside the quality missing", str(values["price"]))
        return None
    return Quote(
        event_time=values.pop("time"),
        source_sequence=values.pop("source_sequence", row.number),
        source=source,
        # A mark that was stale elsewhere stands in for one that is not there.
        fallback=quality in (MarkQuality.INDICATIVE, MarkQuality.STALE),
        no_price=quality is MarkQuality.MISSING,
        place=row.place,
        **values,
    )
