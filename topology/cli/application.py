"""The command line's one entry: every command registered, every error turned into lines and an exit code.

Each command is in a module of its own, which says `register(application)`; it imports what it needs when it
runs, so that `pks --help` is fast.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, cast

import typer

from connectors.embedded.errors import CommitError, EmbeddedLogError, ResourceError, remedy
from connectors.files.faults import InputFaults
from connectors.kafka.errors import KafkaLogError, TopicError
from topology.cli import (
    accruals,
    booking_money,
    calculators,
    checkpointing,
    currency,
    curves,
    day_closing,
    dead_letters,
    defining,
    doctor,
    explaining,
    graph,
    importing,
    loading,
    lots,
    measuring,
    money,
    pnl,
    pricing_engine,
    reading,
    rebuilding,
    replaying,
    running,
    shm,
    simulating,
    sinks,
    stating,
    valuing,
    verifying,
)
from topology.cli.output import EXIT_BAD_INPUT, EXIT_FAILURE, EXIT_STATE, CommandError, say
from topology.control.protocol import ControlError
from topology.setting_faults import unknown_variables

# Typer ships its own copy of click from 0.26 on; its public errors lead to the ones that it does not name.
_CommandLineError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])

_MODULES: tuple[Any, ...] = (
    graph,
    measuring,
    defining,
    doctor,
    lots,
    calculators,
    accruals,
    running,
    importing,
    loading,
    curves,
    stating,
    reading,
    money,
    booking_money,
    day_closing,
    pnl,
    explaining,
    valuing,
    currency,
    rebuilding,
    replaying,
    checkpointing,
    verifying,
    dead_letters,
    shm,
    simulating,
    sinks,
    pricing_engine,
)

_WITHOUT_SETTINGS = ("lots", "price", "pnl-explain", "ocp")
"""The calculators: no variable has a part in what they do."""

application = typer.Typer(
    name="pks",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pks {version('pks')}\n")
        raise typer.Exit


@application.callback()
def pks(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Position keeping: fills in, exact lots, positions and P&L out, every figure replayable from its log."""
    if context.invoked_subcommand not in _WITHOUT_SETTINGS:
        for line in unknown_variables(os.environ):
            say(line)


for module in _MODULES:
    module.register(application)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with the code of the contract: 0, 1 failure, 2 bad input, 3 state."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Identifiers are of any script; a terminal of another encoding shows escapes in place of a failure.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def _show(error: Any) -> None:
    """A wrong option or argument in one line; help, where nothing was asked for, as it is."""
    text = error.format_message()
    if not text:
        # The help of a group of commands is printed already, and is all that there is to say.
        return
    if "\n" in text:
        error.show()
        return
    context = getattr(error, "ctx", None)
    command = "pks" if context is None else context.command_path
    sys.stderr.write(f"{command}: {text} (see {command} --help)\n")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    try:
        command = typer.main.get_command(application)
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name="pks", standalone_mode=False
        )
    except CommandError as error:
        for line in error.lines:
            sys.stderr.write(f"{line}\n")
        return error.exit_code
    except InputFaults as error:
        for fault in error.faults:
            sys.stderr.write(f"{fault}\n")
        return EXIT_BAD_INPUT
    except EmbeddedLogError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILURE if isinstance(error, (CommitError, ResourceError)) else EXIT_STATE
    except (ControlError, KafkaLogError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_STATE if isinstance(error, TopicError) else EXIT_FAILURE
    except _CommandLineError as error:
        _show(error)
        return EXIT_BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader went away (`pks trades | head`): nothing more to say to it.
        sys.stderr.close()
        return 0
    except OSError as error:
        advice = remedy(str(error.strerror))
        if advice is None:
            raise
        sys.stderr.write(
            f"{error.filename or 'pks'}: expected to open it, found: {error.strerror}; {advice}\n"
        )
        return EXIT_FAILURE
    return result if isinstance(result, int) else 0
