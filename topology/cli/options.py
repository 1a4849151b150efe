"""Options that many commands share, and the settings that they make with the file and the environment."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from topology.cli.output import EXIT_FAILURE, CommandError, bad_input
from topology.setting_faults import setting_fault
from topology.settings import Settings, on_kafka, settings_file

EMBEDDED = "embedded://"

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the embedded log and its state (or PKS_DATA); default .pks.",
        show_default=False,
    ),
]
TransportOption = Annotated[
    str | None,
    typer.Option(
        "--transport",
        help="embedded:// or kafka://host:port[,host:port] (or PKS_TRANSPORT).",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def load_settings(data: Path | None = None, transport: str | None = None, **chosen: Any) -> Settings:
    """The settings in force: options, then the environment, then the file. Faults are bad input.

    `embedded:///path` names the data folder as well, where `--data` does not.
    """
    if data is not None:
        chosen["data"] = data
    if transport is not None:
        chosen["transport"] = transport
    try:
        settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        bad_input(setting_fault(fault, chosen) for fault in error.errors())
    except ValueError as error:
        bad_input([f"{settings_file()}: expected a TOML file, found: {error}"])
    if on_kafka(settings):
        return _checked_kafka(settings)
    if not settings.transport.startswith(EMBEDDED):
        bad_input([f"transport: expected {EMBEDDED} or kafka://host:port, found {settings.transport!r:.80}"])
    path = settings.transport.removeprefix(EMBEDDED)
    if path and data is None and "data" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data": Path(path)})
    return settings


def _checked_kafka(settings: Settings) -> Settings:
    from connectors.kafka.errors import LinkError
    from topology.cluster.places import link_of

    try:
        link_of(settings)
    except LinkError as error:
        bad_input([f"transport: {error}"])
    return settings


def refuse_kafka(settings: Settings, command: str, instead: str = "") -> None:
    """Refuse a command that only the embedded log has; `instead` says what to do on Kafka."""
    if on_kafka(settings):
        raise CommandError(
            f"{command}: expected {EMBEDDED}, found {settings.transport!r:.80}: it works on the embedded log alone"
            + (f"; {instead}" if instead else ""),
            exit_code=EXIT_FAILURE,
        )
