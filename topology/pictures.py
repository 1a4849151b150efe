"""Pictures of figures; the only place that knows the library which draws them (optional: `pip install pks[plot]`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.times import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from topology.documents.pnl import Series


class NoPictures(Exception):
    """The library that draws is not installed."""


_COLOURS = (*(f"C{number}" for number in range(10)), "navy", "darkgreen", "maroon", "indigo")

_PANELS_MAX = 6
"""Most currencies that are drawn: a panel of less height shows nothing."""


def draw_attribution(path: Path, title: str, by_currency: Mapping[str, "Series"]) -> None:
    """Draw P&L by cause over time into a file, in the format of its ending: a panel for each currency, the one that tells most
    first. Raises NoPictures, OSError, ValueError."""
    try:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPictures("matplotlib is not installed: pip install 'pks[plot]'") from error
    ordered = sorted(by_currency.items(), key=lambda item: -len(item[1].times))
    shown = ordered[:_PANELS_MAX]
    figure = Figure(figsize=(11, 2 + 4 * max(1, len(shown))), layout="constrained")
    left_out = (
        f" ({len(ordered) - len(shown)} more currencies not drawn)" if len(ordered) > len(shown) else ""
    )
    figure.suptitle(title + left_out)
    panels = figure.subplots(max(1, len(shown)), squeeze=False)[:, 0]
    for axes, (currency, series) in zip(panels, shown, strict=False):
        moments = [_moment(each) for each in series.times]
        # A cause has the same colour in every panel.
        for number, (name, values) in enumerate(series.buckets.items()):
            if any(values):
                label = f"{name.replace('_', ' ')}  {values[-1]:+,.6g}"
                colour = _COLOURS[number % len(_COLOURS)]
                axes.plot(moments, values, label=label, color=colour, linewidth=1, drawstyle="steps-post")
        label = f"total  {series.totals[-1]:+,.6g}"
        axes.plot(moments, series.totals, label=label, color="black", linewidth=1.8, drawstyle="steps-post")
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set_ylabel(f"P&L of the day, {currency or 'no currency'}")
        axes.yaxis.set_major_formatter(_amount)
        locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="at the end")
    panels[-1].set_xlabel("event time, UTC")
    figure.savefig(path)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / NANOSECONDS_PER_SECOND, UTC)


def _amount(value: float, _place: Any) -> str:
    return f"{value:,.6g}"
