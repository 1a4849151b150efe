"""How commands speak: one JSON document or tables on stdout, faults and progress on stderr, exact exit codes."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""

ROWS_SHOWN_MAX = 200
"""Most rows of a table for people, which is slow to lay out and too long to read beyond; `--json` has all."""

_TEXT_WIDTH_LEAST = 8
_FIGURE_WIDTH_LEAST = 4
"""Columns that a text keeps beside figures of any length (it is folded below its own width), and that a figure keeps."""

NAMES_SAID_MAX = 20
"""Most names that are said where one was asked for that is not there."""

EXIT_FAILURE = 1
EXIT_BAD_INPUT = 2
EXIT_STATE = 3


class CommandError(Exception):
    """A command cannot go on: lines for stderr, and the exit code of the contract."""

    def __init__(self, *lines: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.exit_code = exit_code


def bad_input(lines: Iterable[object]) -> NoReturn:
    """Refuse the input: one line a fault, nothing applied, exit code 2."""
    raise CommandError(*(str(line) for line in lines), exit_code=EXIT_BAD_INPUT)


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    # Whole before the first byte goes out; escaped where stdout cannot take every character as it is.
    escape = not (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(document, ensure_ascii=escape) + "\n")


def console(file_width: int = _FILE_WIDTH) -> Console:
    """Standard output for people, on a terminal as wide as that is."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else file_width)


def messages() -> Console:
    """Standard error for people: progress and remarks."""
    return Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """A remark on standard error, as it is: nothing in it is markup, and it is not folded."""
    messages().print(line, markup=False, soft_wrap=True)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    file_width: int = _FILE_WIDTH,
    whole: Collection[str] = (),
) -> None:
    """A table for people: its first `ROWS_SHOWN_MAX` rows, and on stderr how many more there are.

    Cells of the columns in `whole` are to be copied: they stand in one line.
    """
    table = Table(title=title, title_justify="left", header_style="bold")
    remaining = iter(rows)
    first = islice(remaining, ROWS_SHOWN_MAX)
    filled = [[("" if cell is None else str(cell)) for cell in row] for row in first]
    more = sum(1 for _ in remaining)
    shown = console(file_width)
    by_column = [[row[index] for row in filled] for index in range(len(columns))]
    are_figures = [bool(cells) and all(map(_is_figure, cells)) for cells in by_column]
    cap = _figures_cap(columns, by_column, are_figures, whole, shown.width)
    # Figures to the right.
    for column, figures in zip(columns, are_figures, strict=True):
        table.add_column(
            column,
            justify="right" if figures else "left",
            overflow="fold",
            no_wrap=figures or column in whole,
            max_width=cap if figures else None,
        )
    for row in filled:
        cells = [cut(cell, cap) if figures else cell for cell, figures in zip(row, are_figures, strict=True)]
        # As text: an identifier may look like markup.
        table.add_row(*map(Text, cells))
    shown.print(table)
    if more:
        say(f"{title}: {more:,} more: --json shows all")


def _figures_cap(
    columns: Sequence[str],
    by_column: Sequence[Sequence[str]],
    are_figures: Sequence[bool],
    whole: Collection[str],
    width: int,
) -> int | None:
    """Most characters of a figure, where all of them would leave texts less than they need; None where all fit."""
    # A column has a space on each side, and a line before it.
    left = width - 3 * len(columns) - 1
    widths = []
    for column, cells, figures in zip(columns, by_column, are_figures, strict=True):
        widest = max((len(cell) for cell in (column, *cells)), default=0)
        if figures:
            widths.append(widest)
        else:
            left -= widest if column in whole else min(widest, _TEXT_WIDTH_LEAST)
    if sum(widths) <= left:
        return None
    caps = range(max(widths, default=0), _FIGURE_WIDTH_LEAST, -1)
    return next((cap for cap in caps if sum(min(wide, cap) for wide in widths) <= left), _FIGURE_WIDTH_LEAST)


def cut(figure: str, characters: int | None) -> str:
    """A figure in at most so many characters, marked where digits are left out."""
    return figure if characters is None or len(figure) <= characters else f"{figure[: characters - 1]}…"


def _is_figure(cell: str) -> bool:
    return cell in ("", "-") or cell.rstrip("…").lstrip("+-").replace(".", "", 1).replace(",", "").isdigit()


def print_facts(facts: Mapping[str, object], on: Console | None = None) -> None:
    """Names and values, one a line; on standard output where nothing else is said."""
    shown = on or console()
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        shown.print(f"{name.ljust(width)}  {value}", markup=False, soft_wrap=True)


def at_sequence(sequence: int | None) -> str:
    """The end of a title: at which sequence, where the log has one."""
    return "" if sequence is None else f" at sequence {sequence}"


def shorten(number: str | None, decimals: int = 8) -> str:
    """A figure for a table: at most `decimals` decimals, marked where digits are left out."""
    if number is None:
        return "-"
    whole, _, fraction = number.partition(".")
    return number if len(fraction) <= decimals else f"{whole}.{fraction[:decimals]}…"


def say_what_there_is(asked: str, there: Iterable[str]) -> None:
    """Say on stderr that nothing was found under a name, and which names there are."""
    names = sorted(filter(None, there))
    more = f" and {len(names) - NAMES_SAID_MAX:,} more" if len(names) > NAMES_SAID_MAX else ""
    found = f"there are {', '.join(names[:NAMES_SAID_MAX])}{more}" if names else "there are none at all"
    say(f"nothing found: {asked}; {found}")


def progress() -> Progress:
    """A progress bar on stderr; it shows nothing where stderr is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=messages(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
