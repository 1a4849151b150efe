"""The environment of a migration: the connection that `connectors.postgres.migrating` opened, one transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="public",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
