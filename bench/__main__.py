"""`python -m bench [NAME...]`: measure, print, keep, compare."""

import argparse
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from bench import history
from bench.row import Row
from bench.runner import FILLS_DEFAULT, available, run


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
        help=f"compare with the last release; exit 1 where a ratio is more than {history.REGRESSION:.0%} worse",
    )
    parser.add_argument(
        "--keep-release", action="store_true", help="keep the run as what this version reaches"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in available():
            found = f"expected a figure of {', '.join(available())}, found {name!r}"
            print(f"python -m bench: {found}", file=sys.stderr)
            return 2
    before = (history.released() or history.last()) if options.compare else None
    progress = None if options.json else lambda row: print(f"measured {row.name}", file=sys.stderr)
    rows = run(options.names, options.fills, progress)
    measured = history.describe(rows, history.command_line())
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
            print("\n".join(worse) or f"no regression against {_named(before)}")
    return 1 if worse else 0


def _named(before: history.Run | None) -> str:
    return f"{before.versions['pks']}, measured {before.at}" if before else "anything: nothing was kept yet"


def print_run(measured: history.Run) -> None:
    """The figures as a table, and under what they were measured."""
    table = Table()
    for title in ("figure", "value", "reference", "ratio", "CPU us a fill", "note"):
        table.add_column(title, justify="left" if title in ("figure", "note") else "right")
    for row in measured.rows:
        table.add_row(row.name, _shown(row, row.value), _shown(row, row.reference), *_rest(row))
    console = Console()
    console.print(table)
    console.print(f"{measured.machine}", highlight=False)
    versions = ", ".join(f"{name} {found}" for name, found in measured.versions.items())
    console.print(f"{versions}; {measured.command}", highlight=False)


def _shown(row: Row, number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f} {row.unit}" if number >= 100 else f"{number:.3g} {row.unit}"


def _rest(row: Row) -> tuple[str, str, str]:
    ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
    processor = "-" if row.cpu_us is None else f"{row.cpu_us:.1f}"
    return ratio, processor, "; ".join(filter(None, [row.reference_name, row.note]))


if __name__ == "__main__":
    sys.exit(main())
