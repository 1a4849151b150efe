"""The checkpoint of the positions stage: its table as of a place in its input, to start from when it is lost."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make it."""
    op.execute(
        "create table back_office.position_snapshot ("
        "  log_partition integer, key bytea, value bytea not null, primary key (log_partition, key))"
    )
    op.execute(
        "create table back_office.position_snapshot_mark ("
        "  log_partition integer primary key, generation integer not null, consumed bigint not null,"
        "  changelog_offset bigint not null, log_sequence bigint not null, known_at_ns bigint not null)"
    )
    op.execute(
        "grant select, insert, update, delete, truncate on back_office.position_snapshot, "
        "back_office.position_snapshot_mark to pks_writer"
    )


def downgrade() -> None:
    """Take it away."""
    op.execute("drop table back_office.position_snapshot, back_office.position_snapshot_mark")
