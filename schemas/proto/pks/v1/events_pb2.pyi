from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_NEW: _ClassVar[Action]
    ACTION_AMEND: _ClassVar[Action]
    ACTION_CANCEL: _ClassVar[Action]

class LifecycleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIFECYCLE_KIND_UNSPECIFIED: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_AMEND: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_CANCEL: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_NOVATION: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_GIVE_UP: _ClassVar[LifecycleKind]
    LIFECYCLE_KIND_INTERBOOK: _ClassVar[LifecycleKind]

class Regime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGIME_UNSPECIFIED: _ClassVar[Regime]
    REGIME_EXCHANGE: _ClassVar[Regime]
    REGIME_OTC: _ClassVar[Regime]
    REGIME_INTERNAL: _ClassVar[Regime]

class LotMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOT_METHOD_UNSPECIFIED: _ClassVar[LotMethod]
    LOT_METHOD_FIFO: _ClassVar[LotMethod]
    LOT_METHOD_LIFO: _ClassVar[LotMethod]
    LOT_METHOD_AVERAGE: _ClassVar[LotMethod]

class FeePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEE_POLICY_UNSPECIFIED: _ClassVar[FeePolicy]
    FEE_POLICY_EXCLUDED: _ClassVar[FeePolicy]
    FEE_POLICY_EXPENSED: _ClassVar[FeePolicy]
    FEE_POLICY_CAPITALISED: _ClassVar[FeePolicy]

class MarkQuality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARK_QUALITY_UNSPECIFIED: _ClassVar[MarkQuality]
    MARK_QUALITY_LIVE: _ClassVar[MarkQuality]
    MARK_QUALITY_STALE: _ClassVar[MarkQuality]
    MARK_QUALITY_INDICATIVE: _ClassVar[MarkQuality]
    MARK_QUALITY_MISSING: _ClassVar[MarkQuality]

class EntryStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_STATUS_UNSPECIFIED: _ClassVar[EntryStatus]
    ENTRY_STATUS_PENDING: _ClassVar[EntryStatus]
    ENTRY_STATUS_POSTED: _ClassVar[EntryStatus]

class MovementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVEMENT_KIND_UNSPECIFIED: _ClassVar[MovementKind]
    MOVEMENT_KIND_OPENING: _ClassVar[MovementKind]
    MOVEMENT_KIND_DEPOSIT: _ClassVar[MovementKind]
    MOVEMENT_KIND_WITHDRAWAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_DIVIDEND: _ClassVar[MovementKind]
    MOVEMENT_KIND_PAYMENT_IN_LIEU: _ClassVar[MovementKind]
    MOVEMENT_KIND_WITHHOLDING_TAX: _ClassVar[MovementKind]
    MOVEMENT_KIND_INTEREST: _ClassVar[MovementKind]
    MOVEMENT_KIND_INTEREST_ACCRUAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_COUPON: _ClassVar[MovementKind]
    MOVEMENT_KIND_COUPON_ACCRUAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_FUNDING: _ClassVar[MovementKind]
    MOVEMENT_KIND_FUNDING_ACCRUAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_BORROW_FEE: _ClassVar[MovementKind]
    MOVEMENT_KIND_BORROW_FEE_ACCRUAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_MARGIN_INTEREST: _ClassVar[MovementKind]
    MOVEMENT_KIND_MARGIN_INTEREST_ACCRUAL: _ClassVar[MovementKind]
    MOVEMENT_KIND_FEE: _ClassVar[MovementKind]
    MOVEMENT_KIND_FX_CONVERSION: _ClassVar[MovementKind]
    MOVEMENT_KIND_MARGIN: _ClassVar[MovementKind]
    MOVEMENT_KIND_TRANSFER: _ClassVar[MovementKind]
    MOVEMENT_KIND_PAYMENT: _ClassVar[MovementKind]
    MOVEMENT_KIND_CORRECTION: _ClassVar[MovementKind]
    MOVEMENT_KIND_VARIATION_MARGIN: _ClassVar[MovementKind]
    MOVEMENT_KIND_REDEMPTION: _ClassVar[MovementKind]

class PaymentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATE_UNSPECIFIED: _ClassVar[PaymentState]
    PAYMENT_STATE_DRAFT: _ClassVar[PaymentState]
    PAYMENT_STATE_APPROVED: _ClassVar[PaymentState]
    PAYMENT_STATE_SENT: _ClassVar[PaymentState]
    PAYMENT_STATE_SETTLED: _ClassVar[PaymentState]
    PAYMENT_STATE_FAILED: _ClassVar[PaymentState]
    PAYMENT_STATE_CANCELLED: _ClassVar[PaymentState]

class PaymentStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STEP_UNSPECIFIED: _ClassVar[PaymentStep]
    PAYMENT_STEP_APPROVE: _ClassVar[PaymentStep]
    PAYMENT_STEP_SEND: _ClassVar[PaymentStep]
    PAYMENT_STEP_SETTLE: _ClassVar[PaymentStep]
    PAYMENT_STEP_FAIL: _ClassVar[PaymentStep]
    PAYMENT_STEP_CANCEL: _ClassVar[PaymentStep]

class ValuedBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUED_BY_UNSPECIFIED: _ClassVar[ValuedBy]
    VALUED_BY_NOTHING: _ClassVar[ValuedBy]
    VALUED_BY_MARK: _ClassVar[ValuedBy]
    VALUED_BY_MODEL: _ClassVar[ValuedBy]
    VALUED_BY_ENGINE: _ClassVar[ValuedBy]

