"""The servers of `pks up --profile demo`: those that no setting names, from their wheels, below the data folder.

Guarantees: what a setting names is used as it is; a server that is started here ends with this process, and keeps what
it holds for the next start.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from connectors.servers import nats, postgres, questdb
from topology.settings import Settings

FOLDER = "servers"
SERVERS = ("postgres", "nats", "questdb")
"""The settings that name one."""


@contextmanager
def local_servers(settings: Settings) -> Iterator[Settings]:
    """Settings that name every server that this machine has. Raises ServerUnavailable where one does not start."""
    with ExitStack() as running:
        found = {}
        if not settings.postgres and postgres.available():
            server = postgres.LocalPostgres(settings.data / FOLDER / "postgres")
            running.enter_context(server)
            found["postgres"] = _migrated(server)
        if not settings.nats and nats.available():
            broker = running.enter_context(nats.LocalNats(settings.data / FOLDER / "nats"))
            found["nats"] = broker.url
        if not settings.questdb and questdb.available():
            series = running.enter_context(questdb.LocalQuestdb(settings.data / FOLDER / "questdb"))
            found["questdb"] = f"http://{series.address}"
        yield settings.model_copy(update=found)


def _migrated(server: postgres.LocalPostgres) -> str:
    from connectors.postgres.migrating import migrate

    asyncio.run(migrate(server.url()))
    return server.url()
