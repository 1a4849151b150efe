"""`make demo`: starts the stack, plays the simulated tape, kills the worker, and compares the books.

At the end the commands are asked what the positions are worth, what they gained, for the cash that they cost and its
currencies. Beside the worker run the servers that this machine has, fed by sinks; at the end each is asked for the
positions, Redis for the marks.

`DEMO_HOLD=1` keeps the stack running at the end; `DEMO_FILLS` sets the length of the tape; `DEMO_SERVERS=0` starts no server.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from clients.python.pks_client import PositionError, PositionReader
from connectors.shm.writer import remove
from schemas import topics
from topology.cli.output import CommandError, console, print_facts
from topology.control.entry import Entry, open_entry
from topology.control.protocol import ControlError
from topology.demo import elsewhere, figures, tape
from topology.demo import marks as prices
from topology.demo.feed import Feed
from topology.demo.stack import SHARED_MEMORY, Stack, StackFailed
from topology.demo.waiting import advice
from topology.local_servers import SERVERS, local_servers
from topology.settings import Settings

FILLS_DEFAULT = 60_000
WEB_PORT = 6066
_DATA = Path(".pks") / "demo"
_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 2.0


def main() -> int:
    """Run the demonstration; 0 where both books are equal."""
    try:
        return _run(_whole_number("DEMO_FILLS", FILLS_DEFAULT), _whole_number("PKS_WEB_PORT", WEB_PORT))
    except (StackFailed, CommandError, ControlError) as failed:
        # Of the port the worker says what to set; here that is the demonstration's command.
        hint = "\nWith a free port: PKS_WEB_PORT=0 make demo" if "PKS_WEB_PORT (" in str(failed) else ""
        sys.stderr.write(f"{failed}{hint}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _whole_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise CommandError(f"{name}: expected a whole number, found {text!r:.80}")
    return int(text)


def _run(number: int, web_port: int) -> int:
    data = Path(os.environ.get("DEMO_DATA", _DATA))
    shutil.rmtree(data, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    fills = list(tape.fills(number))
    console().print(
        f"[bold]PKS demonstration[/bold]: {len(fills):,} SIMULATED fills (seed {tape.SEED}): late, twice, amended, "
        "cancelled; FIFO, LIFO and average books; an inverse perpetual, a future, an option"
    )
    with contextlib.ExitStack() as running:
        named = Settings(data=data)
        if os.environ.get("DEMO_SERVERS") != "0":
            named = running.enter_context(local_servers(named, _say_missing))
        servers = {name: address for name in SERVERS if (address := getattr(named, name))}
        stack = Stack(data, web_port, os.environ.get("PKS_SHARED_MEMORY", SHARED_MEMORY), **servers)
        try:
            stack.start()
            return _play(stack, fills, named)
        finally:
            stack.stop()
            if stack.addresses:
                # It was this stack's: a stopped worker leaves its last state to readers, of whom there are none here.
                remove(stack.shared_memory)


def _say_missing(name: str, reason: str) -> None:
    console().print(f"without {name}: {reason}", markup=False)


def _play(stack: Stack, fills: list[object], named: Settings) -> int:
    with open_entry(Settings(data=stack.data)) as entry:
        _define(entry)
        entry.publish(topics.MARKS, list(figures.rates()), topics.MARKS.key_of)
    feed = Feed(stack.data, stack.shared_memory, fills)
    started = time.monotonic()
    feed.start()
    killed = _watch(stack, feed, started)
    feed.join()
    seconds = time.monotonic() - started
    with open_entry(Settings(data=stack.data)) as entry:
        entry.gate.settle()
        counts = entry.gate.counts([tape.SOURCE])[tape.SOURCE]
        marks = list(prices.marks_of(fills))
        entry.publish(topics.MARKS, marks, topics.MARKS.key_of)
    live = stack.ask("book-hash")["book_hash"]
    clean = _clean_run(stack, fills)
    equal = live == clean
    console().print()
    print_facts(
        {
            "sent": f"{feed.total:,} fills in {seconds:.1f} s ({feed.total / seconds:,.0f} a second, durable)",
            "killed": f"process {killed} with -9 in the middle; {feed.sent_again} fills were sent again",
            "became": f"{counts[0]:,} read, {counts[1]:,} duplicates, {counts[2]:,} rejected",
            "latency": f"{_milliseconds(feed, 0.5)} p50, {_milliseconds(feed, 0.99)} p99 "
            "(batch sent -> slot in shared memory)",
            "book hash": live,
            "clean run": f"{clean}  {'EQUAL' if equal else 'DIFFERENT'}",
        }
    )
    _show_figures(stack)
    equal = _ask_elsewhere(stack, named, marks) and equal
    _say_how_to_look(stack)
    if os.environ.get("DEMO_HOLD") == "1":
        console().print("\nDEMO_HOLD=1: the stack keeps running; Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            stack.wait()
    return 0 if equal else 1


def _show_figures(stack: Stack) -> None:
    """Show what hangs on the positions, each as its command says it."""
    table = Table(title="What hangs on them", title_justify="left", header_style="bold", show_lines=True)
    for name in ("what", "command", "answer"):
        table.add_column(name)
    for row in figures.ask(stack.ask):
        table.add_row(*row)
    console().print()
    console().print(table)


def _ask_elsewhere(stack: Stack, named: Settings, marks: list[Any]) -> bool:
    """Show what each server says of the positions, and Redis of the marks; whether all say what the log says."""
    answers = elsewhere.ask_all(named, stack.ask("positions")["positions"])
    if named.redis:
        answers.append(prices.ask_redis(named, marks))
    if not answers:
        return True
    table = Table(
        title="The same positions, and the newest marks, elsewhere", title_justify="left", header_style="bold"
    )
    for name in ("where", "asked", "answer", "the log", ""):
        table.add_column(name)
    for found in answers:
        table.add_row(
            found.server, found.asked, found.answer, found.ours, "EQUAL" if found.equal else "DIFFERENT"
        )
    console().print()
    console().print(table)
    for found in answers:
        if found.waited_for:
            console().print(f"waited for {found.server} {found.waited_for}", markup=False)
        if not found.equal:
            console().print(advice(found.server, named), markup=False)
    return all(found.equal for found in answers)


def _define(entry: Entry) -> None:
    """Put the tape's books and instruments into the log."""
    books, instruments = tape.definitions()
    entry.publish(topics.BOOKS, books, lambda book: str(book.book))
    entry.publish(topics.INSTRUMENTS, instruments, lambda instrument: str(instrument.instrument))


