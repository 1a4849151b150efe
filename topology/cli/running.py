"""`pks up`: the topology until SIGTERM: with its embedded parts in this process, or as workers on Kafka."""

import errno
from enum import StrEnum
from typing import Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import EXIT_FAILURE, EXIT_STATE, CommandError, print_facts, print_json
from topology.settings import Settings, on_kafka

OPEN_FILES_MIN = 256
OPEN_FILES_WANTED = 65_536
"""Of the files that a worker opens most are RocksDB's, one for each 64 MiB, and connections."""

_ADDRESS_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


class Profile(StrEnum):
    DEMO = "demo"
    FULL = "full"


def up(
    profile: Annotated[
        Profile,
        typer.Option(
            help="full: with every server that settings name; demo: and, for those that none names, from their wheels."
        ),
    ] = Profile.FULL,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes (or PKS_WORKERS); the embedded log has one."),
    ] = None,
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
    import structlog

    from topology.local_servers import SERVERS, local_servers
    from topology.logging import configure_logging

    settings = load_settings(data, transport, web_port=web_port, workers=workers)
    if settings.workers > 1 and not on_kafka(settings):
        raise CommandError(
            f"--workers: expected 1, found {settings.workers}: the embedded log has one worker a folder; Kafka takes "
            "more: --transport kafka://host:port",
            exit_code=EXIT_FAILURE,
        )
    configure_logging(settings)
    run = _up_on_kafka if on_kafka(settings) else _up
    if profile is Profile.DEMO:
        log = structlog.get_logger(__name__)

        def missing(name: str, reason: str) -> None:
            log.warning("a server of the profile demo is left out", name=name, reason=reason)

        with local_servers(settings, missing) as named:
            servers = {name: address for name in SERVERS if (address := getattr(named, name))}
            return run(named, as_json, servers)
    return run(settings, as_json, {})


def _up(settings: Settings, as_json: bool, servers: dict[str, str]) -> int:
    """Run the worker; `servers` are shown among its addresses."""
    from connectors.shm.errors import SharedMemoryError, SharedMemoryInUse
    from topology.up import run

    def ready(addresses: dict[str, Any]) -> None:
        if as_json:
            print_json({**addresses, **servers})
        else:
            print_facts(
                {
                    "PKS is up": f"in {addresses['ready_after_seconds']} s, process {addresses['process']}",
                    "data": addresses["data"],
                    "positions": f"{addresses['web']}/positions/BOOK",
                    "health": f"{addresses['web']}/health/ready",
                    "metrics": f"{addresses['web']}/metrics",
                    "shared memory": addresses["shared_memory"] or "off",
                    **servers,
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


def _up_on_kafka(settings: Settings, as_json: bool, servers: dict[str, str]) -> int:
    from connectors.kafka.errors import NameTakenError
    from topology.cli.recovery import RecoveryDisplay
    from topology.cluster.supervisor import run_cluster

    def ready(addresses: dict[str, Any]) -> None:
        if as_json:
            print_json({**addresses, **servers})
            return
        workers = addresses["workers"]
        facts = {"PKS is up": f"in {addresses['ready_after_seconds']} s, process {addresses['process']}"}
        facts |= {"cluster": f"{addresses['transport']} ({addresses['cluster']})", "data": addresses["data"]}
        facts |= {worker["name"]: f"{worker['web']}, process {worker['process']}" for worker in workers}
        print_facts({**facts, **servers, "stop": "Ctrl-C, or SIGTERM"})

    try:
        with RecoveryDisplay() as display:
            return run_cluster(settings, ready, display.show)
    except NameTakenError as error:
        raise CommandError(str(error), exit_code=EXIT_STATE) from error


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
