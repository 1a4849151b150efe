"""`pks verify`: every identity over the state and the log, each with its residual."""

from typing import Annotated

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption
from topology.cli.output import EXIT_FAILURE, messages, print_json, print_table, progress
from topology.cli.reading_options import opened_log


def verify(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Without recomputation, changelogs and replay, which take longest."),
    ] = False,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check every identity over the whole state and the log; exit code 1 where one does not hold."""
    from topology import verify as verification
    from topology.log_reading import applied_offsets, partition_count

    with opened_log(data, transport) as log, progress() as bar:
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
    holds = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": holds, "checks": [check.document() for check in checks], **shown})
    else:
        documents = [check.document() for check in checks]
        print_table(
            f"Identities at sequence {shown['sequence']}",
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
                messages().print(f"{check.name}: {finding}", markup=False, soft_wrap=True)
    return 0 if holds else EXIT_FAILURE


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(verify)