def _watch(stack: Stack, feed: Feed, started: float) -> int:
    """Show the positions while the tape runs; kill the worker half-way. Returns the process that was killed."""
    killed, last_line, phase = 0, 0.0, f"process {stack.addresses['process']}"
    live = sys.stdout.isatty()
    with Live(console=console(), refresh_per_second=4, transient=False, auto_refresh=False) as screen:
        while not (killed and feed.done) and feed.failure is None:
            stack.check()
            if not killed and feed.sent >= feed.total // 2:
                killed = stack.kill()
                stack.start()
                phase = f"process {killed} killed with -9; process {stack.addresses['process']} took over"
                console().print(
                    f"killed the worker (process {killed}) with -9; ready again after "
                    f"{stack.addresses['ready_after_seconds']} s as process {stack.addresses['process']}"
                )
            if live:
                screen.update(_table(stack, feed, time.monotonic() - started, phase), refresh=True)
            elif time.monotonic() - last_line > _LINE_SECONDS:
                last_line = time.monotonic()
                console().print(_headline(feed, time.monotonic() - started, phase))
            time.sleep(_REFRESH_SECONDS)
        screen.update(_table(stack, feed, time.monotonic() - started, phase), refresh=True)
    return killed


def _milliseconds(feed: Feed, share: float) -> str:
    value = feed.latency(share)
    return "-" if value is None else f"{value:.2f} ms"


def _headline(feed: Feed, seconds: float, phase: str) -> str:
    return (
        f"{feed.sent:>7,} of {feed.total:,} fills  {feed.sent / max(seconds, 0.001):>7,.0f} a second  "
        f"p50 {_milliseconds(feed, 0.5)}  p99 {_milliseconds(feed, 0.99)}  {phase}"
    )


def _table(stack: Stack, feed: Feed, seconds: float, phase: str) -> Table:
    table = Table(title=_headline(feed, seconds, phase), title_justify="left", header_style="bold")
    for name in ("book", "instrument"):
        table.add_column(name)
    for name in ("quantity", "average price", "realised P&L", "net", "fees", "lots", "revision"):
        table.add_column(name, justify="right")
    table.add_column("status")
    try:
        slots = sorted(
            PositionReader(stack.shared_memory).positions(), key=lambda slot: (slot.book, slot.instrument)
        )
    except PositionError:
        slots = []
    for slot in slots:
        price = "-" if slot.average_price is None else f"{slot.average_price:.4f}"
        money = (f"{value:,.4f}" for value in (slot.realised_pnl, slot.net_realised_pnl, slot.fees))
        table.add_row(
            slot.book,
            slot.instrument,
            f"{slot.quantity:,}",
            price,
            *money,
            str(slot.lots_open),
            f"{slot.revision:,}",
            slot.status.value,
        )
    return table


def _clean_run(stack: Stack, fills: list[object]) -> str:
    """The book hash of the same tape in a folder of its own, without Faust, processes or kills."""
    with tempfile.TemporaryDirectory(prefix="pks-demo-") as folder:
        data = Path(folder) / "clean"
        with open_entry(Settings(data=data)) as entry:
            _define(entry)
            entry.submit(fills)
        return str(stack.ask("book-hash", data=data)["book_hash"])


def _say_how_to_look(stack: Stack) -> None:
    web = stack.addresses["web"]
    console().print(
        f"""
Look further (data in {stack.data}; the first three need the stack: DEMO_HOLD=1 make demo):
  curl {web}/positions/CRYPTO
  curl {web}/health/ready
  PKS_SHARED_MEMORY={stack.shared_memory} .venv/bin/pks shm dump
  .venv/bin/pks positions --data {stack.data} --lots
  .venv/bin/pks pnl --data {stack.data}
  .venv/bin/pks verify --data {stack.data}
  .venv/bin/pks replay --data {stack.data}""",
        markup=False,
    )


if __name__ == "__main__":
    sys.exit(main())
