"""`pks verify`: every identity over the state and the log, each with its residual."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption
from topology.cli.output import (
    EXIT_FAILURE,
    at_sequence,
    bad_input,
    print_json,
    print_table,
    progress,
    say,
)
from topology.cli.reading_options import opened_embedded_log, opened_log, stopped_replay

if TYPE_CHECKING:
    from topology.verifying.checks import Check


def verify(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Without recomputation, changelogs and replay, which take longest."),
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="Check instead that what `pks replay --certificate` wrote holds, by replaying it.",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=1024, help="Processes that replay for a certificate.")
    ] = 1,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check every identity over the whole state and the log; exit code 1 where one does not hold."""
    if certificate is not None:
        if quick:
            bad_input(["--quick: expected without --certificate, which is checked by a replay"])
        return _verify_certificate(certificate, processes, data, transport, as_json)
    from topology.log_reading import applied_offsets, partition_count
    from topology.verifying import verify as verification

    with opened_log(data, transport, settled=True) as log, progress() as bar:
        tasks: dict[str, object] = {}

        def step(name: str, done: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.advance(tasks[name], done)  # type: ignore[arg-type]

        checks = verification.verify(log, quick=quick, step=step)
        shown = {
            "sequence": log.sequence,
            "applied_offsets": applied_offsets(log, partition_count(log)),
        }
        if log.sequence is None:
            left_out = ", ".join(verification.LEFT_OUT_ON_A_CLUSTER)
            say(f"left out on Kafka: {left_out}")
    return _print_checks(checks, shown, as_json)


def _verify_certificate(path: Path, processes: int, data: Any, transport: Any, as_json: bool) -> int:
    from topology.log_reading import partition_count
    from topology.replaying.certificate import CertificateFault, check_certificate, read_certificate
    from topology.replaying.outcome import Outcome, Span
    from topology.replaying.replay import replay_whole
    from topology.runtime import PartitionStopped

    try:
        manifest = read_certificate(path)
    except CertificateFault as fault:
        bad_input([fault])
    with opened_embedded_log(data, transport, "pks verify --certificate") as log, progress() as bar:

        def replayed(spans: Sequence[Span]) -> Outcome:
            task = bar.add_task("replaying", total=sum(span.end for span in spans))
            return replay_whole(
                log, partition_count(log), spans, processes, lambda records: bar.advance(task, records)
            )

        try:
            checks = check_certificate(log, manifest, replayed)
        except PartitionStopped as stopped:
            stopped_replay(stopped)
        shown = {
            "sequence": log.sequence,
            "applied_offsets": manifest.inputs,
            "manifest_hash": manifest.manifest_hash,
            "made_at": manifest.made_at,
        }
    return _print_checks(checks, shown, as_json)


def _print_checks(checks: "Sequence[Check]", shown: dict[str, Any], as_json: bool) -> int:
    holds = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": holds, "checks": [check.document() for check in checks], **shown})
    else:
        documents = [check.document() for check in checks]
        print_table(
            "Identities" + at_sequence(shown["sequence"]),
            ("check", "identity", "checked", "residual", ""),
            (
                [
                    one["name"],
                    one["identity"],
                    one["checked"],
                    one["residual"],
                    "ok" if one["ok"] else "BROKEN",
                ]
                for one in documents
            ),
        )
        for check in checks:
            for finding in check.findings:
                say(f"{check.name}: {finding}")
    return 0 if holds else EXIT_FAILURE


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(verify)
