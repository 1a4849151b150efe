"""`pks replay`: the log, or canonical files, through the stages; ends with the book hash."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import CommandError, bad_input, print_facts, print_json, progress
from topology.cli.reading_options import (
    left_out,
    opened_embedded_log,
    opened_log,
    opened_log_of,
    parse_option_point,
    say_point,
    stopped_replay,
)

if TYPE_CHECKING:
    from agents.stage import Stage
    from connectors.embedded.log import EmbeddedLog
    from topology.log_reading import WholeLog
    from topology.replaying.outcome import Outcome, Span


POSITIONS, TRADE_CAPTURE = "positions", "trade_capture"
_OF_A_FOLDER = (
    "pks replay of another stage than positions, by several processes, or for a certificate",
    "on Kafka: pks replay",
)


def replay(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Canonical files into the data folder; none: the log itself."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="OFFSET|TIME",
            help="Count from there: from the state there, or from nothing with --empty.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="OFFSET|TIME", help="Stop there.", show_default=False),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            help="The stage to begin with (default positions), or one behind the books, by itself.",
            show_default=False,
        ),
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Drop the state afterwards; without FILE this is always so.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Begin at --from with no state, instead of the state there.")
    ] = False,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=1024, help="Processes that share the partitions.")
    ] = 1,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="Write what was replayed into which books, for `pks verify --certificate`.",
            show_default=False,
        ),
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option("--input-format", help="csv, json or jsonl, where the extension does not say."),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the log into a scratch state, or canonical files into the data folder; print counts and book hash.

    Run again after a kill, a replay of files goes on: rows already in the state are duplicates.
    """
    if files:
        _refuse_log_options(start, end, stage, empty, processes, certificate)
        document = _replay_files(files, input_format, scratch, data, transport)
    else:
        document = _replay_log(start, end, stage or POSITIONS, empty, processes, certificate, data, transport)
    if as_json:
        print_json(document)
    else:
        document["applied_offsets"] = ", ".join(
            f"{topic}:{partition}={offset}"
            for topic, by_partition in document["applied_offsets"].items()
            for partition, offset in by_partition.items()
        )
        print_facts(document)


def _refuse_log_options(
    start: Any, end: Any, stage: Any, empty: bool, processes: int, certificate: Any
) -> None:
    given = {
        "--from": start is not None,
        "--to": end is not None,
        "--stage": stage is not None,
        "--empty": empty,
        "--processes": processes != 1,
        "--certificate": certificate is not None,
    }
    found = [name for name, is_given in given.items() if is_given]
    if found:
        bad_input(f"{name}: expected with a replay of the log only, found beside FILE" for name in found)


def _replay_files(
    files: list[str], input_format: str | None, scratch: bool, data: Any, transport: Any
) -> dict[str, Any]:
    from topology.replaying.files import read_files, replay_files

    settings = load_settings(data, transport)
    fills = read_files(files, input_format)
    with progress() as bar:
        task = bar.add_task("applying", total=len(fills))
        found = replay_files(
            fills, settings, opened_log_of, scratch=scratch, progress=lambda count: bar.advance(task, count)
        )
    receipt = found.receipt
    return {
        # What still waits for its trade (a worker owns the log) is neither applied nor rejected yet.
        "events": receipt.events - receipt.waiting,
        "applied": receipt.applied,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
        "waiting": receipt.waiting,
        "book_hash": found.book_hash,
        "positions": found.positions,
        "seconds": found.seconds,
        "sequence": found.sequence,
        "applied_offsets": found.offsets,
    }


def _replay_log(
    start: str | None,
    end: str | None,
    stage: str,
    empty: bool,
    processes: int,
    certificate: Path | None,
    data: Any,
    transport: Any,
) -> dict[str, Any]:
    from connectors.embedded.log import EmbeddedLog
    from topology.log_reading import partition_count
    from topology.runtime import PartitionStopped
    from topology.stages import build_all, is_spine

    known = {one.name: one for one in build_all(load_settings(data, transport))}
    declared = known.get(stage)
    if declared is None:
        bad_input([f"--stage: expected one of {', '.join(known)}, found {stage!r:.80}"])
    if processes > 1 and stage != POSITIONS:
        bad_input([f"--processes: expected 1 with --stage {stage}, found {processes}"])
    if certificate is not None and (start is not None or empty or stage != POSITIONS):
        bad_input(
            [f"--certificate: expected a replay of all bookings (no --from, no --stage but {POSITIONS})"]
        )
    if not is_spine(declared):
        return _replay_later(declared, start, end, empty, data, transport)
    topic = declared.input
    # A cluster has its bookings in the order in which they were applied; all else needs one order over its topics.
    anywhere = stage == POSITIONS and processes == 1 and certificate is None
    with (
        opened_log(data, transport)
        if anywhere
        else opened_embedded_log(data, transport, *_OF_A_FOLDER) as log
    ):
        partitions = partition_count(log)
        spans = _spans(log, topic, partitions, start, end, empty)
        try:
            outcome = _run(log, partitions, spans, stage, processes)
        except PartitionStopped as stopped:
            stopped_replay(stopped)
        document = {
            "events": outcome.events,
            "applied": outcome.applied,
            "duplicates": outcome.duplicates,
            "rejected": outcome.rejected,
            "waiting": outcome.waiting,
            "book_hash": outcome.book_hash.hexadecimal,
            "positions": outcome.positions,
            "seconds": outcome.seconds,
            "stage": stage,
            "applied_offsets": {topic.name: {str(span.partition): span.end for span in spans}},
        }
        if certificate is not None:
            assert isinstance(log, EmbeddedLog), "no other log gives certificates"
            document["manifest_hash"] = _certify(log, spans, outcome, certificate)
        return document


