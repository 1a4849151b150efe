"""The servers of `pks up --profile demo`: those that no setting names, from their wheels, below the data folder.

Guarantees: what a setting names is used as it is; a server that is started here ends with this process, and keeps what
it holds for the next start; one that cannot be started is told with the reason, and the others are started.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from connectors.servers import nats, postgres, questdb, redis
from connectors.servers.process import ServerUnavailable
from topology.settings import Settings

FOLDER = "servers"


def _postgres(folder: Path, running: ExitStack) -> str:
    from connectors.postgres.migrating import migrate

    server = running.enter_context(postgres.LocalPostgres(folder))
    asyncio.run(migrate(server.url()))
    return server.url()


def _nats(folder: Path, running: ExitStack) -> str:
    return running.enter_context(nats.LocalNats(folder)).url


def _questdb(folder: Path, running: ExitStack) -> str:
    if not questdb.available():
        # To fetch it takes a minute, which nobody has asked for.
        raise ServerUnavailable(
            f"expected Java and the jar of QuestDB {questdb.QUESTDB}, found one of them missing: install Java and Maven, "
            "then .venv/bin/python -m connectors.servers.questdb fetches the jar; or name a server with PKS_QUESTDB"
        )
    return f"http://{running.enter_context(questdb.LocalQuestdb(folder)).address}"


def _redis(folder: Path, running: ExitStack) -> str:
    return running.enter_context(redis.LocalRedis(folder)).url


_STARTS: dict[str, Callable[[Path, ExitStack], str]] = {
    "postgres": _postgres,
    "nats": _nats,
    "questdb": _questdb,
    "redis": _redis,
}
"""By the setting that names a server: starts one in a folder and returns its address."""

SERVERS = tuple(_STARTS)
"""The settings that name one."""


@contextmanager
def local_servers(settings: Settings, missing: Callable[[str, str], None]) -> Iterator[Settings]:
    """Settings that name every server that this machine has; `missing` is called with each other and the reason."""
    with ExitStack() as running:
        found = {}
        for name, start in _STARTS.items():
            if getattr(settings, name):
                continue
            try:
                found[name] = start(settings.data / FOLDER / name, running)
            except ServerUnavailable as error:
                missing(name, str(error))
        yield settings.model_copy(update=found)