class BarInterval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BAR_INTERVAL_UNSPECIFIED: _ClassVar[BarInterval]
    BAR_INTERVAL_SECOND: _ClassVar[BarInterval]
    BAR_INTERVAL_MINUTE: _ClassVar[BarInterval]
    BAR_INTERVAL_DAY: _ClassVar[BarInterval]
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
ACTION_UNSPECIFIED: Action
ACTION_NEW: Action
ACTION_AMEND: Action
ACTION_CANCEL: Action
LIFECYCLE_KIND_UNSPECIFIED: LifecycleKind
LIFECYCLE_KIND_AMEND: LifecycleKind
LIFECYCLE_KIND_CANCEL: LifecycleKind
LIFECYCLE_KIND_NOVATION: LifecycleKind
LIFECYCLE_KIND_GIVE_UP: LifecycleKind
LIFECYCLE_KIND_INTERBOOK: LifecycleKind
REGIME_UNSPECIFIED: Regime
REGIME_EXCHANGE: Regime
REGIME_OTC: Regime
REGIME_INTERNAL: Regime
LOT_METHOD_UNSPECIFIED: LotMethod
LOT_METHOD_FIFO: LotMethod
LOT_METHOD_LIFO: LotMethod
LOT_METHOD_AVERAGE: LotMethod
FEE_POLICY_UNSPECIFIED: FeePolicy
FEE_POLICY_EXCLUDED: FeePolicy
FEE_POLICY_EXPENSED: FeePolicy
FEE_POLICY_CAPITALISED: FeePolicy
MARK_QUALITY_UNSPECIFIED: MarkQuality
MARK_QUALITY_LIVE: MarkQuality
MARK_QUALITY_STALE: MarkQuality
MARK_QUALITY_INDICATIVE: MarkQuality
MARK_QUALITY_MISSING: MarkQuality
ENTRY_STATUS_UNSPECIFIED: EntryStatus
ENTRY_STATUS_PENDING: EntryStatus
ENTRY_STATUS_POSTED: EntryStatus
MOVEMENT_KIND_UNSPECIFIED: MovementKind
MOVEMENT_KIND_OPENING: MovementKind
MOVEMENT_KIND_DEPOSIT: MovementKind
MOVEMENT_KIND_WITHDRAWAL: MovementKind
MOVEMENT_KIND_DIVIDEND: MovementKind
MOVEMENT_KIND_PAYMENT_IN_LIEU: MovementKind
MOVEMENT_KIND_WITHHOLDING_TAX: MovementKind
MOVEMENT_KIND_INTEREST: MovementKind
MOVEMENT_KIND_INTEREST_ACCRUAL: MovementKind
MOVEMENT_KIND_COUPON: MovementKind
MOVEMENT_KIND_COUPON_ACCRUAL: MovementKind
MOVEMENT_KIND_FUNDING: MovementKind
MOVEMENT_KIND_FUNDING_ACCRUAL: MovementKind
MOVEMENT_KIND_BORROW_FEE: MovementKind
MOVEMENT_KIND_BORROW_FEE_ACCRUAL: MovementKind
MOVEMENT_KIND_MARGIN_INTEREST: MovementKind
MOVEMENT_KIND_MARGIN_INTEREST_ACCRUAL: MovementKind
MOVEMENT_KIND_FEE: MovementKind
MOVEMENT_KIND_FX_CONVERSION: MovementKind
MOVEMENT_KIND_MARGIN: MovementKind
MOVEMENT_KIND_TRANSFER: MovementKind
MOVEMENT_KIND_PAYMENT: MovementKind
MOVEMENT_KIND_CORRECTION: MovementKind
MOVEMENT_KIND_VARIATION_MARGIN: MovementKind
MOVEMENT_KIND_REDEMPTION: MovementKind
PAYMENT_STATE_UNSPECIFIED: PaymentState
PAYMENT_STATE_DRAFT: PaymentState
PAYMENT_STATE_APPROVED: PaymentState
PAYMENT_STATE_SENT: PaymentState
PAYMENT_STATE_SETTLED: PaymentState
PAYMENT_STATE_FAILED: PaymentState
PAYMENT_STATE_CANCELLED: PaymentState
PAYMENT_STEP_UNSPECIFIED: PaymentStep
PAYMENT_STEP_APPROVE: PaymentStep
PAYMENT_STEP_SEND: PaymentStep
PAYMENT_STEP_SETTLE: PaymentStep
PAYMENT_STEP_FAIL: PaymentStep
PAYMENT_STEP_CANCEL: PaymentStep
VALUED_BY_UNSPECIFIED: ValuedBy
VALUED_BY_NOTHING: ValuedBy
VALUED_BY_MARK: ValuedBy
VALUED_BY_MODEL: ValuedBy
VALUED_BY_ENGINE: ValuedBy
BAR_INTERVAL_UNSPECIFIED: BarInterval
BAR_INTERVAL_SECOND: BarInterval
BAR_INTERVAL_MINUTE: BarInterval
BAR_INTERVAL_DAY: BarInterval

class Fee(_message.Message):
    __slots__ = ("amount", "kind", "currency")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    amount: str
    kind: str
    currency: str
    def __init__(self, amount: _Optional[str] = ..., kind: _Optional[str] = ..., currency: _Optional[str] = ...) -> None: ...

class RematchedTrade(_message.Message):
    __slots__ = ("trade_id", "realised_pnl_delta")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_DELTA_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    realised_pnl_delta: str
    def __init__(self, trade_id: _Optional[str] = ..., realised_pnl_delta: _Optional[str] = ...) -> None: ...

class RealisedMove(_message.Message):
    __slots__ = ("executed_at", "realised_pnl_delta")
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_DELTA_FIELD_NUMBER: _ClassVar[int]
    executed_at: int
    realised_pnl_delta: str
    def __init__(self, executed_at: _Optional[int] = ..., realised_pnl_delta: _Optional[str] = ...) -> None: ...

