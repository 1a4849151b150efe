"""Migrations: the schemas of a database brought to a revision, up or down, by alembic over asyncpg.

Guarantees: a run is one transaction; two runs at once wait for each other.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

_LOCK = 7_165_515_117
"""The advisory lock of whoever migrates."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def newest_revision() -> str:
    """The revision that this version of PKS makes."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def revisions() -> list[str]:
    """All revisions, the first one first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


async def migrate(url: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring a database to a revision (`head`, `base`, or one of `revisions()`); from which, to which (None: empty).

    `url` is that of its owner. Raises what SQLAlchemy and asyncpg raise.
    """
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


def _run(connection: Connection, revision: str) -> tuple[str | None, str | None]:
    config = _config()
    config.attributes["connection"] = connection
    connection.execute(text(f"select pg_advisory_lock({_LOCK})"))
    before = _current(connection)
    known = revisions()
    downwards = revision == "base" or (
        revision in known and before in known and known.index(revision) < known.index(before)
    )
    connection.commit()
    (command.downgrade if downwards else command.upgrade)(config, revision)
    connection.commit()
    after = _current(connection)
    connection.execute(text(f"select pg_advisory_unlock({_LOCK})"))
    connection.commit()
    return before, after


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
