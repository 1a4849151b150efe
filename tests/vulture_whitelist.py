"""Names that are in use where vulture cannot see it: message fields that readers of the log look up, enumeration
members that a message may carry, and what compiled twins ask for. One line each; a name that is dead elsewhere is removed,
not listed.
"""

from agents import cash, ledger
from connectors.files import source
from domain.ledger import rules
from schemas import events, market_data, money, topics, units, valuation
from topology.cli import lots

events.Event.schema_version
events.PositionUpdated.lots_open
events.PositionUpdated.trade_quantity
events.PositionUpdated.trade_price
events.PositionUpdated.trade_fees
events.PositionUpdated.posting_rules
events.PositionUpdated.trade_executed_at
topics.Topic.clocked
units.TradeId
units.BookId
units.InstrumentId
units.Quantity
units.Price
units.Money
lots.InputFormat.CSV
lots.InputFormat.JSONL
source._Bounded.readinto
units.LifecycleKind.NOVATION
units.LifecycleKind.GIVE_UP
units.LifecycleKind.INTERBOOK
units.MarkQuality.INDICATIVE
market_data.Bar.volume

# Money.
money.CashMovement.movement_id
money.CashMovement.trade_date
money.CashMovement.value_date
money.CashMovement.reverses
money.CashMovement.accrual_key
money.CashMovement.by_payment
money.CashLedgerEntry.debit_account
money.CashLedgerEntry.credit_account
money.CashLedgerEntry.trade_date
money.CashLedgerEntry.value_date
money.CashLedgerEntry.posting_date
money.CashLedgerEntry.pending_id
money.CashLedgerEntry.reverses
money.CashLedgerEntry.cash_balance
money.CashBalance.trade_date_balance
money.CashBalance.settled_balance
money.CashBalance.projected_balance
money.CashBalance.overdrawn
money.PaymentOrder.order_id
money.PaymentOrder.obligation_id
money.PaymentOrder.drafted_by
money.PaymentOrder.approved_by
money.PaymentInstruction.order_id
units.EntryStatus.PENDING
units.EntryStatus.POSTED
units.MovementKind.OPENING
units.MovementKind.DEPOSIT
units.MovementKind.WITHDRAWAL
units.MovementKind.DIVIDEND
units.MovementKind.PAYMENT_IN_LIEU
units.MovementKind.WITHHOLDING_TAX
units.MovementKind.INTEREST
units.MovementKind.INTEREST_ACCRUAL
units.MovementKind.COUPON
units.MovementKind.COUPON_ACCRUAL
units.MovementKind.FUNDING
units.MovementKind.FUNDING_ACCRUAL
units.MovementKind.BORROW_FEE
units.MovementKind.BORROW_FEE_ACCRUAL
units.MovementKind.MARGIN_INTEREST
units.MovementKind.MARGIN_INTEREST_ACCRUAL
units.MovementKind.FEE
units.MovementKind.FX_CONVERSION
units.MovementKind.MARGIN
units.MovementKind.TRANSFER
units.MovementKind.PAYMENT
units.PaymentState.DRAFT
units.PaymentState.APPROVED
units.PaymentState.SENT
units.PaymentState.SETTLED
units.PaymentState.FAILED
units.PaymentStep.APPROVE
units.PaymentStep.SEND
units.PaymentStep.SETTLE
units.PaymentStep.FAIL

# What pydantic calls of a class.
market_data.Mark._has_a_price_or_says_so
market_data.Bar._holds_its_prices
market_data.FxRate._is_a_rate

# What Faust and its services call or look up in the classes that we give it.
_.partitions_for_topic
_.on_start
_._new_topicpartition
_._seek
_.seek_wait
_.seek_to_beginning
_.highwaters
_.earliest_offsets
_._drain_messages
_._new_offset
_._commit
_.verify_recovery_event_path
_.supports_headers
_.driver_version
_.tracked
_._new_web
_._new_transport
_._new_producer_transport
_._new_transport_tcp
_.default_blueprints
_.production_blueprints
_.debug_blueprints
_.optional_blueprints
_.in_worker
_.set_persisted_offset
_.apply_changelog_batch
_.to_key
_.to_value
_._del
_._contains
_._iterkeys
_._itervalues
_._size
_._clear
_.reset_state
_.backup_partition
_.purge
_.restore_backup
_.backup_id

# What the standard library's logging and Hypothesis look up.
_.handlers
_.teardown

# What asyncio calls in a protocol.
_.connection_made
_.connection_lost
_.eof_received
_.data_received
_.pause_writing
_.resume_writing

# What RocksDB reads of its options.
_.disable_wal

# What mutmut reads of a test.
_._nodeid

# What alembic reads of a revision.
_.down_revision

# What Faust's assignor answers from.
_._assignment
_._active_tps
_._standby_tps

# Columns of rows that are written whole.
_.part_quantity
_.part_value
_.part_fee
_.pool_price

# What the standard library's HTTP server calls.
_.log_message

# What NATS reads of a stream's configuration, and what a strategy may ask of its stream.
_.duplicate_window
_.max_msgs
_.reconnects


# Checks that pydantic calls, and fields of terms and currency positions.
_._ends_after_it_starts
_._periods_follow_each_other
_.margin
_.interval_seconds
_.debit_spread
_.credit_spread
_.free_balance
_.fixed_at

# Valuation: columns that readers of the log and single events take by their names.
valuation.PositionValuated.held_fees
valuation.PositionValuated.mark_time
valuation.PositionValuated.valued_by
valuation.PositionValuated.market_value
valuation.PositionValuated.unrealised_pnl
valuation.PositionValuated.fx_rate
valuation.PositionValuated.fx_quality
valuation.PositionValuated.fx_time
valuation.PositionValuated.desk
valuation.PositionChange.row
valuation.PositionChange.held_fees_delta
units.ValuedBy.ENGINE
units.ValuedBy.MODEL
units.ValuedBy.MARK
valuation.PriceRequested.request
valuation.PriceAnswered.answer

# Members that a document of posting rules names.
rules.AccountType.LIABILITY
rules.AccountType.EQUITY
rules.AccountType.INCOME
rules.AccountType.EXPENSE
rules.BelowZero.WARN
_.protocol_version
_.close_connection
_.daemon_threads

# A cause that no stage here fills yet, read by name.
_.corporate_actions
cash.ENTRY
cash.check
ledger.plan_of
