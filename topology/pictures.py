"""Pictures of figures; the only place that knows the library which draws them (optional: `pip install pks[plot]`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.times import NANOSECONDS_PER_SECOND


class NoPictures(Exception):
    """The library that draws is not installed."""


def draw_attribution(
    path: Path,
    title: str,
    times: Sequence[int],
    series: Mapping[str, Sequence[float]],
    totals: Sequence[float],
) -> None:
    """Draw P&L by cause over time into a file, in the format of its ending. Raises NoPictures, OSError, ValueError."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPictures("matplotlib is not installed: pip install 'pks[plot]'") from error
    began = times[0] if times else 0
    seconds = [(each - began) / NANOSECONDS_PER_SECOND for each in times]
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots()
    for name, values in series.items():
        if any(values):
            axes.plot(seconds, values, label=name, linewidth=1, drawstyle="steps-post")
    axes.plot(seconds, totals, label="total", color="black", linewidth=1.8, drawstyle="steps-post")
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set(title=title, xlabel="seconds of event time", ylabel="P&L of the day")
    axes.legend(loc="best")
    figure.savefig(path)
