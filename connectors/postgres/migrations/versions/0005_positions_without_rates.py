"""A currency position of which nothing has a rate has no sums: they are null, and not 0."""

from alembic import op

revision = "0005"
down_revision = "0004"

_COLUMNS = ("sum_long", "sum_short", "net_open_position", "capital_charge", "settled_net_open_position")


def upgrade() -> None:
    """Let them be null."""
    for column in _COLUMNS:
        op.execute(f"alter table back_office.currency_position alter column {column} drop not null")


def downgrade() -> None:
    """Take away the rows that the older form cannot hold; their next event writes them again."""
    op.execute("delete from back_office.currency_position where sum_long is null")
    for column in _COLUMNS:
        op.execute(f"alter table back_office.currency_position alter column {column} set not null")
