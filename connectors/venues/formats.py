"""The registry of import formats: what can be read, by name, and what is named already and comes later."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.files.faults import refuse
from connectors.venues import binance_stream, canonical_file, ibkr_flex, lean_tick
from connectors.venues.decoding import Decoded, DecodeOptions
from schemas.units import identifier_fault

NOT_AVAILABLE = "not available in this version"

Decoder = Callable[[Sequence[str], DecodeOptions], Decoded]


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its name; `decoder` is None where this version does not read it."""

    name: str
    description: str
    decoder: Decoder | None = None

    @property
    def available(self) -> bool:
        """Whether this version reads it."""
        return self.decoder is not None


FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (
        Format(canonical_file.NAME, "fills of PKS: CSV, JSON or JSON Lines", canonical_file.decode),
        Format(binance_stream.NAME, "recorded Binance streams: public trades", binance_stream.decode),
        Format(lean_tick.NAME, "QuantConnect Lean trade ticks: files or folders", lean_tick.decode),
        Format(ibkr_flex.NAME, "Interactive Brokers Flex statements in XML", ibkr_flex.decode),
        Format("ibkr-activity", "Interactive Brokers activity statements in CSV"),
        Format("moex-iss-trades", "Moscow Exchange ISS trades"),
        Format("moex-twime", "Moscow Exchange TWIME messages"),
        Format("fix", "FIX execution reports"),
        Format("coinbase", "Coinbase fills and matches"),
        Format("hyperliquid", "Hyperliquid user fills"),
        Format("polymarket", "Polymarket trades"),
        Format("alor", "ALOR trades"),
    )
}
"""Every format, in the order of a list for people."""


def decode(format_name: str, paths: Sequence[str], options: DecodeOptions | None = None) -> Decoded:
    """Start decoding files of a format. Raises InputFaults at once for a format that this version does not read,
    and while the result is iterated for what is wrong with the files."""
    known = FORMATS.get(format_name)
    readable = ", ".join(name for name, entry in FORMATS.items() if entry.available)
    if known is None:
        refuse("--format", f"one of {readable}", format_name)
    if known.decoder is None:
        refuse("--format", f"one of {readable} ({format_name} is {NOT_AVAILABLE})", format_name)
    options = DecodeOptions() if options is None else options
    for name, book in (("--book", options.book), *(("--books", book) for book in options.books.values())):
        expected = None if book is None else identifier_fault(book)
        if book is not None and expected is not None:
            refuse(name, expected, book)
    return known.decoder(paths, options)
