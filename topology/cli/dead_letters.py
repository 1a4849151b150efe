"""`pks dlq list|show|retry|drop`: what could not be applied, and what to do with it."""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import CommandError, at_sequence, bad_input, print_facts, print_json, print_table
from topology.cli.reading_options import opened_log

if TYPE_CHECKING:
    from topology.documents.dead_letters import Letter

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: inputs that could not be applied.")


class Status(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    RETRIED = "retried"
    DROPPED = "dropped"


StageOption = Annotated[str | None, typer.Option("--stage", help="Of this stage only.", show_default=False)]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", help="Of this kind only: rejected, unreadable, failed.", show_default=False),
]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID...", help="Ids as `pks dlq list` prints them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every open one that --stage and --kind leave.")]


@dlq.command("list")
def list_letters(
    stage: StageOption = None,
    kind: KindOption = None,
    status: Annotated[
        Status | None, typer.Option("--status", help="In this state only.", show_default=False)
    ] = None,
    trade: Annotated[
        str | None, typer.Option("--trade", help="Of this trade id only.", show_default=False)
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters in the order of their coming."""
    from topology.documents.dead_letters import dead_letters_document
    from topology.log_reading import partition_count

    with opened_log(data, transport) as log:
        found = dead_letters_document(
            log,
            partition_count(log),
            stage=stage,
            kind=kind,
            status=None if status is None else status.value,
            trade_id=trade,
        )
        sequence = log.sequence
    if as_json:
        print_json({"dead_letters": found, "sequence": sequence})
        return
    print_table(
        "Dead letters" + at_sequence(sequence),
        ("id", "status", "kind", "trade", "reason", "field", "expected", "found"),
        (
            [
                letter[name]
                for name in ("id", "status", "kind", "trade_id", "reason", "field", "expected", "found")
            ]
            for letter in found
        ),
        whole=("id",),
    )


@dlq.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `pks dlq list` prints it.")],
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter with its reason and its original bytes."""
    letter = _find([identity], data, transport)[0]
    if as_json:
        print_json(letter.document)
    else:
        print_facts(letter.document)


@dlq.command()
def retry(
    identities: IdsArgument = None,
    every: AllOption = False,
    stage: StageOption = None,
    kind: KindOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the originals again. What was retried already is left alone."""
    from topology.documents.dead_letters import retry_records

    letters = _chosen(identities, every, stage, kind, data, transport)
    _resolve(letters, Status.RETRIED, retry_records, data, transport, as_json)


@dlq.command()
def drop(
    identities: IdsArgument = None,
    every: AllOption = False,
    stage: StageOption = None,
    kind: KindOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that nothing is to be done about them. They stay in the log."""
    from topology.documents.dead_letters import drop_records

    letters = _chosen(identities, every, stage, kind, data, transport)
    _resolve(letters, Status.DROPPED, drop_records, data, transport, as_json)


def _chosen(
    identities: list[str] | None, every: bool, stage: str | None, kind: str | None, data: Any, transport: Any
) -> "list[Letter]":
    """The letters that the arguments name; all of them must be there."""
    from topology.documents.dead_letters import dead_letters_document
    from topology.log_reading import partition_count

    if bool(identities) == every:
        bad_input(["ID: expected ids, or --all, and not both"])
    if identities:
        if stage is not None or kind is not None:
            bad_input(["--stage, --kind: expected with --all only, found beside ids"])
        return _find(list(dict.fromkeys(identities)), data, transport)
    with opened_log(data, transport) as log:
        found = dead_letters_document(
            log, partition_count(log), stage=stage, kind=kind, status=Status.OPEN.value
        )
    return _find([letter["id"] for letter in found], data, transport)


def _find(identities: list[str], data: Any, transport: Any) -> "list[Letter]":
    from topology.documents.dead_letters import find_dead_letter
    from topology.log_reading import partition_count

    with opened_log(data, transport) as log:
        partitions = partition_count(log)
        found = {
            identity: find_dead_letter(log, partitions, identity) if partitions else None
            for identity in identities
        }
    unknown = [identity for identity, letter in found.items() if letter is None]
    if unknown:
        bad_input(
            f"ID: expected the id of a dead letter (pks dlq list), found {identity!r:.200}"
            for identity in unknown
        )
    return [letter for letter in found.values() if letter is not None]


def _resolve(
    letters: "list[Letter]", status: Status, records_of: Any, data: Any, transport: Any, as_json: bool
) -> None:
    from topology.control.entry import open_entry
    from topology.documents.dead_letters import source_of

    _refuse_others(letters, status)
    now = [letter for letter in letters if letter.status == Status.OPEN.value]
    rejected = 0
    if now:
        sources = sorted({source for source in map(source_of, now) if source is not None})
        with open_entry(load_settings(data, transport)) as entry:
            gate = entry.gate
            before = gate.counts(sources)
            gate.append(records_of(now, gate.partitions, time.time_ns))
            gate.settle()
            after = gate.counts(sources)
            rejected = sum(after[source][2] - before[source][2] for source in sources)
    document: dict[str, Any] = {
        status.value: [letter.document["id"] for letter in now],
        "already": [letter.document["id"] for letter in letters if letter not in now],
    }
    if status is Status.RETRIED:
        document["rejected_again"] = rejected
    if as_json:
        print_json(document)
    else:
        print_facts(
            {name: len(value) if isinstance(value, list) else value for name, value in document.items()}
        )


def _refuse_others(letters: "list[Letter]", status: Status) -> None:
    """A letter that was resolved the other way stays as it is."""
    others = [letter for letter in letters if letter.status not in (Status.OPEN.value, status.value)]
    if others:
        raise CommandError(
            *(
                f"{letter.document['id']}: expected an open dead letter, found one that is {letter.status} already; "
                "nothing was changed"
                for letter in others
            )
        )


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.add_typer(dlq, name="dlq")