class FillEvent(_message.Message):
    __slots__ = ("trade_id", "instrument", "side", "quantity", "price", "executed_at", "action", "kind", "original_trade_id", "book", "fees", "recorded_at", "source_sequence", "regime", "instrument_scheme", "venue", "account", "entity", "strategy", "trader", "counterparty", "underlying", "instrument_class", "multiplier", "inverse", "currency", "accrued_interest", "settlement_date", "group_id", "leg", "idempotency_hash", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_SCHEME_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TRADER_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    INVERSE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    ACCRUED_INTEREST_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_HASH_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    instrument: str
    side: Side
    quantity: str
    price: str
    executed_at: int
    action: Action
    kind: LifecycleKind
    original_trade_id: str
    book: str
    fees: _containers.RepeatedCompositeFieldContainer[Fee]
    recorded_at: int
    source_sequence: int
    regime: Regime
    instrument_scheme: str
    venue: str
    account: str
    entity: str
    strategy: str
    trader: str
    counterparty: str
    underlying: str
    instrument_class: str
    multiplier: str
    inverse: bool
    currency: str
    accrued_interest: str
    settlement_date: str
    group_id: str
    leg: int
    idempotency_hash: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, trade_id: _Optional[str] = ..., instrument: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., quantity: _Optional[str] = ..., price: _Optional[str] = ..., executed_at: _Optional[int] = ..., action: _Optional[_Union[Action, str]] = ..., kind: _Optional[_Union[LifecycleKind, str]] = ..., original_trade_id: _Optional[str] = ..., book: _Optional[str] = ..., fees: _Optional[_Iterable[_Union[Fee, _Mapping]]] = ..., recorded_at: _Optional[int] = ..., source_sequence: _Optional[int] = ..., regime: _Optional[_Union[Regime, str]] = ..., instrument_scheme: _Optional[str] = ..., venue: _Optional[str] = ..., account: _Optional[str] = ..., entity: _Optional[str] = ..., strategy: _Optional[str] = ..., trader: _Optional[str] = ..., counterparty: _Optional[str] = ..., underlying: _Optional[str] = ..., instrument_class: _Optional[str] = ..., multiplier: _Optional[str] = ..., inverse: _Optional[bool] = ..., currency: _Optional[str] = ..., accrued_interest: _Optional[str] = ..., settlement_date: _Optional[str] = ..., group_id: _Optional[str] = ..., leg: _Optional[int] = ..., idempotency_hash: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class TradeBooked(_message.Message):
    __slots__ = ("trade_id", "book", "instrument", "quantity", "price", "executed_at", "recorded_at", "source_sequence", "fees", "multiplier", "inverse", "settlement_currency", "lot_method", "fee_policy", "business_date", "settlement_date", "accrued_interest", "entity", "account", "strategy", "trader", "counterparty", "venue", "underlying", "instrument_class", "group_id", "leg", "posting_rules", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    INVERSE_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LOT_METHOD_FIELD_NUMBER: _ClassVar[int]
    FEE_POLICY_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    ACCRUED_INTEREST_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TRADER_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    POSTING_RULES_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    book: str
    instrument: str
    quantity: str
    price: str
    executed_at: int
    recorded_at: int
    source_sequence: int
    fees: _containers.RepeatedCompositeFieldContainer[Fee]
    multiplier: str
    inverse: bool
    settlement_currency: str
    lot_method: LotMethod
    fee_policy: FeePolicy
    business_date: str
    settlement_date: str
    accrued_interest: str
    entity: str
    account: str
    strategy: str
    trader: str
    counterparty: str
    venue: str
    underlying: str
    instrument_class: str
    group_id: str
    leg: int
    posting_rules: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, trade_id: _Optional[str] = ..., book: _Optional[str] = ..., instrument: _Optional[str] = ..., quantity: _Optional[str] = ..., price: _Optional[str] = ..., executed_at: _Optional[int] = ..., recorded_at: _Optional[int] = ..., source_sequence: _Optional[int] = ..., fees: _Optional[_Iterable[_Union[Fee, _Mapping]]] = ..., multiplier: _Optional[str] = ..., inverse: _Optional[bool] = ..., settlement_currency: _Optional[str] = ..., lot_method: _Optional[_Union[LotMethod, str]] = ..., fee_policy: _Optional[_Union[FeePolicy, str]] = ..., business_date: _Optional[str] = ..., settlement_date: _Optional[str] = ..., accrued_interest: _Optional[str] = ..., entity: _Optional[str] = ..., account: _Optional[str] = ..., strategy: _Optional[str] = ..., trader: _Optional[str] = ..., counterparty: _Optional[str] = ..., venue: _Optional[str] = ..., underlying: _Optional[str] = ..., instrument_class: _Optional[str] = ..., group_id: _Optional[str] = ..., leg: _Optional[int] = ..., posting_rules: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class LifecycleEventApplied(_message.Message):
    __slots__ = ("kind", "trade_id", "original_trade_id", "book", "executed_at", "recorded_at", "trade", "group_id", "leg", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    TRADE_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    kind: LifecycleKind
    trade_id: str
    original_trade_id: str
    book: str
    executed_at: int
    recorded_at: int
    trade: TradeBooked
    group_id: str
    leg: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, kind: _Optional[_Union[LifecycleKind, str]] = ..., trade_id: _Optional[str] = ..., original_trade_id: _Optional[str] = ..., book: _Optional[str] = ..., executed_at: _Optional[int] = ..., recorded_at: _Optional[int] = ..., trade: _Optional[_Union[TradeBooked, _Mapping]] = ..., group_id: _Optional[str] = ..., leg: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class TradeRejected(_message.Message):
    __slots__ = ("trade_id", "reason", "field", "expected", "found", "book", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    reason: str
    field: str
    expected: str
    found: str
    book: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, trade_id: _Optional[str] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., book: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PositionUpdated(_message.Message):
    __slots__ = ("book", "instrument", "currency", "quantity", "average_price", "cost_basis", "realised_pnl", "net_realised_pnl", "fees", "lots_open", "revision", "executed_at", "event_id", "correlation_id", "causation_id", "schema_version", "source", "trade_id", "quantity_delta", "cost_basis_delta", "realised_pnl_delta", "net_realised_pnl_delta", "fees_delta", "rematched", "rematched_count", "kind", "trade_quantity", "trade_price", "trade_fees", "accrued_interest", "business_date", "settlement_date", "entity", "account", "underlying", "instrument_class", "multiplier", "inverse", "posting_rules", "held_fees", "trade_executed_at", "realised_moves")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRICE_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    NET_REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    LOTS_OPEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_DELTA_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_DELTA_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_DELTA_FIELD_NUMBER: _ClassVar[int]
    NET_REALISED_PNL_DELTA_FIELD_NUMBER: _ClassVar[int]
    FEES_DELTA_FIELD_NUMBER: _ClassVar[int]
    REMATCHED_FIELD_NUMBER: _ClassVar[int]
    REMATCHED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRADE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TRADE_PRICE_FIELD_NUMBER: _ClassVar[int]
    TRADE_FEES_FIELD_NUMBER: _ClassVar[int]
    ACCRUED_INTEREST_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    INVERSE_FIELD_NUMBER: _ClassVar[int]
    POSTING_RULES_FIELD_NUMBER: _ClassVar[int]
    HELD_FEES_FIELD_NUMBER: _ClassVar[int]
    TRADE_EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    REALISED_MOVES_FIELD_NUMBER: _ClassVar[int]
    book: str
    instrument: str
    currency: str
    quantity: str
    average_price: str
    cost_basis: str
    realised_pnl: str
    net_realised_pnl: str
    fees: str
    lots_open: int
    revision: int
    executed_at: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    trade_id: str
    quantity_delta: str
    cost_basis_delta: str
    realised_pnl_delta: str
    net_realised_pnl_delta: str
    fees_delta: str
    rematched: _containers.RepeatedCompositeFieldContainer[RematchedTrade]
    rematched_count: int
    kind: LifecycleKind
    trade_quantity: str
    trade_price: str
    trade_fees: _containers.RepeatedCompositeFieldContainer[Fee]
    accrued_interest: str
    business_date: str
    settlement_date: str
    entity: str
    account: str
    underlying: str
    instrument_class: str
    multiplier: str
    inverse: bool
    posting_rules: int
    held_fees: str
    trade_executed_at: int
    realised_moves: _containers.RepeatedCompositeFieldContainer[RealisedMove]
    def __init__(self, book: _Optional[str] = ..., instrument: _Optional[str] = ..., currency: _Optional[str] = ..., quantity: _Optional[str] = ..., average_price: _Optional[str] = ..., cost_basis: _Optional[str] = ..., realised_pnl: _Optional[str] = ..., net_realised_pnl: _Optional[str] = ..., fees: _Optional[str] = ..., lots_open: _Optional[int] = ..., revision: _Optional[int] = ..., executed_at: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ..., trade_id: _Optional[str] = ..., quantity_delta: _Optional[str] = ..., cost_basis_delta: _Optional[str] = ..., realised_pnl_delta: _Optional[str] = ..., net_realised_pnl_delta: _Optional[str] = ..., fees_delta: _Optional[str] = ..., rematched: _Optional[_Iterable[_Union[RematchedTrade, _Mapping]]] = ..., rematched_count: _Optional[int] = ..., kind: _Optional[_Union[LifecycleKind, str]] = ..., trade_quantity: _Optional[str] = ..., trade_price: _Optional[str] = ..., trade_fees: _Optional[_Iterable[_Union[Fee, _Mapping]]] = ..., accrued_interest: _Optional[str] = ..., business_date: _Optional[str] = ..., settlement_date: _Optional[str] = ..., entity: _Optional[str] = ..., account: _Optional[str] = ..., underlying: _Optional[str] = ..., instrument_class: _Optional[str] = ..., multiplier: _Optional[str] = ..., inverse: _Optional[bool] = ..., posting_rules: _Optional[int] = ..., held_fees: _Optional[str] = ..., trade_executed_at: _Optional[int] = ..., realised_moves: _Optional[_Iterable[_Union[RealisedMove, _Mapping]]] = ...) -> None: ...

class DayClosed(_message.Message):
    __slots__ = ("book", "business_date", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    book: str
    business_date: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, book: _Optional[str] = ..., business_date: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("reason", "kind", "stage", "topic", "partition", "offset", "index", "original", "trade_id", "field", "expected", "found", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    REASON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    kind: str
    stage: str
    topic: str
    partition: int
    offset: int
    index: int
    original: bytes
    trade_id: str
    field: str
    expected: str
    found: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, reason: _Optional[str] = ..., kind: _Optional[str] = ..., stage: _Optional[str] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., index: _Optional[int] = ..., original: _Optional[bytes] = ..., trade_id: _Optional[str] = ..., field: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class DeadLetterResolved(_message.Message):
    __slots__ = ("dead_letter_id", "action", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    action: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, dead_letter_id: _Optional[str] = ..., action: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class Instrument(_message.Message):
    __slots__ = ("instrument", "instrument_class", "currency", "multiplier", "inverse", "underlying", "settlement_days", "identifiers", "active", "pricing", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    class IdentifiersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    INVERSE_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DAYS_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PRICING_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    instrument_class: str
    currency: str
    multiplier: str
    inverse: bool
    underlying: str
    settlement_days: int
    identifiers: _containers.ScalarMap[str, str]
    active: bool
    pricing: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., instrument_class: _Optional[str] = ..., currency: _Optional[str] = ..., multiplier: _Optional[str] = ..., inverse: _Optional[bool] = ..., underlying: _Optional[str] = ..., settlement_days: _Optional[int] = ..., identifiers: _Optional[_Mapping[str, str]] = ..., active: _Optional[bool] = ..., pricing: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("book", "entity", "base_currency", "lot_methods", "fee_policy", "calendar", "time_zone", "cut_off", "active", "desk", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    class LotMethodsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: LotMethod
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[LotMethod, str]] = ...) -> None: ...
    BOOK_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    BASE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LOT_METHODS_FIELD_NUMBER: _ClassVar[int]
    FEE_POLICY_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    book: str
    entity: str
    base_currency: str
    lot_methods: _containers.ScalarMap[str, LotMethod]
    fee_policy: FeePolicy
    calendar: str
    time_zone: str
    cut_off: str
    active: bool
    desk: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, book: _Optional[str] = ..., entity: _Optional[str] = ..., base_currency: _Optional[str] = ..., lot_methods: _Optional[_Mapping[str, LotMethod]] = ..., fee_policy: _Optional[_Union[FeePolicy, str]] = ..., calendar: _Optional[str] = ..., time_zone: _Optional[str] = ..., cut_off: _Optional[str] = ..., active: _Optional[bool] = ..., desk: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class RoutingRule(_message.Message):
    __slots__ = ("rule", "book", "priority", "venue", "account", "instrument_class", "strategy", "active", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    RULE_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    book: str
    priority: int
    venue: str
    account: str
    instrument_class: str
    strategy: str
    active: bool
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, rule: _Optional[str] = ..., book: _Optional[str] = ..., priority: _Optional[int] = ..., venue: _Optional[str] = ..., account: _Optional[str] = ..., instrument_class: _Optional[str] = ..., strategy: _Optional[str] = ..., active: _Optional[bool] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class Mark(_message.Message):
    __slots__ = ("instrument", "event_time", "quality", "price", "bid", "ask", "source_sequence", "instrument_class", "underlying", "currency", "accrued_interest", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    ACCRUED_INTEREST_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    event_time: int
    quality: MarkQuality
    price: str
    bid: str
    ask: str
    source_sequence: int
    instrument_class: str
    underlying: str
    currency: str
    accrued_interest: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., event_time: _Optional[int] = ..., quality: _Optional[_Union[MarkQuality, str]] = ..., price: _Optional[str] = ..., bid: _Optional[str] = ..., ask: _Optional[str] = ..., source_sequence: _Optional[int] = ..., instrument_class: _Optional[str] = ..., underlying: _Optional[str] = ..., currency: _Optional[str] = ..., accrued_interest: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class FxRate(_message.Message):
    __slots__ = ("base_currency", "quote_currency", "event_time", "rate", "quality", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    BASE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUOTE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    base_currency: str
    quote_currency: str
    event_time: int
    rate: str
    quality: MarkQuality
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, base_currency: _Optional[str] = ..., quote_currency: _Optional[str] = ..., event_time: _Optional[int] = ..., rate: _Optional[str] = ..., quality: _Optional[_Union[MarkQuality, str]] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class Curve(_message.Message):
    __slots__ = ("curve", "version", "event_time", "definition", "plain_definition", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    CURVE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    PLAIN_DEFINITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    curve: str
    version: int
    event_time: int
    definition: str
    plain_definition: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, curve: _Optional[str] = ..., version: _Optional[int] = ..., event_time: _Optional[int] = ..., definition: _Optional[str] = ..., plain_definition: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class Bar(_message.Message):
    __slots__ = ("instrument", "interval", "opened_at", "open", "high", "low", "close", "volume", "trades", "revision", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    interval: BarInterval
    opened_at: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int
    revision: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., interval: _Optional[_Union[BarInterval, str]] = ..., opened_at: _Optional[int] = ..., open: _Optional[str] = ..., high: _Optional[str] = ..., low: _Optional[str] = ..., close: _Optional[str] = ..., volume: _Optional[str] = ..., trades: _Optional[int] = ..., revision: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PnLBuckets(_message.Message):
    __slots__ = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "carry", "fx", "funding", "new_trades", "fees", "corporate_actions", "unexplained")
    DELTA_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    VEGA_FIELD_NUMBER: _ClassVar[int]
    THETA_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    VANNA_FIELD_NUMBER: _ClassVar[int]
    VOLGA_FIELD_NUMBER: _ClassVar[int]
    CARRY_FIELD_NUMBER: _ClassVar[int]
    FX_FIELD_NUMBER: _ClassVar[int]
    FUNDING_FIELD_NUMBER: _ClassVar[int]
    NEW_TRADES_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    CORPORATE_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_FIELD_NUMBER: _ClassVar[int]
    delta: str
    gamma: str
    vega: str
    theta: str
    rho: str
    vanna: str
    volga: str
    carry: str
    fx: str
    funding: str
    new_trades: str
    fees: str
    corporate_actions: str
    unexplained: str
    def __init__(self, delta: _Optional[str] = ..., gamma: _Optional[str] = ..., vega: _Optional[str] = ..., theta: _Optional[str] = ..., rho: _Optional[str] = ..., vanna: _Optional[str] = ..., volga: _Optional[str] = ..., carry: _Optional[str] = ..., fx: _Optional[str] = ..., funding: _Optional[str] = ..., new_trades: _Optional[str] = ..., fees: _Optional[str] = ..., corporate_actions: _Optional[str] = ..., unexplained: _Optional[str] = ...) -> None: ...

class PnLAttributed(_message.Message):
    __slots__ = ("book", "instrument", "event_time", "underlying", "business_date", "closed", "restatement", "currency", "book_currency", "quantity", "opening_quantity", "mark", "quality", "realised", "fees", "unrealised", "total", "positional", "trading", "buckets", "total_to_date", "fx", "book_total", "book_buckets", "book_total_to_date", "reason", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    RESTATEMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BOOK_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    OPENING_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    REALISED_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    POSITIONAL_FIELD_NUMBER: _ClassVar[int]
    TRADING_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_TO_DATE_FIELD_NUMBER: _ClassVar[int]
    FX_FIELD_NUMBER: _ClassVar[int]
    BOOK_TOTAL_FIELD_NUMBER: _ClassVar[int]
    BOOK_BUCKETS_FIELD_NUMBER: _ClassVar[int]
    BOOK_TOTAL_TO_DATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    book: str
    instrument: str
    event_time: int
    underlying: str
    business_date: str
    closed: bool
    restatement: int
    currency: str
    book_currency: str
    quantity: str
    opening_quantity: str
    mark: str
    quality: str
    realised: str
    fees: str
    unrealised: str
    total: str
    positional: str
    trading: str
    buckets: PnLBuckets
    total_to_date: str
    fx: str
    book_total: str
    book_buckets: PnLBuckets
    book_total_to_date: str
    reason: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, book: _Optional[str] = ..., instrument: _Optional[str] = ..., event_time: _Optional[int] = ..., underlying: _Optional[str] = ..., business_date: _Optional[str] = ..., closed: _Optional[bool] = ..., restatement: _Optional[int] = ..., currency: _Optional[str] = ..., book_currency: _Optional[str] = ..., quantity: _Optional[str] = ..., opening_quantity: _Optional[str] = ..., mark: _Optional[str] = ..., quality: _Optional[str] = ..., realised: _Optional[str] = ..., fees: _Optional[str] = ..., unrealised: _Optional[str] = ..., total: _Optional[str] = ..., positional: _Optional[str] = ..., trading: _Optional[str] = ..., buckets: _Optional[_Union[PnLBuckets, _Mapping]] = ..., total_to_date: _Optional[str] = ..., fx: _Optional[str] = ..., book_total: _Optional[str] = ..., book_buckets: _Optional[_Union[PnLBuckets, _Mapping]] = ..., book_total_to_date: _Optional[str] = ..., reason: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PositionIncome(_message.Message):
    __slots__ = ("book", "instrument", "kind", "currency", "business_date", "event_time", "carry", "funding", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    CARRY_FIELD_NUMBER: _ClassVar[int]
    FUNDING_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    book: str
    instrument: str
    kind: MovementKind
    currency: str
    business_date: str
    event_time: int
    carry: str
    funding: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, book: _Optional[str] = ..., instrument: _Optional[str] = ..., kind: _Optional[_Union[MovementKind, str]] = ..., currency: _Optional[str] = ..., business_date: _Optional[str] = ..., event_time: _Optional[int] = ..., carry: _Optional[str] = ..., funding: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class CurrencyExposure(_message.Message):
    __slots__ = ("currency", "with_pending", "without_pending", "rate", "rate_time", "rate_quality", "rate_path", "reported_with_pending", "reported_without_pending")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    WITH_PENDING_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PENDING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    RATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RATE_QUALITY_FIELD_NUMBER: _ClassVar[int]
    RATE_PATH_FIELD_NUMBER: _ClassVar[int]
    REPORTED_WITH_PENDING_FIELD_NUMBER: _ClassVar[int]
    REPORTED_WITHOUT_PENDING_FIELD_NUMBER: _ClassVar[int]
    currency: str
    with_pending: str
    without_pending: str
    rate: str
    rate_time: int
    rate_quality: MarkQuality
    rate_path: str
    reported_with_pending: str
    reported_without_pending: str
    def __init__(self, currency: _Optional[str] = ..., with_pending: _Optional[str] = ..., without_pending: _Optional[str] = ..., rate: _Optional[str] = ..., rate_time: _Optional[int] = ..., rate_quality: _Optional[_Union[MarkQuality, str]] = ..., rate_path: _Optional[str] = ..., reported_with_pending: _Optional[str] = ..., reported_without_pending: _Optional[str] = ...) -> None: ...

class CurrencyPositionUpdated(_message.Message):
    __slots__ = ("entity", "reporting_currency", "event_time", "exposures", "sum_long", "sum_short", "net_open_position", "capital_charge", "settled_net_open_position", "unrated", "warnings", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REPORTING_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    SUM_LONG_FIELD_NUMBER: _ClassVar[int]
    SUM_SHORT_FIELD_NUMBER: _ClassVar[int]
    NET_OPEN_POSITION_FIELD_NUMBER: _ClassVar[int]
    CAPITAL_CHARGE_FIELD_NUMBER: _ClassVar[int]
    SETTLED_NET_OPEN_POSITION_FIELD_NUMBER: _ClassVar[int]
    UNRATED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    entity: str
    reporting_currency: str
    event_time: int
    exposures: _containers.RepeatedCompositeFieldContainer[CurrencyExposure]
    sum_long: str
    sum_short: str
    net_open_position: str
    capital_charge: str
    settled_net_open_position: str
    unrated: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, entity: _Optional[str] = ..., reporting_currency: _Optional[str] = ..., event_time: _Optional[int] = ..., exposures: _Optional[_Iterable[_Union[CurrencyExposure, _Mapping]]] = ..., sum_long: _Optional[str] = ..., sum_short: _Optional[str] = ..., net_open_position: _Optional[str] = ..., capital_charge: _Optional[str] = ..., settled_net_open_position: _Optional[str] = ..., unrated: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class CurrencyPolicy(_message.Message):
    __slots__ = ("entity", "reporting_currency", "capital_rate", "limits", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REPORTING_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    CAPITAL_RATE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    entity: str
    reporting_currency: str
    capital_rate: str
    limits: _containers.ScalarMap[str, str]
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, entity: _Optional[str] = ..., reporting_currency: _Optional[str] = ..., capital_rate: _Optional[str] = ..., limits: _Optional[_Mapping[str, str]] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class AccrualPeriod(_message.Message):
    __slots__ = ("start", "end", "face", "payment_date", "rate", "amount", "fixing", "margin", "redemption")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FACE_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FIXING_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    REDEMPTION_FIELD_NUMBER: _ClassVar[int]
    start: str
    end: str
    face: str
    payment_date: str
    rate: str
    amount: str
    fixing: str
    margin: str
    redemption: str
    def __init__(self, start: _Optional[str] = ..., end: _Optional[str] = ..., face: _Optional[str] = ..., payment_date: _Optional[str] = ..., rate: _Optional[str] = ..., amount: _Optional[str] = ..., fixing: _Optional[str] = ..., margin: _Optional[str] = ..., redemption: _Optional[str] = ...) -> None: ...

class CouponTerms(_message.Message):
    __slots__ = ("instrument", "currency", "day_count", "periods", "frequency", "decimals", "calendar", "ex_coupon_days", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    PERIODS_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    EX_COUPON_DAYS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    currency: str
    day_count: str
    periods: _containers.RepeatedCompositeFieldContainer[AccrualPeriod]
    frequency: int
    decimals: int
    calendar: str
    ex_coupon_days: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., currency: _Optional[str] = ..., day_count: _Optional[str] = ..., periods: _Optional[_Iterable[_Union[AccrualPeriod, _Mapping]]] = ..., frequency: _Optional[int] = ..., decimals: _Optional[int] = ..., calendar: _Optional[str] = ..., ex_coupon_days: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class FundingTerms(_message.Message):
    __slots__ = ("instrument", "currency", "rate", "interval_seconds", "decimals", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    currency: str
    rate: str
    interval_seconds: int
    decimals: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., currency: _Optional[str] = ..., rate: _Optional[str] = ..., interval_seconds: _Optional[int] = ..., decimals: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class BorrowTerms(_message.Message):
    __slots__ = ("instrument", "currency", "rate", "spread", "day_count", "decimals", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    DAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    currency: str
    rate: str
    spread: str
    day_count: str
    decimals: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., currency: _Optional[str] = ..., rate: _Optional[str] = ..., spread: _Optional[str] = ..., day_count: _Optional[str] = ..., decimals: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class MarginTerms(_message.Message):
    __slots__ = ("account", "currency", "rate", "entity", "debit_spread", "credit_spread", "free_balance", "day_count", "decimals", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    DEBIT_SPREAD_FIELD_NUMBER: _ClassVar[int]
    CREDIT_SPREAD_FIELD_NUMBER: _ClassVar[int]
    FREE_BALANCE_FIELD_NUMBER: _ClassVar[int]
    DAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    account: str
    currency: str
    rate: str
    entity: str
    debit_spread: str
    credit_spread: str
    free_balance: str
    day_count: str
    decimals: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, account: _Optional[str] = ..., currency: _Optional[str] = ..., rate: _Optional[str] = ..., entity: _Optional[str] = ..., debit_spread: _Optional[str] = ..., credit_spread: _Optional[str] = ..., free_balance: _Optional[str] = ..., day_count: _Optional[str] = ..., decimals: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class VariationMarginTerms(_message.Message):
    __slots__ = ("instrument", "currency", "rate", "decimals", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    currency: str
    rate: str
    decimals: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., currency: _Optional[str] = ..., rate: _Optional[str] = ..., decimals: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class RateFixed(_message.Message):
    __slots__ = ("rate", "fixed_at", "value", "price", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    RATE_FIELD_NUMBER: _ClassVar[int]
    FIXED_AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    rate: str
    fixed_at: int
    value: str
    price: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, rate: _Optional[str] = ..., fixed_at: _Optional[int] = ..., value: _Optional[str] = ..., price: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PositionReported(_message.Message):
    __slots__ = ("venue", "instrument", "reported_at", "quantity", "account", "average_price", "currency", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRICE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    venue: str
    instrument: str
    reported_at: int
    quantity: str
    account: str
    average_price: str
    currency: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, venue: _Optional[str] = ..., instrument: _Optional[str] = ..., reported_at: _Optional[int] = ..., quantity: _Optional[str] = ..., account: _Optional[str] = ..., average_price: _Optional[str] = ..., currency: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class CashMovement(_message.Message):
    __slots__ = ("movement_id", "kind", "currency", "amount", "trade_date", "event_time", "entity", "account", "book", "settlement_date", "value_date", "instrument", "counterparty", "reference", "reverses", "accrual_key", "by_payment", "user", "posting_rules", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    MOVEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TRADE_DATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    VALUE_DATE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REVERSES_FIELD_NUMBER: _ClassVar[int]
    ACCRUAL_KEY_FIELD_NUMBER: _ClassVar[int]
    BY_PAYMENT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    POSTING_RULES_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    movement_id: str
    kind: MovementKind
    currency: str
    amount: str
    trade_date: str
    event_time: int
    entity: str
    account: str
    book: str
    settlement_date: str
    value_date: str
    instrument: str
    counterparty: str
    reference: str
    reverses: str
    accrual_key: str
    by_payment: bool
    user: str
    posting_rules: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, movement_id: _Optional[str] = ..., kind: _Optional[_Union[MovementKind, str]] = ..., currency: _Optional[str] = ..., amount: _Optional[str] = ..., trade_date: _Optional[str] = ..., event_time: _Optional[int] = ..., entity: _Optional[str] = ..., account: _Optional[str] = ..., book: _Optional[str] = ..., settlement_date: _Optional[str] = ..., value_date: _Optional[str] = ..., instrument: _Optional[str] = ..., counterparty: _Optional[str] = ..., reference: _Optional[str] = ..., reverses: _Optional[str] = ..., accrual_key: _Optional[str] = ..., by_payment: _Optional[bool] = ..., user: _Optional[str] = ..., posting_rules: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class CashLedgerEntry(_message.Message):
    __slots__ = ("entity", "account", "book", "currency", "trade_id", "leg", "revision", "debit_account", "credit_account", "amount", "status", "executed_at", "trade_date", "settlement_date", "instrument", "value_date", "posting_date", "pending_id", "reverses", "cash_balance", "warning", "reference", "posting_rules", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DEBIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_AT_FIELD_NUMBER: _ClassVar[int]
    TRADE_DATE_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_DATE_FIELD_NUMBER: _ClassVar[int]
    POSTING_DATE_FIELD_NUMBER: _ClassVar[int]
    PENDING_ID_FIELD_NUMBER: _ClassVar[int]
    REVERSES_FIELD_NUMBER: _ClassVar[int]
    CASH_BALANCE_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    POSTING_RULES_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    entity: str
    account: str
    book: str
    currency: str
    trade_id: str
    leg: str
    revision: int
    debit_account: str
    credit_account: str
    amount: str
    status: EntryStatus
    executed_at: int
    trade_date: str
    settlement_date: str
    instrument: str
    value_date: str
    posting_date: str
    pending_id: str
    reverses: str
    cash_balance: str
    warning: str
    reference: str
    posting_rules: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, entity: _Optional[str] = ..., account: _Optional[str] = ..., book: _Optional[str] = ..., currency: _Optional[str] = ..., trade_id: _Optional[str] = ..., leg: _Optional[str] = ..., revision: _Optional[int] = ..., debit_account: _Optional[str] = ..., credit_account: _Optional[str] = ..., amount: _Optional[str] = ..., status: _Optional[_Union[EntryStatus, str]] = ..., executed_at: _Optional[int] = ..., trade_date: _Optional[str] = ..., settlement_date: _Optional[str] = ..., instrument: _Optional[str] = ..., value_date: _Optional[str] = ..., posting_date: _Optional[str] = ..., pending_id: _Optional[str] = ..., reverses: _Optional[str] = ..., cash_balance: _Optional[str] = ..., warning: _Optional[str] = ..., reference: _Optional[str] = ..., posting_rules: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class CashBalance(_message.Message):
    __slots__ = ("entity", "account", "currency", "trade_date_balance", "settled_balance", "projected_balance", "business_date", "event_time", "overdrawn", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TRADE_DATE_BALANCE_FIELD_NUMBER: _ClassVar[int]
    SETTLED_BALANCE_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_BALANCE_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_DATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERDRAWN_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    entity: str
    account: str
    currency: str
    trade_date_balance: str
    settled_balance: str
    projected_balance: str
    business_date: str
    event_time: int
    overdrawn: bool
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, entity: _Optional[str] = ..., account: _Optional[str] = ..., currency: _Optional[str] = ..., trade_date_balance: _Optional[str] = ..., settled_balance: _Optional[str] = ..., projected_balance: _Optional[str] = ..., business_date: _Optional[str] = ..., event_time: _Optional[int] = ..., overdrawn: _Optional[bool] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PaymentOrder(_message.Message):
    __slots__ = ("order_id", "entity", "account", "currency", "amount", "state", "revision", "event_time", "settlement_date", "book", "counterparty", "obligation_id", "drafted_by", "approved_by", "changed_by", "reason", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    OBLIGATION_ID_FIELD_NUMBER: _ClassVar[int]
    DRAFTED_BY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    entity: str
    account: str
    currency: str
    amount: str
    state: PaymentState
    revision: int
    event_time: int
    settlement_date: str
    book: str
    counterparty: str
    obligation_id: str
    drafted_by: str
    approved_by: str
    changed_by: str
    reason: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, order_id: _Optional[str] = ..., entity: _Optional[str] = ..., account: _Optional[str] = ..., currency: _Optional[str] = ..., amount: _Optional[str] = ..., state: _Optional[_Union[PaymentState, str]] = ..., revision: _Optional[int] = ..., event_time: _Optional[int] = ..., settlement_date: _Optional[str] = ..., book: _Optional[str] = ..., counterparty: _Optional[str] = ..., obligation_id: _Optional[str] = ..., drafted_by: _Optional[str] = ..., approved_by: _Optional[str] = ..., changed_by: _Optional[str] = ..., reason: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PaymentInstruction(_message.Message):
    __slots__ = ("order_id", "step", "user", "entity", "reason", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    step: PaymentStep
    user: str
    entity: str
    reason: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, order_id: _Optional[str] = ..., step: _Optional[_Union[PaymentStep, str]] = ..., user: _Optional[str] = ..., entity: _Optional[str] = ..., reason: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PaymentDue(_message.Message):
    __slots__ = ("order_id", "trade_id", "book", "instrument", "currency", "counterparty", "user", "entity", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    trade_id: str
    book: str
    instrument: str
    currency: str
    counterparty: str
    user: str
    entity: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, order_id: _Optional[str] = ..., trade_id: _Optional[str] = ..., book: _Optional[str] = ..., instrument: _Optional[str] = ..., currency: _Optional[str] = ..., counterparty: _Optional[str] = ..., user: _Optional[str] = ..., entity: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PeriodLocked(_message.Message):
    __slots__ = ("through", "user", "entity", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    through: str
    user: str
    entity: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, through: _Optional[str] = ..., user: _Optional[str] = ..., entity: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PostingRules(_message.Message):
    __slots__ = ("version", "definition", "event_time", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    version: int
    definition: str
    event_time: int
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, version: _Optional[int] = ..., definition: _Optional[str] = ..., event_time: _Optional[int] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PositionValuated(_message.Message):
    __slots__ = ("book", "instrument", "currency", "underlying", "instrument_class", "entity", "desk", "quantity", "cost_basis", "realised_pnl", "net_realised_pnl", "fees", "revision", "multiplier", "inverse", "held_fees", "mark", "mark_quality", "mark_time", "valued_by", "market_value", "accrued_interest", "unrealised_pnl", "book_currency", "fx_rate", "fx_quality", "fx_time", "event_time", "reason", "spot", "volatility", "rate", "time_to_expiry", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    COST_BASIS_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    NET_REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    INVERSE_FIELD_NUMBER: _ClassVar[int]
    HELD_FEES_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    MARK_QUALITY_FIELD_NUMBER: _ClassVar[int]
    MARK_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUED_BY_FIELD_NUMBER: _ClassVar[int]
    MARKET_VALUE_FIELD_NUMBER: _ClassVar[int]
    ACCRUED_INTEREST_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    BOOK_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    FX_RATE_FIELD_NUMBER: _ClassVar[int]
    FX_QUALITY_FIELD_NUMBER: _ClassVar[int]
    FX_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SPOT_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    VEGA_FIELD_NUMBER: _ClassVar[int]
    THETA_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    VANNA_FIELD_NUMBER: _ClassVar[int]
    VOLGA_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    book: str
    instrument: str
    currency: str
    underlying: str
    instrument_class: str
    entity: str
    desk: str
    quantity: str
    cost_basis: str
    realised_pnl: str
    net_realised_pnl: str
    fees: str
    revision: int
    multiplier: str
    inverse: bool
    held_fees: str
    mark: str
    mark_quality: MarkQuality
    mark_time: int
    valued_by: ValuedBy
    market_value: str
    accrued_interest: str
    unrealised_pnl: str
    book_currency: str
    fx_rate: str
    fx_quality: MarkQuality
    fx_time: int
    event_time: int
    reason: str
    spot: float
    volatility: float
    rate: float
    time_to_expiry: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float
    volga: float
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, book: _Optional[str] = ..., instrument: _Optional[str] = ..., currency: _Optional[str] = ..., underlying: _Optional[str] = ..., instrument_class: _Optional[str] = ..., entity: _Optional[str] = ..., desk: _Optional[str] = ..., quantity: _Optional[str] = ..., cost_basis: _Optional[str] = ..., realised_pnl: _Optional[str] = ..., net_realised_pnl: _Optional[str] = ..., fees: _Optional[str] = ..., revision: _Optional[int] = ..., multiplier: _Optional[str] = ..., inverse: _Optional[bool] = ..., held_fees: _Optional[str] = ..., mark: _Optional[str] = ..., mark_quality: _Optional[_Union[MarkQuality, str]] = ..., mark_time: _Optional[int] = ..., valued_by: _Optional[_Union[ValuedBy, str]] = ..., market_value: _Optional[str] = ..., accrued_interest: _Optional[str] = ..., unrealised_pnl: _Optional[str] = ..., book_currency: _Optional[str] = ..., fx_rate: _Optional[str] = ..., fx_quality: _Optional[_Union[MarkQuality, str]] = ..., fx_time: _Optional[int] = ..., event_time: _Optional[int] = ..., reason: _Optional[str] = ..., spot: _Optional[float] = ..., volatility: _Optional[float] = ..., rate: _Optional[float] = ..., time_to_expiry: _Optional[float] = ..., delta: _Optional[float] = ..., gamma: _Optional[float] = ..., vega: _Optional[float] = ..., theta: _Optional[float] = ..., rho: _Optional[float] = ..., vanna: _Optional[float] = ..., volga: _Optional[float] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PriceRequested(_message.Message):
    __slots__ = ("instrument", "underlying", "event_time", "request", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    underlying: str
    event_time: int
    request: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., underlying: _Optional[str] = ..., event_time: _Optional[int] = ..., request: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class PriceAnswered(_message.Message):
    __slots__ = ("instrument", "underlying", "event_time", "answer", "event_id", "correlation_id", "causation_id", "schema_version", "source")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    UNDERLYING_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    underlying: str
    event_time: int
    answer: str
    event_id: str
    correlation_id: str
    causation_id: str
    schema_version: int
    source: str
    def __init__(self, instrument: _Optional[str] = ..., underlying: _Optional[str] = ..., event_time: _Optional[int] = ..., answer: _Optional[str] = ..., event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., schema_version: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...
