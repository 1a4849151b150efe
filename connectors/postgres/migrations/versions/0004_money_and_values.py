"""The double-entry ledger, balances, payment orders and currency positions; what positions are worth, and their P&L."""

from alembic import op

revision = "0004"
down_revision = "0003"

_PLACE = """
    known_at_ns bigint not null,
    log_partition integer not null,
    log_offset bigint not null,
    log_index integer not null,
    log_sequence bigint not null
"""

_LEDGER_ENTRY = f"""
create table back_office.ledger_entry (
    event_id text primary key,
    entity text not null,
    account text not null,
    book text not null,
    currency text not null,
    trade_id text not null,
    leg text not null,
    revision bigint not null,
    debit_account text not null,
    credit_account text not null,
    amount numeric not null,
    status text not null,
    executed_at_ns bigint not null,
    trade_date text not null,
    settlement_date text not null,
    instrument text not null,
    value_date text not null,
    posting_date text not null,
    pending_id text not null,
    reverses text not null,
    cash_balance numeric,
    warning text not null,
    reference text not null,
    posting_rules bigint not null,
    source text not null,
    correlation_id text not null,
    {_PLACE}
)
"""
"""One transfer between two accounts; nothing is overwritten. A cause's transfers are told apart by `trade_id`, `leg`, `revision`
and `status`."""

_TRIAL_BALANCE = """
create view back_office.trial_balance as
select entity, currency, ledger_account, status,
    sum(debit) as debit, sum(credit) as credit, sum(debit) - sum(credit) as balance
from (
    select entity, currency, debit_account as ledger_account, status, amount as debit, 0 as credit
    from back_office.ledger_entry
    union all
    select entity, currency, credit_account, status, 0, amount from back_office.ledger_entry
) as side
group by entity, currency, ledger_account, status
"""
"""What each account of the ledger took and gave; over all accounts of an entity and currency the balances sum to zero."""

_PAYMENT_ORDER = f"""
create table back_office.payment_order_step (
    event_id text primary key,
    order_id text not null,
    entity text not null,
    account text not null,
    currency text not null,
    amount numeric not null,
    state text not null,
    revision bigint not null,
    event_time_ns bigint not null,
    settlement_date text not null,
    book text not null,
    counterparty text not null,
    obligation_id text not null,
    drafted_by text not null,
    approved_by text not null,
    changed_by text not null,
    reason text not null,
    {_PLACE}
)
"""

_CURRENT_ORDER = """
create view back_office.payment_order as
select distinct on (order_id) * from back_office.payment_order_step order by order_id, revision desc
"""
"""Each order as its last step left it."""

_CASH_BALANCE = f"""
create table back_office.cash_balance (
    entity text not null,
    account text not null,
    currency text not null,
    trade_date_balance numeric not null,
    settled_balance numeric not null,
    projected_balance numeric not null,
    business_date text not null,
    event_time_ns bigint not null,
    overdrawn boolean not null,
    event_id text not null,
    {_PLACE},
    primary key (entity, account, currency)
) with (fillfactor = 70)
"""

_CURRENCY_POSITION = f"""
create table back_office.currency_position (
    entity text not null primary key,
    reporting_currency text not null,
    event_time_ns bigint not null,
    exposures jsonb not null,
    sum_long numeric not null,
    sum_short numeric not null,
    net_open_position numeric not null,
    capital_charge numeric not null,
    settled_net_open_position numeric not null,
    unrated jsonb not null,
    warnings jsonb not null,
    event_id text not null,
    {_PLACE}
) with (fillfactor = 70)
"""

_NAME = 'book text collate "C" not null, instrument text collate "C" not null'

_VALUATION = f"""
create table position.valuation (
    {_NAME},
    underlying text not null,
    event_time_ns bigint not null,
    revision bigint not null,
    quantity numeric not null,
    currency text not null,
    instrument_class text not null,
    entity text not null,
    desk text not null,
    multiplier numeric not null,
    inverse boolean not null,
    cost_basis numeric not null,
    held_fees numeric not null,
    realised_pnl numeric not null,
    net_realised_pnl numeric not null,
    fees numeric not null,
    mark numeric,
    mark_quality text not null,
    mark_time_ns bigint not null,
    valued_by text not null,
    market_value numeric,
    accrued_interest numeric not null,
    unrealised_pnl numeric,
    book_currency text not null,
    fx_rate numeric,
    fx_quality text not null,
    fx_time_ns bigint not null,
    spot double precision,
    volatility double precision,
    rate double precision,
    time_to_expiry double precision,
    delta double precision,
    gamma double precision,
    vega double precision,
    theta double precision,
    rho double precision,
    vanna double precision,
    volga double precision,
    reason text not null,
    event_id text not null,
    {_PLACE},
    primary key (book, instrument)
) with (fillfactor = 50)
"""
"""Each position as it was valued last; Greeks are outputs of a model, everything else is exact."""

_PNL = f"""
create table position.pnl_attribution (
    {_NAME},
    business_date text not null,
    underlying text not null,
    event_time_ns bigint not null,
    closed boolean not null,
    restatement integer not null,
    currency text not null,
    book_currency text not null,
    quantity numeric not null,
    opening_quantity numeric not null,
    mark numeric,
    quality text not null,
    realised numeric not null,
    fees numeric not null,
    unrealised numeric,
    total numeric,
    positional numeric,
    trading numeric,
    total_to_date numeric,
    fx numeric,
    book_total numeric,
    book_total_to_date numeric,
    buckets jsonb,
    book_buckets jsonb,
    reason text not null,
    event_id text not null,
    {_PLACE},
    primary key (book, instrument, business_date)
) with (fillfactor = 70)
"""
"""The P&L of each position in each business day, as last attributed; a day that was restated says how often."""

_INDEXES = (
    "create index ledger_entry_by_account on back_office.ledger_entry (entity, account, currency, executed_at_ns)",
    "create index ledger_entry_by_cause on back_office.ledger_entry (trade_id, leg)",
    "create index ledger_entry_by_settlement on back_office.ledger_entry (settlement_date, status)",
    "create index payment_order_step_by_order on back_office.payment_order_step (order_id, revision)",
    "create index valuation_by_underlying on position.valuation (underlying)",
    "create index pnl_attribution_by_date on position.pnl_attribution (business_date, book)",
)
_APPENDED = "back_office.ledger_entry, back_office.payment_order_step"
_REPLACED = "back_office.cash_balance, back_office.currency_position"
_VALUES = "position.valuation, position.pnl_attribution"


def upgrade() -> None:
    """Make them."""
    for statement in (
        *(_LEDGER_ENTRY, _TRIAL_BALANCE, _PAYMENT_ORDER, _CURRENT_ORDER, _CASH_BALANCE, _CURRENCY_POSITION),
        *(_VALUATION, _PNL, *_INDEXES),
    ):
        op.execute(statement)
    op.execute(f"grant select, insert on {_APPENDED} to pks_writer")
    op.execute(f"grant select, insert, update on {_REPLACED}, {_VALUES} to pks_writer")
    op.execute(f"grant select on {_VALUES} to pks_reader, pks_reporter")
    op.execute(
        f"grant select on {_APPENDED}, {_REPLACED}, back_office.trial_balance, back_office.payment_order to pks_reporter"
    )


def downgrade() -> None:
    """Take them away."""
    op.execute("drop view back_office.trial_balance, back_office.payment_order")
    op.execute(f"drop table {_APPENDED}, {_REPLACED}, {_VALUES}")
