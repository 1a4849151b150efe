"""Options of the reading commands, and how they open what they read."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.progress import TaskID

from topology.cli.options import load_settings, refuse_kafka
from topology.cli.output import EXIT_FAILURE, EXIT_STATE, CommandError, bad_input, progress, say
from topology.settings import Settings, on_kafka

if TYPE_CHECKING:
    from datetime import date

    from connectors.embedded.log import EmbeddedLog
    from schemas.topics import Topic
    from topology.cluster.copy import ClusterCopy
    from topology.documents.views import View
    from topology.history.checkpoints import Checkpoints
    from topology.history.points import Point
    from topology.log_reading import WholeLog

BookOption = Annotated[str | None, typer.Option("--book", help="This book only.", show_default=False)]
InstrumentOption = Annotated[
    str | None, typer.Option("--instrument", help="This instrument only.", show_default=False)
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        help="What was executed up to then, with all that is known now.",
        show_default=False,
    ),
]
KnownAtOption = Annotated[
    str | None,
    typer.Option(
        "--known-at",
        metavar="TIME|OFFSET",
        help="What the log said by then: a time, a sequence number, or topic:partition=offset,...",
        show_default=False,
    ),
]


@contextlib.contextmanager
def opened_log(data: Path | None, transport: str | None, *, settled: bool = False) -> Iterator["WholeLog"]:
    """The log of the data folder, to read beside its owner; on a cluster the copy of its tables, caught up.

    `settled` where tables and topics must be of one moment, those of every stage.
    """
    with opened_log_of(load_settings(data, transport), settled=settled) as log:
        yield log


@contextlib.contextmanager
def opened_log_of(settings: Settings, *, settled: bool = False) -> Iterator["WholeLog"]:
    """The same for settings that are loaded already."""
    with _opened_copy(settings, settled) if on_kafka(settings) else _opened_folder(settings.data) as log:
        yield log


@contextlib.contextmanager
def opened_if_made(settings: Settings) -> Iterator["WholeLog | None"]:
    """The same, and None of a data folder in which nothing was ever entered."""
    from connectors.embedded.database import database_exists

    if not on_kafka(settings) and not database_exists(settings.data):
        yield None
        return
    with opened_log_of(settings) as log:
        yield log


@contextlib.contextmanager
def _opened_copy(settings: Settings, settled: bool) -> Iterator["ClusterCopy"]:
    from topology.cluster.copy import ClusterCopy
    from topology.stages import build_all

    with contextlib.closing(ClusterCopy(settings, build_all(settings) if settled else None)) as copy:
        with progress() as bar:
            tasks: dict[str, TaskID] = {}

            def told(place: str, next_offset: int, end: int) -> None:
                if place not in tasks:
                    tasks[place] = bar.add_task(f"catching up {place}", total=end)
                bar.update(tasks[place], completed=next_offset, total=end)

            if settled:
                copy.settle(told)
            else:
                copy.catch_up(told)
        yield copy


@contextlib.contextmanager
def opened_later(settings: Settings, stages: Sequence[str], work: str = "records") -> Iterator["WholeLog"]:
    """The log with the named stages, and those before them, come to its end: shown on the way, said where one has not."""
    from topology.catching_up import caught_up

    with progress() as bar:
        task = bar.add_task(work, total=None)

        def note(done: int, whole: int) -> None:
            bar.update(task, completed=done, total=whole)

        with caught_up(settings, stages, say, note) as log:
            yield log


@contextlib.contextmanager
def opened_embedded_log(
    data: Path | None, transport: str | None, command: str, instead: str = ""
) -> Iterator["EmbeddedLog"]:
    """The same for a command that needs the embedded log; on a cluster it is refused."""
    settings = load_settings(data, transport)
    refuse_kafka(settings, command, instead)
    with _opened_folder(settings.data) as log:
        yield log


@contextlib.contextmanager
def _opened_folder(data: Path) -> Iterator["EmbeddedLog"]:
    from connectors.embedded.log import EmbeddedLog

    log = EmbeddedLog.reader(data)
    try:
        yield log
    finally:
        log.close()


@contextlib.contextmanager
def opened_view(
    data: Path | None,
    transport: str | None,
    as_of: str | None,
    known_at: str | None,
    book: str | None = None,
    *,
    past: bool = False,
) -> Iterator["View"]:
    """The state that the options name; `past` where something of the log is looked for, too."""
    from msgspec import MsgspecError

    from agents.stage import InvariantBroken
    from connectors.embedded.log import EmbeddedLog
    from topology.documents.views import view_now
    from topology.history.checkpoints import opened_checkpoints

    instant, point = parse_instant("--as-of", as_of), parse_option_point("--known-at", known_at)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(opened_log(data, transport))
        kept = None
        if isinstance(log, EmbeddedLog) and (past or point is not None):
            kept = stack.enter_context(opened_checkpoints(log, left_out))
        if point is not None:
            view = stack.enter_context(_known_view(log, instant, point, book, kept))
        else:
            view = view_now(log, as_of=instant, checkpoints=kept)
        try:
            say_waiting(view, book)
            yield view
        except (MsgspecError, InvariantBroken) as error:
            raise CommandError(
                f"{log.folder}: expected tables that this version can read, found: {error}; `pks verify` says more, "
                "and `pks rebuild` makes them anew from the log (docs/operating/rebuild.md)",
                exit_code=EXIT_STATE,
            ) from error


@contextlib.contextmanager
def _known_view(
    log: "WholeLog", as_of: int | None, point: "Point", book: str | None, kept: "Checkpoints | None"
) -> Iterator["View"]:
    """The state that was known at a point of the log."""
    from schemas import topics
    from topology.documents.views import view_of
    from topology.history.points import PointFault
    from topology.log_reading import partitions_to_read
    from topology.runtime import PartitionStopped

    with contextlib.ExitStack() as stack:
        try:
            with progress() as bar:
                task = bar.add_task("replaying", total=None)
                view = stack.enter_context(
                    view_of(
                        log,
                        as_of=as_of,
                        known_at=point,
                        book=book,
                        progress=lambda records: bar.advance(task, records),
                        checkpoints=kept,
                    )
                )
            say_point("--known-at", point, topics.BOOKINGS, partitions_to_read(view.partitions, book))
        except PointFault as fault:
            bad_input([f"--known-at: {fault}"])
        except PartitionStopped as stopped:
            stopped_replay(stopped)
        yield view


def say_waiting(view: "View", book: str | None) -> None:
    """Say of which positions bookings wait for a re-match: what is shown does not have them."""
    for (name, instrument), count in view.waiting_bookings(book).items():
        say(
            f"{name}/{instrument}: a re-match is under way, and {count:,} "
            f"{'booking waits' if count == 1 else 'bookings wait'}: shown is the position as it was before"
        )


def say_missing_book(view: "View", book: str | None) -> None:
    """For who found nothing: whether that is since the log has no such book (a name that is mistyped, perhaps)."""
    from topology.documents.queries import position_names
    from topology.log_reading import partitions_to_read

    if book is None:
        return
    partitions = partitions_to_read(view.partitions, book) if view.partitions else ()
    if all(name != book for name, _ in position_names(view.log, partitions)):
        say(f"--book: the log has no book {book!r:.80} with positions")


def left_out(reason: str) -> None:
    """Checkpoints cannot be used: what is shown is the same, and takes longer."""
    say(f"checkpoints left out: {reason}")


def stopped_replay(stopped: Exception) -> NoReturn:
    """A replay met a broken invariant."""
    raise CommandError(
        f"replay stopped: {stopped}; run `pks verify`, and see docs/operating/partition-stopped.md",
        exit_code=EXIT_FAILURE,
    )


def parse_day(option: str, text: str) -> "date":
    """A day that an option names; ends the command where it is none."""
    from datetime import date

    try:
        found = date.fromisoformat(text)
        if found.isoformat() == text:
            return found
    except ValueError:
        pass
    return bad_input([f"{option}: expected a day as YYYY-MM-DD, found {text!r:.80}"])


def business_date(text: str | None) -> str:
    """A day that an option gives as YYYY-MM-DD; empty where it gives none, or a time."""
    from datetime import date

    try:
        return text if text and date.fromisoformat(text).isoformat() == text else ""
    except ValueError:
        return ""


def parse_instant(option: str, text: str | None) -> int | None:
    """A time option; a fault is bad input."""
    from schemas.times import parse_time

    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        bad_input([f"{option}: expected {error}, found {text!r:.80}"])


def parse_option_point(option: str, text: str | None) -> "Point | None":
    """A point of the log as an option; a fault is bad input."""
    from topology.history.points import PointFault, parse_point

    if text is None:
        return None
    try:
        return parse_point(text)
    except PointFault as fault:
        bad_input([f"{option}: {fault}"])


def ends_at(log: "WholeLog", point: "Point | None", topic: "Topic") -> dict[int, int] | None:
    """The offsets by partition before which a topic was known at the point that `--known-at` names; None for all of it."""
    from topology.history.points import PointFault, offsets_at
    from topology.log_reading import partition_count

    if point is None:
        return None
    try:
        return dict(enumerate(offsets_at(log, point, topic, partition_count(log))))
    except PointFault as fault:
        bad_input([f"--known-at: {fault}"])


def say_point(
    option: str, point: "Point", topic: "Topic", partitions: Iterable[int], *, start: bool = False
) -> None:
    """Say what a point leaves open: partitions that its vector does not name, or a time that has not come yet.

    `start` where what is left out begins at its start, not at its end.
    """
    import time

    from topology.history.points import unnamed_partitions

    left = unnamed_partitions(point, topic, partitions)
    if left:
        taken = "taken from its first record on" if start else "taken whole"
        names = ", ".join(f"{topic.name}:{partition}" for partition in left)
        say(f"{option}: not named, so {taken}: {names}")
    if point.time_ns is not None and point.time_ns > time.time_ns():
        say(f"{option}: {point} has not come yet; what is in the log now is taken")


def print_view(view: "View") -> None:
    """Say, for people, what was shown."""
    shown: dict[str, Any] = view.document()
    offsets = ", ".join(
        f"{topic}:{partition}={offset}"
        for topic, by_partition in shown["applied_offsets"].items()
        for partition, offset in by_partition.items()
    )
    parts = [
        f"as of {shown['as_of']}" if "as_of" in shown else "",
        f"known at {shown['known_at']}" if "known_at" in shown else "",
        "" if shown["sequence"] is None else f"sequence {shown['sequence']}",
        f"applied {offsets}" if offsets else "",
        f"{shown['records_behind']} records not applied yet" if shown["records_behind"] else "",
    ]
    say("shown: " + "; ".join(part for part in parts if part))
