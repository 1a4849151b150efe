"""Schemas, roles, trades with their life-cycle history, what was refused, dead letters, audit."""

from alembic import op

revision = "0001"
down_revision = None

_SCHEMAS = ("back_office", "trade", "position", "auth", "report")

_CONTENT = """
    book text not null,
    instrument text not null,
    quantity numeric not null,
    price numeric not null,
    executed_at_ns bigint not null,
    recorded_at_ns bigint not null,
    source_sequence bigint not null,
    multiplier numeric not null,
    inverse boolean not null,
    settlement_currency text not null,
    lot_method text not null,
    fee_policy text not null,
    accrued_interest numeric not null,
    fees jsonb not null,
    business_date text not null,
    settlement_date text,
    entity text not null,
    account text not null,
    strategy text not null,
    trader text not null,
    counterparty text not null,
    venue text not null,
    underlying text not null,
    instrument_class text not null,
    group_id text,
    leg integer not null,
    source text not null,
    event_id text not null,
    correlation_id text not null
"""
"""The terms of a trade, as `TradeBooked` has them. Times are nanoseconds since 1970, exact; views show them."""

_PLACE = """
    known_at_ns bigint not null,
    log_partition integer not null,
    log_offset bigint not null,
    log_index integer not null,
    log_sequence bigint not null
"""
"""When the log had it, and where it stands there."""


def upgrade() -> None:
    """Make it all."""
    for role in ("pks_writer", "pks_reader", "pks_reporter"):
        # Roles belong to the whole server: another database of it may have made them.
        op.execute(
            f"do $$ begin create role {role} nologin; exception when duplicate_object or unique_violation "
            "then null; end $$"
        )
    for schema in _SCHEMAS:
        op.execute(f"create schema {schema}")
        op.execute(f"revoke all on schema {schema} from public")
    op.execute(
        "create function public.pks_time(nanoseconds bigint) returns timestamptz immutable strict parallel safe "
        "language sql return timestamptz 'epoch' + (nanoseconds / 1000) * interval '1 microsecond'"
    )
    op.execute(f"create table trade.trade (trade_id text primary key, {_CONTENT}, {_PLACE})")
    op.execute("create index trade_by_book on trade.trade (book, instrument, executed_at_ns)")
    op.execute("create index trade_by_known on trade.trade (known_at_ns)")
    op.execute(
        "create table trade.correction ("
        "  correction_event_id text primary key,"
        "  kind text not null,"
        "  correction_id text not null,"
        "  trade_id text not null,"
        "  of_book text not null,"
        "  correction_group text,"
        "  correction_leg integer not null,"
        f" {_CONTENT.replace(' not null', '')}, {_PLACE})"
    )
    op.execute("create index correction_by_trade on trade.correction (trade_id, log_sequence)")
    op.execute("create index correction_by_known on trade.correction (known_at_ns)")
    for statement in (_VERSIONS, _HISTORY, _TRADES_AT, _CURRENT):
        op.execute(statement)
    op.execute(
        "create table back_office.sink_offset (sink text, topic text, log_partition integer, next_offset bigint not null,"
        " primary key (sink, topic, log_partition))"
    )
    op.execute(
        "create table back_office.rejected ("
        "  event_id text primary key, trade_id text not null, book text not null, reason text not null,"
        "  field text not null, expected text not null, found text not null, event_time_ns bigint not null,"
        f" source text not null, correlation_id text not null, {_PLACE})"
    )
    op.execute("create index rejected_by_trade on back_office.rejected (trade_id)")
    op.execute(
        "create table back_office.dead_letter ("
        "  id text primary key, kind text not null, stage text not null, reason text not null,"
        "  field text not null, expected text not null, found text not null, trade_id text not null,"
        "  original bytea not null, of_topic text not null, of_partition integer not null, of_offset bigint not null,"
        f" of_index integer not null, event_time_ns bigint not null, {_PLACE})"
    )
    op.execute("create index dead_letter_by_trade on back_office.dead_letter (trade_id)")
    op.execute(
        "create table back_office.dead_letter_resolution ("
        "  event_id text primary key, dead_letter_id text not null, action text not null,"
        f" event_time_ns bigint not null, {_PLACE})"
    )
    op.execute("create index resolution_by_letter on back_office.dead_letter_resolution (dead_letter_id)")
    op.execute(_DEAD_LETTERS)
    op.execute(
        "create table back_office.audit (event_id text, log_topic text, action text not null, subject text not null,"
        f" content jsonb not null, source text not null, {_PLACE}, primary key (event_id, log_topic))"
    )
    op.execute("create index audit_by_subject on back_office.audit (subject, known_at_ns)")
    _grant()