def _replay_later(
    stage: "Stage", start: str | None, end: str | None, empty: bool, data: Any, transport: Any
) -> dict[str, Any]:
    """A stage behind the books; it has no books, so its table is what is hashed."""
    from topology.log_reading import partition_count
    from topology.replaying.later import replay_later
    from topology.replaying.scratch_tables import tables_for
    from topology.runtime import PartitionStopped

    with opened_embedded_log(data, transport, *_OF_A_FOLDER) as log:
        partitions = partition_count(log)
        spans = _spans(log, stage.input, partitions, start, end, empty)
        ranges = [(span.partition, 0, span.end) for span in spans]
        with progress() as bar, tables_for(log, stage.input.name, ranges) as tables:
            task = bar.add_task("replaying", total=sum(span.end for span in spans))
            try:
                outcome, hashed = replay_later(
                    log, partitions, spans, stage, lambda records: bar.advance(task, records), tables
                )
            except PartitionStopped as stopped:
                stopped_replay(stopped)
        return {
            "events": outcome.events,
            "applied": outcome.applied,
            "duplicates": outcome.duplicates,
            "rejected": outcome.rejected,
            "waiting": outcome.waiting,
            "book_hash": None,
            "table_hash": hashed,
            "seconds": outcome.seconds,
            "stage": stage.name,
            "applied_offsets": {stage.input.name: {str(span.partition): span.end for span in spans}},
        }


def _certify(log: "EmbeddedLog", spans: "list[Span]", outcome: "Outcome", path: Path) -> str:
    from topology.replaying.certificate import certify, write_certificate

    manifest = certify(log, spans, outcome)
    try:
        write_certificate(path, manifest)
    except OSError as error:
        raise CommandError(
            f"--certificate: {path}: expected a file to write, found: {error.strerror}"
        ) from error
    return manifest.manifest_hash


def _spans(
    log: "WholeLog", topic: Any, partitions: int, start: str | None, end: str | None, empty: bool
) -> "list[Span]":
    from schemas import topics
    from topology.history.points import PointFault, is_after, offsets_at
    from topology.replaying.outcome import Span

    bounds = {
        "--from": [0] * partitions,
        "--to": [log.end_offset(topic.name, partition) for partition in range(partitions)],
    }
    points = {"--from": parse_option_point("--from", start), "--to": parse_option_point("--to", end)}
    if is_after(points["--from"], points["--to"]):
        bad_input([f"--from: expected a point not after --to, found {start!r:.80} after {end!r:.80}"])
    for option, point in points.items():
        if point is None:
            continue
        try:
            bounds[option] = offsets_at(
                log,
                point,
                topic,
                partitions,
                named=(topics.FILLS, topics.BOOKINGS),
                missing=0 if option == "--from" else None,
            )
        except PointFault as fault:
            bad_input([f"{option}: {fault}"])
        say_point(option, point, topic, range(partitions), start=option == "--from")
    found = [
        Span(partition, first, last, empty)
        for partition, (first, last) in enumerate(zip(bounds["--from"], bounds["--to"], strict=True))
    ]
    wrong = next((span for span in found if span.start > span.end), None)
    if wrong is not None:
        bad_input(
            [
                f"--from: expected a point not after --to, found offset {wrong.start} after {wrong.end} in "
                f"{topic.name}:{wrong.partition}"
            ]
        )
    return found


def _run(log: "WholeLog", partitions: int, spans: "list[Span]", stage: str, processes: int) -> "Outcome":
    from agents import trade_capture
    from connectors.embedded.log import EmbeddedLog
    from schemas import topics
    from topology.history.checkpoints import opened_checkpoints
    from topology.replaying.fills import replay_fills
    from topology.replaying.replay import replay_whole
    from topology.replaying.scratch_tables import tables_for

    settings = load_settings()
    with progress() as bar:
        begins = [span.start if span.empty else 0 for span in spans]
        total = sum(span.end - first for span, first in zip(spans, begins, strict=True))
        task = bar.add_task("replaying", total=total)

        def advance(records: int) -> None:
            bar.advance(task, records)

        if stage == TRADE_CAPTURE:
            capture = trade_capture.stage(settings.waiting_corrections_max, settings.waiting_ticks_max)
            ranges = [(span.partition, 0, span.end) for span in spans]
            with tables_for(log, topics.FILLS.name, ranges) as tables:
                return replay_fills(log, partitions, spans, capture, advance, tables)
        if not isinstance(log, EmbeddedLog):
            return replay_whole(log, partitions, spans, 1, advance)
        with opened_checkpoints(log, left_out) as checkpoints:
            return replay_whole(log, partitions, spans, processes, advance, checkpoints)


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(replay)
