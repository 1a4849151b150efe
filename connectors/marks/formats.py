"""The registry of quote formats: what `pks import` makes marks of, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.marks import alor_quotes, binance_quotes, csv_marks, lean_quotes, moex_iss
from connectors.marks.reading import QuoteOptions, QuoteStream


@dataclass(frozen=True, slots=True)
class QuoteFormat:
    """A format by its name."""

    name: str
    description: str
    open_streams: Callable[[str, QuoteOptions], list[QuoteStream]]


QUOTE_FORMATS: Mapping[str, QuoteFormat] = {
    entry.name: entry
    for entry in (
        QuoteFormat(
            binance_quotes.NAME,
            "marks: recorded Binance streams, best bid and ask",
            binance_quotes.open_streams,
        ),
        QuoteFormat(
            lean_quotes.NAME, "marks: QuantConnect Lean quotes, files or folders", lean_quotes.open_streams
        ),
        QuoteFormat(moex_iss.NAME, "marks: Moscow Exchange ISS securities, JSON", moex_iss.open_streams),
        QuoteFormat(alor_quotes.NAME, "marks: ALOR quotes, JSON", alor_quotes.open_streams),
        QuoteFormat(csv_marks.NAME, "marks of PKS: CSV, JSON or JSON Lines", csv_marks.open_streams),
    )
}
"""Every format, in the order of a list for people."""


def open_quotes(format_name: str, paths: Sequence[str], options: QuoteOptions) -> list[QuoteStream]:
    """The streams of the files of a format, in their order. Raises InputFaults for what cannot be opened."""
    streams: dict[str, QuoteStream] = {}
    for path in paths:
        for stream in QUOTE_FORMATS[format_name].open_streams(path, options):
            streams.setdefault(stream.reading.file, stream)
    return list(streams.values())
