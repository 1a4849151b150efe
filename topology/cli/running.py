"""`pks up`: the topology, with its embedded parts, until SIGTERM."""

import errno
from enum import StrEnum
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import EXIT_FAILURE, EXIT_STATE, CommandError, messages, print_facts, print_json

OPEN_FILES_MIN = 256
OPEN_FILES_WANTED = 65_536
"""Of the files that a worker opens most are RocksDB's, one for each 64 MiB, and connections."""

_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


class Profile(StrEnum):
    DEMO = "demo"
    FULL = "full"


def up(
    profile: Annotated[
        Profile, typer.Option(help="demo: the embedded stack; full: with every server that settings name.")
    ] = Profile.DEMO,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; the embedded log has one.")] = 1,
    web_port: Annotated[
        int | None,
        typer.Option("--web-port", help="Port of the web views (or PKS_WEB_PORT); 0 takes a free one."),
    ] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> int:
    """Start the topology, print its addresses, and run until SIGTERM."""
    _allow_open_files()
    from connectors.shm.errors import SharedMemoryError, SharedMemoryInUse
    from topology.logging import configure_logging
    from topology.up import run

    settings = load_settings(data, transport, web_port=web_port)
    if workers > 1:
        raise CommandError(
            f"--workers: expected 1, found {workers}: the embedded log has one worker a folder, and Kafka, which "
            "takes more, is not in this version",
            exit_code=EXIT_FAILURE,
        )
    if profile is Profile.FULL:
        messages().print("profile full: this version has no further servers; the embedded stack starts")
    configure_logging(settings)

    def ready(addresses: dict[str, Any]) -> None:
        if as_json:
            print_json(addresses)
        else:
            print_facts(
                {
                    "PKS is up": f"in {addresses['ready_after_seconds']} s, process {addresses['process']}",
                    "data": addresses["data"],
                    "positions": f"{addresses['web']}/positions/BOOK",
                    "health": f"{addresses['web']}/health/ready",
                    "metrics": f"{addresses['web']}/metrics",
                    "shared memory": addresses["shared_memory"] or "off",
                    "stop": "Ctrl-C, or SIGTERM",
                }
            )

    try:
        return run(settings, ready)
    except SharedMemoryInUse as error:
        raise CommandError(str(error), exit_code=EXIT_STATE) from error
    except SharedMemoryError as error:
        raise CommandError(str(error), exit_code=EXIT_FAILURE) from error
    except OSError as error:
        if error.errno not in _ADDRESS_ERRORS:
            raise
        raise CommandError(
            f"web: expected to listen on {settings.web_host}:{settings.web_port}, found: {error.strerror}; choose "
            "another port with --web-port or PKS_WEB_PORT (0 takes a free one)"
        ) from error


def _allow_open_files() -> None:
    """As many as this process may allow itself; fewer than a worker needs are refused before it fails on them."""
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if most == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, most)
    if resource.RLIM_INFINITY != allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        allowed = wanted
    if resource.RLIM_INFINITY != allowed < OPEN_FILES_MIN:
        raise CommandError(
            f"open files: expected that this process may open {OPEN_FILES_MIN}, found {allowed}; start it with "
            "ulimit -n 20000, or LimitNOFILE=20000 of its unit (docs/operating/memory-and-files.md)"
        )


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(up)
