"""`python -m bench [NAME...]`: measure, print, keep, compare."""

import argparse
import sys

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import history
from bench.row import Row
from bench.runner import FILLS_DEFAULT, available, run

WIDTH_MIN = 100
"""Columns that the table has in any case."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 where `--compare` finds a regression, 2 for a name that is no figure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Figures of speed, each beside a reference."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(available())}; all where none"
    )
    parser.add_argument(
        "--fills", type=int, default=FILLS_DEFAULT, help="fills a figure (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--compare",
        action="store_true",
        help=f"compare with the last release; exit 1 where a ratio is more than {history.REGRESSION:.0%}% worse",
    )
    parser.add_argument(
        "--keep-release", action="store_true", help="keep the run as what this version reaches"
    )
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    for name in options.names:
        if name not in available():
            found = f"expected a figure of {', '.join(available())}, found {name!r}"
            print(f"python -m bench: {found}", file=sys.stderr)
            return 2
    before = (history.released() or history.last()) if options.compare else None
    progress = None if options.json else lambda row: print(f"measured {row.name}", file=sys.stderr)
    rows = run(options.names, options.fills, progress)
    measured = history.describe(rows, history.command_line(given))
    path = history.keep_release(measured) if options.keep_release else history.keep(measured)
    worse = [] if before is None else history.regressions(before, measured)
    if options.json:
        document = msgspec.to_builtins(measured)
        for shown, row in zip(document["rows"], rows, strict=True):
            shown["ratio"] = row.ratio
        document["regressions"] = worse
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        print_run(measured)
        print(f"kept as {path}")
        if options.compare:
            print("\n".join(worse) or _nothing_worse(before))
    return 1 if worse else 0


def _nothing_worse(before: history.Run | None) -> str:
    if before is None:
        return "nothing to compare with: no run was kept before"
    return f"no regression against {before.versions['pks']}, measured {before.at} with: {before.command}"


def print_run(measured: history.Run) -> None:
    """The figures as a table, what each stands beside below it, and under what they were measured."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("figure")
    for title in ("value", "reference", "ratio", "CPU us"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in measured.rows:
        reference = "-" if row.reference is None else _number(row.reference)
        ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
        processor = "-" if row.cpu_us is None else f"{row.cpu_us:.1f}"
        table.add_row(Text(row.name), _value(row), reference, ratio, processor)
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH_MIN)
    console.print(table)
    console.print(
        "\nValues marked CPU are of processor time, all threads together; CPU us is that of one fill."
    )
    for row in measured.rows:
        beside = f"beside {row.reference_name}" if row.reference_name else ""
        words = "; ".join(filter(None, [beside, row.note]))
        if words:
            console.print(f"{row.name}: {words}", markup=False, soft_wrap=True)
    console.print(f"\n{measured.machine}", markup=False, soft_wrap=True)
    versions = ", ".join(f"{name} {found}" for name, found in measured.versions.items())
    console.print(f"{versions}\n{measured.command}", markup=False, soft_wrap=True)


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _value(row: Row) -> str:
    if row.value is None:
        return "-"
    return f"{_number(row.value)} {row.unit}{'' if row.cpu_us is None else ' CPU'}"


if __name__ == "__main__":
    sys.exit(main())
