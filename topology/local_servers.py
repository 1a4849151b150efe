"""The servers of `pks up --profile demo`: those that no setting names, from their wheels, below the data folder.

Guarantees: what a setting names is used as it is; a server that is started here ends with this process, and keeps what
it holds for the next start.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from connectors.servers import postgres
from topology.settings import Settings

FOLDER = "servers"


@contextmanager
def local_servers(settings: Settings) -> Iterator[Settings]:
    """Settings that name every server that this machine has. Raises ServerUnavailable where one does not start."""
    with ExitStack() as running:
        found = {}
        if not settings.postgres and postgres.available():
            server = postgres.LocalPostgres(settings.data / FOLDER / "postgres")
            running.enter_context(server)
            found["postgres"] = _migrated(server)
        yield settings.model_copy(update=found)


def _migrated(server: postgres.LocalPostgres) -> str:
    from connectors.postgres.migrating import migrate

    asyncio.run(migrate(server.url()))
    return server.url()
