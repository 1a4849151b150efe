"""What the lines of `corpus/*.jsonl` must be read as: one list of objects a file, in the order of its lines.

A release adds a file and never edits one: whatever was once written must still be read. To record this version's
messages, add objects here and run `python -m tests.golden.corpus_objects`: it writes the files that are missing.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas import (
    accruals,
    currency_position,
    events,
    market_data,
    money,
    pnl,
    reference,
    reported,
    valuation,
)
from schemas.frames import encode_event, wire
from schemas.pricing_terms import canonical_pricing
from schemas.units import (
    Action,
    BarInterval,
    EntryStatus,
    FeePolicy,
    LifecycleKind,
    LotMethod,
    MarkQuality,
    MovementKind,
    PaymentState,
    PaymentStep,
    Regime,
    Side,
    ValuedBy,
)

FOLDER = Path(__file__).parent / "corpus"

_EXECUTED = 1_767_607_200_123_456_789
_COMMON = {
    "event_id": "6e3f3b3b0c1d4a5f9e8d7c6b5a493827",
    "correlation_id": "correlation",
    "causation_id": "causation",
    "schema_version": 2,
    "source": "canonical:file.csv",
}


def _of(event_class: Any, **fields: Any) -> Any:
    return wire(event_class)(**{**_COMMON, **fields})


_FEES = (
    wire(events.Fee)(amount=Decimal("-0.25"), kind="rebate", currency="EUR"),
    wire(events.Fee)(amount=Decimal("1.10")),
)

_BOOKED = {
    "trade_id": "t1",
    "book": "книга 1",
    "instrument": "BTC/USD:PERP",
    "quantity": Decimal("-0.000000000000000001"),
    "price": Decimal("-37.63"),
    "executed_at": _EXECUTED,
    "recorded_at": _EXECUTED + 1,
    "source_sequence": -7,
    "fees": _FEES,
    "multiplier": Decimal("0.01"),
    "inverse": True,
    "settlement_currency": "BTC",
    "lot_method": LotMethod.AVERAGE,
    "fee_policy": FeePolicy.CAPITALISED,
    "business_date": "2026-01-06",
    "settlement_date": "2026-01-08",
    "accrued_interest": Decimal("12.5"),
    "entity": "entity",
    "account": "account",
    "strategy": "strategy",
    "trader": "trader",
    "counterparty": "counterparty",
    "venue": "venue",
    "underlying": "BTC",
    "instrument_class": "perpetual",
    "group_id": "g1",
    "leg": 1,
}

_FILL = {
    "trade_id": "t1",
    "instrument": "XS0000000009",
    "side": Side.SELL,
    "quantity": Decimal("1E+3"),
    "price": Decimal("0"),
    "executed_at": _EXECUTED,
}

VERSION_1: tuple[Any, ...] = (
    wire(events.FillEvent)(event_id="e", **_FILL),
    _of(
        events.FillEvent,
        **_FILL,
        action=Action.AMEND,
        kind=LifecycleKind.GIVE_UP,
        original_trade_id="t0",
        book="B1",
        fees=_FEES,
        recorded_at=_EXECUTED + 1,
        source_sequence=9_007_199_254_740_993,
        regime=Regime.OTC,
        instrument_scheme="isin",
        venue="venue",
        account="account",
        entity="entity",
        strategy="strategy",
        trader="trader",
        counterparty="counterparty",
        underlying="underlying",
        instrument_class="bond",
        multiplier=Decimal("100"),
        inverse=False,
        currency="USD",
        accrued_interest=Decimal("3.5"),
        settlement_date="2026-01-08",
        group_id="g1",
        leg=2,
        idempotency_hash="hash",
    ),
    wire(events.TradeBooked)(
        event_id="b",
        trade_id="t1",
        book="B1",
        instrument="X",
        quantity=Decimal(1),
        price=Decimal(1),
        executed_at=-1,
    ),
    _of(events.TradeBooked, **_BOOKED),
    _of(
        events.LifecycleEventApplied,
        kind=LifecycleKind.AMEND,
        trade_id="a1",
        original_trade_id="t1",
        book="книга 1",
        executed_at=_EXECUTED,
        recorded_at=_EXECUTED + 2,
        trade=_of(events.TradeBooked, **_BOOKED),
        group_id="g1",
        leg=1,
    ),
    *(
        _of(
            events.LifecycleEventApplied,
            kind=kind,
            trade_id="c1",
            original_trade_id="t1",
            book="B1",
            executed_at=_EXECUTED,
        )
        for kind in LifecycleKind
    ),
    _of(
        events.TradeRejected,
        trade_id="t1",
        reason="no routing rule matches",
        field="book",
        expected="a book",
        found="none",
        book="B1",
        event_time=_EXECUTED,
    ),
    _of(
        events.PositionUpdated,
        book="B1",
        instrument="X",
        trade_id="t1",
        revision=3,
        executed_at=_EXECUTED,
        quantity=Decimal("-5"),
        average_price=Decimal("10.20"),
        cost_basis=Decimal("-51"),
        realised_pnl=Decimal("25"),
        net_realised_pnl=Decimal("22"),
        fees=Decimal("3"),
        currency="USD",
        lots_open=2,
        quantity_delta=Decimal("-5"),
        cost_basis_delta=Decimal("-51"),
        realised_pnl_delta=Decimal("25"),
        net_realised_pnl_delta=Decimal("22"),
        fees_delta=Decimal("3"),
        rematched=(wire(events.RematchedTrade)(trade_id="t0", realised_pnl_delta=Decimal("0.5")),),
        rematched_count=1,
    ),
    _of(events.ClockTick, event_time=_EXECUTED),
    _of(events.DayClosed, book="B1", business_date="2026-01-05", event_time=_EXECUTED),
    _of(
        events.DeadLetter,
        reason="not readable",
        kind="unreadable",
        stage="trade_capture",
        topic="pd.canonical",
        partition=3,
        offset=12,
        index=4,
        original=b"\x00\xff not JSON",
        trade_id="t1",
        field="price",
        expected="a number",
        found="noon",
        event_time=_EXECUTED,
    ),
    _of(events.DeadLetterResolved, dead_letter_id="d1", action="retried", event_time=_EXECUTED),
    _of(
        reference.Instrument,
        instrument="X",
        instrument_class="bond",
        currency="USD",
        multiplier=Decimal("0.5"),
        inverse=True,
        underlying="Y",
        settlement_days=2,
        identifiers={"isin": "US0378331005", "symbol:XNAS": "AAPL"},
        active=False,
    ),
    _of(
        reference.Book,
        book="B1",
        entity="entity",
        base_currency="EUR",
        lot_methods={"*": LotMethod.LIFO, "bond": LotMethod.AVERAGE},
        fee_policy=FeePolicy.EXPENSED,
        calendar="weekdays",
        time_zone="Europe/London",
        cut_off="17:30",
        active=False,
    ),
    _of(
        reference.RoutingRule,
        rule="r1",
        book="B1",
        priority=5,
        venue="venue",
        account="account",
        instrument_class="bond",
        strategy="strategy",
        active=False,
    ),
)

VERSION_2: tuple[Any, ...] = (
    *(
        _of(
            market_data.Mark,
            instrument="BTC/USD:PERP",
            event_time=_EXECUTED,
            quality=quality,
            price=None if quality is MarkQuality.MISSING else Decimal("37.630"),
            bid=Decimal("-0.01"),
            ask=Decimal("0.000000000000000001"),
        )
        for quality in MarkQuality
    ),
    _of(
        market_data.Curve,
        curve="EUR-ESTR",
        version=7,
        event_time=_EXECUTED,
        definition='{"type": "zero", "dates": ["2027-01-05"], "rates": [0.0250]}',
    ),
    *(
        _of(
            market_data.Bar,
            instrument="X",
            interval=interval,
            opened_at=_EXECUTED,
            open=Decimal("10.1"),
            high=Decimal("10.5"),
            low=Decimal("-1"),
            close=Decimal("10.20"),
            volume=Decimal("1234.5"),
            trades=17,
            revision=3,
        )
        for interval in BarInterval
    ),
    _of(
        reported.PositionReported,
        venue="MOEX",
        instrument="X",
        reported_at=_EXECUTED,
        quantity=Decimal("-12.50"),
        account="L01",
        average_price=Decimal("9.75"),
        currency="RUB",
    ),
)

VERSION_3: tuple[Any, ...] = (
    _of(events.TradeBooked, **_BOOKED, posting_rules=4),
    *(
        _of(
            events.PositionUpdated,
            book="B1",
            instrument="X",
            trade_id="t1",
            revision=4,
            executed_at=_EXECUTED,
            quantity=Decimal("-5"),
            quantity_delta=Decimal("0.5"),
            kind=kind,
            trade_quantity=Decimal("-4.5"),
            trade_price=Decimal("-37.63"),
            trade_fees=_FEES,
            accrued_interest=Decimal("12.5"),
            business_date="2026-01-06",
            settlement_date="2026-01-08",
            entity="entity",
            account="account",
            underlying="BTC",
            instrument_class="perpetual",
            multiplier=Decimal("0.01"),
            inverse=True,
            posting_rules=4,
            held_fees=Decimal("1.5"),
            trade_executed_at=_EXECUTED - 1,
        )
        for kind in (None, *LifecycleKind)
    ),
    *(
        _of(
            market_data.FxRate,
            base_currency="EUR",
            quote_currency="USD",
            event_time=_EXECUTED,
            rate=Decimal("1.0850"),
            quality=quality,
        )
        for quality in MarkQuality
        if quality is not MarkQuality.MISSING
    ),
)

_BUCKETS = {name: Decimal(number) / 8 for number, name in enumerate(pnl.BUCKETS, 1)}

VERSION_3_PNL: tuple[Any, ...] = (
    _of(
        pnl.PnLAttributed,
        book="книга 1",
        instrument="BTC/USD:PERP",
        event_time=_EXECUTED,
        underlying="BTC",
        business_date="2026-01-05",
        closed=True,
        restatement=2,
        currency="BTC",
        book_currency="EUR",
        quantity=Decimal("-2"),
        opening_quantity=Decimal("3"),
        mark=Decimal("50000.5"),
        quality="live",
        realised=Decimal("0.125"),
        fees=Decimal("0.5"),
        unrealised=Decimal("13"),
        total=Decimal("13.125"),
        positional=Decimal("13"),
        trading=Decimal("0.125"),
        buckets=wire(pnl.PnLBuckets)(**_BUCKETS),
        total_to_date=Decimal("1000000000000000000000000000000.5"),
        fx=Decimal("0.9"),
        book_total=Decimal("13.125"),
        book_buckets=wire(pnl.PnLBuckets)(**_BUCKETS),
        book_total_to_date=Decimal("-1"),
    ),
    wire(pnl.PnLAttributed)(
        event_id="p", book="B1", instrument="X", event_time=_EXECUTED, reason="no mark of X"
    ),
)

VERSION_3_MARKS: tuple[Any, ...] = (
    _of(
        market_data.Mark,
        instrument="RU000A0JWM07.MOEX",
        event_time=_EXECUTED,
        quality=MarkQuality.LIVE,
        price=Decimal("91.1687"),
        source_sequence=20_240_215_180_740,
        instrument_class="bond",
        underlying="RU000A0JWM07.MOEX",
        currency="RUB",
        accrued_interest=Decimal("31.63"),
    ),
)

_KINDS_OF_SETTLEMENT = (MovementKind.VARIATION_MARGIN, MovementKind.REDEMPTION)

VERSION_3_MONEY: tuple[Any, ...] = (
    *(
        _of(
            money.CashMovement,
            movement_id="m1",
            kind=kind,
            currency="USD",
            amount=Decimal("-12.345"),
            trade_date="2026-01-05",
            event_time=_EXECUTED,
            entity="entity",
            account="account",
            book="B1",
            settlement_date="2026-01-06",
            value_date="2026-01-07",
            instrument="X",
            counterparty="counterparty",
            reference="reference",
            reverses="m0",
            accrual_key="X@2026-01",
            by_payment=True,
            user="user",
            posting_rules=4,
        )
        for kind in MovementKind
        if kind not in _KINDS_OF_SETTLEMENT
    ),
    *(
        _of(
            money.CashLedgerEntry,
            entity="entity",
            account="account",
            book="книга 1",
            currency="JPY",
            trade_id="t1",
            leg="principal",
            revision=4,
            debit_account="positions",
            credit_account="cash",
            amount=Decimal("1000"),
            status=status,
            executed_at=_EXECUTED,
            trade_date="2026-01-05",
            settlement_date="2026-01-07",
            instrument="X",
            value_date="2026-01-07",
            posting_date="2026-01-06",
            pending_id="e1",
            reverses="e0",
            cash_balance=Decimal("-1000"),
            warning="cash below zero",
            reference="2025-12-31",
            posting_rules=4,
        )
        for status in EntryStatus
    ),
    _of(
        money.CashBalance,
        entity="entity",
        account="account",
        currency="USD",
        trade_date_balance=Decimal("-10.00"),
        settled_balance=Decimal("1.50"),
        projected_balance=Decimal("-9.00"),
        business_date="2026-01-05",
        event_time=_EXECUTED,
        overdrawn=True,
    ),
    *(
        _of(
            money.PaymentOrder,
            order_id="p1",
            entity="entity",
            account="account",
            currency="USD",
            amount=Decimal("10.00"),
            state=state,
            revision=2,
            event_time=_EXECUTED,
            settlement_date="2026-01-07",
            book="B1",
            counterparty="counterparty",
            obligation_id="m1",
            drafted_by="anna",
            approved_by="boris",
            changed_by="boris",
            reason="reason",
        )
        for state in PaymentState
    ),
    *(
        _of(
            money.PaymentInstruction,
            order_id="p1",
            step=step,
            user="boris",
            entity="entity",
            reason="reason",
            event_time=_EXECUTED,
        )
        for step in PaymentStep
    ),
    _of(money.PeriodLocked, through="2025-12-31", user="anna", entity="entity", event_time=_EXECUTED),
    _of(money.PostingRules, version=4, definition='{"version": 4}', event_time=_EXECUTED),
)

VERSION_3_CURRENCIES: tuple[Any, ...] = (
    _of(
        accruals.CouponTerms,
        instrument="RU000A0JWM07.MOEX",
        currency="RUB",
        day_count="Act/365F",
        periods=(
            wire(accruals.AccrualPeriod)(
                start="2023-09-20",
                end="2024-03-20",
                payment_date="2024-03-21",
                face=Decimal("1000"),
                rate=Decimal("0.0775"),
                redemption=Decimal("250"),
            ),
            wire(accruals.AccrualPeriod)(
                start="2024-03-20",
                end="2024-09-18",
                face=Decimal("750"),
                fixing="RUONIA",
                margin=Decimal("0.013"),
            ),
        ),
        frequency=2,
        decimals=6,
        calendar="Russia",
        ex_coupon_days=1,
    ),
    wire(accruals.CouponTerms)(event_id="c", instrument="X", currency="EUR", day_count="30/360", periods=()),
    _of(
        accruals.FundingTerms,
        instrument="BTC.HYPERLIQUID",
        currency="USDC",
        rate="BTC.HYPERLIQUID.funding",
        interval_seconds=3600,
        decimals=8,
    ),
    _of(
        accruals.BorrowTerms,
        instrument="AIG.US",
        currency="USD",
        rate="AIG.US.borrow",
        spread=Decimal("-0.001"),
        day_count="Act/365F",
        decimals=4,
    ),
    _of(
        accruals.MarginTerms,
        account="U1",
        currency="USD",
        rate="SOFR",
        entity="E1",
        debit_spread=Decimal("0.015"),
        credit_spread=Decimal("0.005"),
        free_balance=Decimal("10000"),
        day_count="Act/365F",
        decimals=4,
    ),
    _of(
        accruals.RateFixed,
        rate="BTC.HYPERLIQUID.funding",
        fixed_at=_EXECUTED,
        value=Decimal("-0.00061334"),
        price=Decimal("27000.5"),
    ),
    _of(
        currency_position.CurrencyPolicy,
        entity="E1",
        reporting_currency="EUR",
        capital_rate=Decimal("0.12"),
        limits={"USD": Decimal("1000000"), "*": Decimal("0")},
    ),
    _of(
        currency_position.CurrencyPositionUpdated,
        entity="E1",
        reporting_currency="EUR",
        event_time=_EXECUTED,
        exposures=(
            wire(currency_position.CurrencyExposure)(
                currency="USD",
                with_pending=Decimal("-100.25"),
                without_pending=Decimal("10"),
                rate=Decimal("0.92"),
                rate_time=_EXECUTED,
                rate_quality=MarkQuality.INDICATIVE,
                rate_path="EUR",
                reported_with_pending=Decimal("-92.23"),
                reported_without_pending=Decimal("9.2"),
            ),
            wire(currency_position.CurrencyExposure)(
                currency="RUB", with_pending=Decimal(1), without_pending=Decimal(0)
            ),
        ),
        sum_long=Decimal("0"),
        sum_short=Decimal("92.23"),
        net_open_position=Decimal("92.23"),
        capital_charge=Decimal("11.0676"),
        settled_net_open_position=Decimal("9.2"),
        unrated=("RUB",),
        warnings=("net open position 92.23 EUR is above its limit of 0 EUR",),
    ),
)

_SINGLE: dict[str, Any] = {
    "book": "книга 1",
    "instrument": "BTC-27DEC24-C",
    "revision": 4,
    "quantity": Decimal("-2.50"),
    "currency": "BTC",
    "instrument_class": "option",
    "entity": "entity",
    "desk": "desk",
    "multiplier": Decimal("0.01"),
    "inverse": True,
    "cost_basis": Decimal("-37.63"),
    "held_fees": Decimal("0.25"),
    "realised_pnl": Decimal("1"),
    "net_realised_pnl": Decimal("0.5"),
    "fees": Decimal("0.75"),
    "mark": Decimal("0"),
    "mark_quality": MarkQuality.STALE,
    "mark_time": _EXECUTED - 1,
    "valued_by": ValuedBy.MODEL,
    "market_value": Decimal("-0.000000000000000001"),
    "accrued_interest": Decimal("12.5"),
    "unrealised_pnl": Decimal("37.63"),
    "book_currency": "EUR",
    "fx_rate": Decimal("0.9"),
    "fx_quality": MarkQuality.INDICATIVE,
    "fx_time": _EXECUTED - 2,
    "spot": 50_000.5,
    "volatility": 0.5,
    "rate": -0.01,
    "time_to_expiry": 0.25,
    "delta": -0.75,
    "gamma": 1e-300,
    "vega": 0.1,
    "theta": -1.5,
    "rho": 0.0,
    "vanna": 1.5,
    "volga": 2.5,
    "reason": "the pricing engine does not answer",
}
_CHANGE = wire(valuation.PositionChange)(
    row=0,
    trade_id="t1",
    executed_at=_EXECUTED,
    revision=4,
    kind=LifecycleKind.AMEND,
    business_date="2026-01-05",
    quantity_delta=Decimal("-0.5"),
    cost_basis_delta=Decimal("-1"),
    held_fees_delta=Decimal("0.25"),
    realised_pnl_delta=Decimal("1"),
    net_realised_pnl_delta=Decimal("0.5"),
    fees_delta=Decimal("0.75"),
    trade_quantity=Decimal("-4.5"),
    trade_price=Decimal("-37.63"),
    accrued_interest=Decimal("12.5"),
)
_INCOME_CHANGE = wire(valuation.PositionChange)(
    row=0,
    trade_id="m1",
    executed_at=_EXECUTED,
    revision=0,
    realised_moves=(wire(events.RealisedMove)(executed_at=_EXECUTED, realised_pnl_delta=Decimal("-1.5")),),
    carry_delta=Decimal("38.65"),
    funding_delta=Decimal("-0.5"),
    income_currency="EUR",
)

VERSION_3_VALUATION: tuple[Any, ...] = (
    *(
        _of(
            reference.Instrument,
            instrument=name,
            underlying="BTC",
            pricing=canonical_pricing(json.dumps({"model": model, **terms})),
        )
        for name, model, terms in (
            ("C", "bsm", {"option_type": "call", "strike": "1", "expiry": "2026-01-05T08:00:00Z"}),
            ("L", "linear", {}),
        )
    ),
    _of(reference.Book, book="B1", desk="desk"),
    _of(valuation.PositionValuated, underlying="BTC", event_time=_EXECUTED, **_SINGLE),
    wire(valuation.PositionValuated)(
        event_id="v",
        book="B1",
        instrument="X",
        underlying="X",
        event_time=1,
        revision=1,
        quantity=Decimal(1),
        reason="no mark of X",
    ),
    _of(
        valuation.PositionsValuated,
        underlying="BTC",
        event_time=_EXECUTED,
        **{name: (value,) for name, value in _SINGLE.items()},
        changes=(_CHANGE,),
    ),
    _of(
        valuation.PriceRequested,
        instrument="X",
        underlying="X",
        event_time=_EXECUTED,
        request='{"id":"X","model":"american"}',
    ),
    _of(
        valuation.PriceAnswered,
        instrument="X",
        underlying="X",
        event_time=_EXECUTED,
        answer='{"id":"X","price":1.5}',
    ),
)

VERSION_3_CURVES: tuple[Any, ...] = (
    _of(
        market_data.Curve,
        curve="EUR-ESTR",
        version=8,
        event_time=_EXECUTED,
        definition='{"type": "bootstrap", "reference_date": "2026-01-05", "instruments": []}',
        plain_definition='{"type": "discount", "dates": ["2027-01-05"], "factors": [0.9750]}',
    ),
)

VERSION_3_SETTLEMENT: tuple[Any, ...] = (
    *(
        _of(
            money.CashMovement,
            movement_id=f"settled {kind}",
            kind=kind,
            currency="USD",
            amount=Decimal("-12.50"),
            trade_date="2026-01-05",
        )
        for kind in _KINDS_OF_SETTLEMENT
    ),
    _of(
        accruals.VariationMarginTerms,
        instrument="GCZ3",
        currency="USD",
        rate="GCZ3.settlement",
        decimals=4,
    ),
    _of(
        money.PaymentDue,
        order_id="t1/USD/1",
        trade_id="t1",
        book="книга 1",
        instrument="EUR/USD",
        currency="USD",
        counterparty="bank",
        user="anna",
        entity="entity",
        event_time=_EXECUTED,
    ),
)

VERSION_3_INCOME: tuple[Any, ...] = (
    _of(
        valuation.PositionsValuated,
        underlying="X",
        event_time=_EXECUTED,
        book=("B1",),
        instrument=("X",),
        revision=(3,),
        quantity=(Decimal(3),),
        changes=(_INCOME_CHANGE,),
    ),
    _of(
        pnl.PositionIncome,
        book="B1",
        instrument="X",
        kind=MovementKind.COUPON,
        currency="RUB",
        business_date="2026-01-05",
        event_time=_EXECUTED,
        carry=Decimal("38.65"),
        funding=Decimal("-0.00012345"),
    ),
    _of(
        events.PositionUpdated,
        book="B1",
        instrument="X",
        trade_id="t0",
        revision=7,
        executed_at=_EXECUTED,
        quantity=Decimal(3),
        realised_moves=(
            wire(events.RealisedMove)(executed_at=_EXECUTED, realised_pnl_delta=Decimal("-1.5")),
            wire(events.RealisedMove)(executed_at=_EXECUTED + 1, realised_pnl_delta=Decimal("0.25")),
        ),
    ),
)

FILES: dict[str, tuple[Any, ...]] = {
    "version-1.jsonl": VERSION_1,
    "version-2.jsonl": VERSION_2,
    "version-3.jsonl": VERSION_3,
    "version-3-marks.jsonl": VERSION_3_MARKS,
    "version-3-pnl.jsonl": VERSION_3_PNL,
    "version-3-money.jsonl": VERSION_3_MONEY,
    "version-3-currencies.jsonl": VERSION_3_CURRENCIES,
    "version-3-valuation.jsonl": VERSION_3_VALUATION,
    "version-3-curves.jsonl": VERSION_3_CURVES,
    "version-3-settlement.jsonl": VERSION_3_SETTLEMENT,
    "version-3-income.jsonl": VERSION_3_INCOME,
}


def main() -> int:
    """Write the files that are missing; never touch one that is there."""
    for name, objects in FILES.items():
        path = FOLDER / name
        if not path.exists():
            path.write_bytes(b"".join(encode_event(item) + b"\n" for item in objects))
            print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
