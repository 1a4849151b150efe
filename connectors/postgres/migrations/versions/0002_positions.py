"""Positions and lots as they are, and what each trade did to its position in both times."""

from alembic import op

revision = "0002"
down_revision = "0001"

_NAME = 'book text collate "C" not null, instrument text collate "C" not null'
_ORDER = 'executed_at_ns bigint not null, source_sequence bigint not null, trade_id text collate "C" not null'

_POSITION = f"""
create table position.position (
    {_NAME},
    log_partition integer not null,
    quantity numeric not null,
    average_price numeric,
    cost_basis numeric not null,
    realised_pnl numeric not null,
    net_realised_pnl numeric not null,
    fees numeric not null,
    lots_open integer not null,
    revision bigint not null,
    lot_method text not null,
    fee_policy text not null,
    multiplier numeric not null,
    inverse boolean not null,
    currency text not null,
    last_executed_at_ns bigint not null,
    last_source_sequence bigint not null,
    last_trade_id text collate "C" not null,
    part_quantity numeric,
    part_value numeric,
    part_fee numeric,
    known_at_ns bigint not null,
    primary key (book, instrument)
) with (fillfactor = 70)
"""
"""`part_*` is what is left of the first lot, where it is not whole; its row in `position.lot` stays as it was opened."""

_LOT = f"""
create table position.lot (
    {_NAME}, {_ORDER},
    quantity numeric not null,
    price numeric not null,
    value numeric not null,
    fee numeric not null,
    primary key (book, instrument, executed_at_ns, source_sequence, trade_id)
)
"""

_OPEN_LOT = """
create view position.open_lot as
select lot.book, lot.instrument, lot.executed_at_ns, lot.source_sequence, lot.trade_id,
    case when partial then whole.part_quantity else lot.quantity end as quantity,
    lot.price,
    case when partial then whole.part_value else lot.value end as value,
    case when partial then whole.part_fee else lot.fee end as held_fee,
    public.pks_time(lot.executed_at_ns) as opened_at
from (
    select lot.*, row_number() over (
        partition by book, instrument order by executed_at_ns, source_sequence, trade_id) as place
    from position.lot
) as lot
join position.position as whole using (book, instrument)
cross join lateral (select lot.place = 1 and whole.part_quantity is not null as partial) as first
where whole.quantity <> 0
"""

_EFFECT = f"""
create table position.effect (
    {_NAME}, {_ORDER},
    quantity numeric not null,
    value numeric not null,
    cost_basis numeric not null,
    realised_pnl numeric not null,
    net_realised_pnl numeric not null,
    fees numeric not null,
    lots integer not null,
    inverse boolean not null,
    pool_price numeric,
    known_from_ns bigint not null,
    known_to_ns bigint not null default 9223372036854775807,
    log_partition integer not null,
    log_offset bigint not null,
    primary key (book, instrument, trade_id, log_partition, log_offset)
)
"""
"""What a trade changed of its position. It is true of `executed_at_ns` on (valid time) and was known from
`known_from_ns` until before `known_to_ns` (known time); `pool_price` is what the one lot of the average method is priced
at after it. A late trade that changes what others did closes their rows and
adds new ones."""

_AT = """
create function position.at(as_of_ns bigint default 9223372036854775807, known_at_ns bigint default 9223372036854775807)
returns table (book text, instrument text, quantity numeric, average_price numeric, cost_basis numeric,
    realised_pnl numeric, net_realised_pnl numeric, fees numeric, lots_open bigint, trades bigint)
stable parallel safe language sql as $$
    select total.book, total.instrument, total.quantity,
        -- Digits are cut at 30 decimals before they are rounded at 24: a division alone would keep 16 digits.
        case when total.quantity = 0 then null
            when total.pool_price is not null then total.pool_price
            when total.inverse then round(div(total.quantity * 1e30, total.value) * 1e-30, 24)
            else round(div(total.value * 1e30, total.quantity) * 1e-30, 24) end,
        total.cost_basis, total.realised_pnl, total.net_realised_pnl, total.fees, total.lots, total.trades
    from (
        select effect.book, effect.instrument,
            sum(effect.quantity) as quantity, sum(effect.value) as value, sum(effect.cost_basis) as cost_basis,
            sum(effect.realised_pnl) as realised_pnl, sum(effect.net_realised_pnl) as net_realised_pnl,
            sum(effect.fees) as fees, sum(effect.lots) as lots, count(*) as trades,
            bool_or(effect.inverse) as inverse,
            (array_agg(effect.pool_price order by effect.executed_at_ns desc, effect.source_sequence desc,
                effect.trade_id desc) filter (where effect.pool_price is not null))[1] as pool_price
        from position.effect
        where effect.executed_at_ns <= as_of_ns
            and effect.known_from_ns <= $2
            and (effect.known_to_ns > $2 or effect.known_to_ns = 9223372036854775807)
        group by effect.book, effect.instrument
    ) as total
$$
"""
"""Positions as of an execution time, as they were known at a time of the log; both in nanoseconds, both optional."""


def upgrade() -> None:
    """Make it all."""
    for statement in (_POSITION, _LOT, _OPEN_LOT, _EFFECT, _AT):
        op.execute(statement)
    op.execute("create index effect_by_order on position.effect (book, instrument, executed_at_ns)")
    op.execute("create index effect_by_known on position.effect (known_from_ns)")
    op.execute("grant select on all tables in schema position to pks_writer, pks_reader, pks_reporter")
    op.execute(
        "grant insert, update, delete, truncate on position.position, position.lot, position.effect to pks_writer"
    )
    op.execute("grant delete on back_office.sink_offset to pks_writer")


def downgrade() -> None:
    """Take it all away."""
    op.execute("revoke delete on back_office.sink_offset from pks_writer")
    op.execute("drop function position.at(bigint, bigint)")
    op.execute("drop view position.open_lot")
    for table in ("effect", "lot", "position"):
        op.execute(f"drop table position.{table}")