def _grant() -> None:
    op.execute("grant usage on schema back_office, trade, position to pks_writer")
    # Whoever writes looks which revision it writes to.
    op.execute("grant select on public.alembic_version to pks_writer, pks_reader, pks_reporter")
    op.execute("grant usage on schema trade, position to pks_reader")
    op.execute("grant usage on schema back_office, trade, position, report to pks_reporter")
    op.execute("grant create on schema report to pks_reporter")
    op.execute("grant select, insert on all tables in schema trade, back_office to pks_writer")
    op.execute("grant update on back_office.sink_offset to pks_writer")
    op.execute("grant select on all tables in schema trade to pks_reader, pks_reporter")
    op.execute(
        "grant select on back_office.rejected, back_office.dead_letter, back_office.dead_letter_resolution, "
        "back_office.dead_letters, back_office.audit to pks_reporter"
    )


_VERSIONS = """
create view trade.version as
select trade_id, book as of_book, 'booked' as kind, trade_id as correction_id, null::text as correction_group,
    event_id as version_event_id, true as live, known_at_ns, log_partition, log_offset, log_index, log_sequence,
    book, instrument, quantity, price, executed_at_ns, source_sequence, business_date, event_id,
    public.pks_time(executed_at_ns) as executed_at, public.pks_time(known_at_ns) as known_at
from trade.trade
union all
select trade_id, of_book, kind, correction_id, correction_group,
    correction_event_id, event_id is not null, known_at_ns, log_partition, log_offset, log_index, log_sequence,
    book, instrument, quantity, price, executed_at_ns, source_sequence, business_date, event_id,
    public.pks_time(executed_at_ns), public.pks_time(known_at_ns)
from trade.correction
"""
"""Every version of every trade with when it was known; one that is not `live` took the trade out of `of_book`."""

_HISTORY = """
create view trade.history as
select version.*,
    lead(known_at_ns) over (
        partition by trade_id, of_book order by kind <> 'booked', log_partition, log_offset, log_index
    ) as superseded_at_ns
from trade.version
"""
"""The versions with until when each was known: valid time is `executed_at`, known time from one column to the other."""

_TRADES_AT = """
create function trade.at(as_of_ns bigint default 9223372036854775807, known_at_ns bigint default 9223372036854775807)
returns setof trade.version stable parallel safe language sql as $$
    select version.* from trade.version
    where version.kind = 'booked'
        and version.executed_at_ns <= as_of_ns
        and version.known_at_ns <= $2
        and not exists (
            select from trade.correction
            where correction.trade_id = version.trade_id
                and correction.of_book = version.of_book
                and correction.known_at_ns <= $2)
    union all
    select * from (
        select distinct on (version.trade_id, version.of_book) version.* from trade.version
        where version.kind <> 'booked' and version.known_at_ns <= $2
        order by version.trade_id, version.of_book, version.log_partition desc, version.log_offset desc,
            version.log_index desc
    ) as last
    where last.live and last.executed_at_ns <= as_of_ns
$$
"""
"""The trades executed up to one time, as they were known at another; `trade.at(known_at_ns => ...)`."""

_CURRENT = "create view trade.current as select * from trade.at()"

_DEAD_LETTERS = """
create view back_office.dead_letters as
select letter.*,
    coalesce(last.action, 'open') as status,
    1 + coalesce(last.retries, 0) as attempts,
    public.pks_time(letter.known_at_ns) as known_at
from back_office.dead_letter as letter
left join lateral (
    select (array_agg(action order by log_offset, log_index))[count(*)] as action,
        count(*) filter (where action = 'retried') as retries
    from back_office.dead_letter_resolution as resolution
    where resolution.dead_letter_id = letter.id
    having count(*) > 0
) as last on true
"""
"""Dead letters with what became of them; `attempts` counts how often the original was given to its stage."""


def downgrade() -> None:
    """Take it all away but the roles, which other databases of the server may use."""
    for schema in reversed(_SCHEMAS):
        op.execute(f"drop schema {schema} cascade")
    op.execute("drop function public.pks_time(bigint)")
