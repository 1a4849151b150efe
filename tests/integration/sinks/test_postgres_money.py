"""Money and values in Postgres: every transfer once, the newest of what changes, whatever comes again or out of its order."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.money import MoneySink
from connectors.postgres.session import PostgresSink
from connectors.postgres.values import ValuesSink
from connectors.sink import Batch, Item
from schemas import currency_position, money, pnl, topics, valuation
from schemas.frames import wire
from schemas.topics import Topic
from schemas.units import EntryStatus, MarkQuality, PaymentState, ValuedBy
from tests.postgres_support import fetch, value
from tests.support import MONDAY

Entry: Any = wire(money.CashLedgerEntry)
Balance: Any = wire(money.CashBalance)
Order: Any = wire(money.PaymentOrder)
CurrencyPosition: Any = wire(currency_position.CurrencyPositionUpdated)
Exposure: Any = wire(currency_position.CurrencyExposure)
Valuated: Any = wire(valuation.PositionsValuated)
PnL: Any = wire(pnl.PnLAttributed)
Buckets: Any = wire(pnl.PnLBuckets)


def items(topic: Topic, events: Sequence[Any], first: int = 0) -> list[Item]:
    """Events as the runtime hands them over, each a record of its own."""
    return [Item(topic.name, 0, at, 0, at, MONDAY + at, event) for at, event in enumerate(events, first)]


def write(sink: PostgresSink, *batches: Sequence[Item]) -> None:
    """Write batches; where the sink goes on is no part of it, so that they may come again."""

    async def run() -> None:
        await sink.open()
        try:
            for batch in batches:
                await sink.write(Batch(batch))
        finally:
            await sink.close()

    asyncio.run(run())


def entry(
    number: int, amount: str = "10.5", debit: str = "cash", credit: str = "trading", **more: Any
) -> Any:
    return Entry(
        event_id=f"l{number}",
        entity="E",
        account="A",
        book="B1",
        currency="USD",
        trade_id=f"t{number}",
        leg="principal",
        revision=1,
        debit_account=debit,
        credit_account=credit,
        amount=Decimal(amount),
        status=EntryStatus.PENDING,
        executed_at=MONDAY,
        trade_date="2026-01-05",
        settlement_date="2026-01-07",
        **more,
    )


def balance(amount: str, account: str = "A") -> Any:
    return Balance(
        event_id=f"b-{account}-{amount}",
        entity="E",
        account=account,
        currency="USD",
        trade_date_balance=Decimal(amount),
        settled_balance=Decimal(0),
        projected_balance=Decimal(amount),
        business_date="2026-01-05",
        event_time=MONDAY,
    )


def valued(number: int, mark: str | None, *instruments: str, **more: Any) -> Any:
    price = None if mark is None else Decimal(mark)
    return Valuated(
        event_id=f"v{number}",
        underlying="X",
        event_time=MONDAY + number,
        book=("B1",) * len(instruments),
        instrument=instruments,
        revision=tuple(range(number, number + len(instruments))),
        quantity=(Decimal(10),) * len(instruments),
        mark=(price,) * len(instruments),
        **more,
    )


def test_every_transfer_is_a_row_and_the_ledger_sums_to_zero(postgres: str):
    found = [
        entry(1, "0.000000000000000000000000000001", cash_balance=Decimal("-7")),
        entry(2, "3", debit="trading", credit="cash", reverses="l1", warning="overdrawn"),
    ]
    sink = MoneySink(postgres)
    write(sink, items(topics.LEDGER_ENTRIES, found), items(topics.LEDGER_ENTRIES, [found[0], entry(3)]))
    rows = fetch(postgres, "select * from back_office.ledger_entry order by event_id")
    assert [row["event_id"] for row in rows] == ["l1", "l2", "l3"]
    assert rows[0]["amount"] == Decimal("0.000000000000000000000000000001")
    assert (rows[0]["cash_balance"], rows[1]["cash_balance"]) == (-7, None)
    assert (rows[1]["status"], rows[1]["reverses"], rows[1]["executed_at_ns"]) == ("pending", "l1", MONDAY)
    assert rows[0]["log_offset"] == 0, "what came again changed nothing"
    sums = fetch(
        postgres, "select sum(balance) as balance, sum(debit) as debit from back_office.trial_balance"
    )
    assert (sums[0]["balance"], sums[0]["debit"]) == (0, Decimal("13.500000000000000000000000000001"))


def test_the_newest_balance_stands_also_where_all_is_written_again(postgres: str):
    found = items(topics.CASH_BALANCES, [balance("1"), balance("5", "other"), balance("2"), balance("3")])
    write(MoneySink(postgres), found)
    stands = "select account, trade_date_balance, log_offset from back_office.cash_balance order by account"
    newest = [("A", 3, 3), ("other", 5, 1)]
    assert [tuple(row) for row in fetch(postgres, stands)] == newest
    write(MoneySink(postgres), found[:1], found[1:3])
    assert [tuple(row) for row in fetch(postgres, stands)] == newest


def test_an_order_is_as_its_last_step_left_it(postgres: str):
    def step(revision: int, state: PaymentState) -> Any:
        return Order(
            event_id=f"o1/{revision}",
            order_id="o1",
            entity="E",
            account="A",
            currency="USD",
            amount=Decimal("12.34"),
            state=state,
            revision=revision,
            event_time=MONDAY,
            settlement_date="2026-01-07",
        )

    states = list(PaymentState)[:2]
    found = [step(revision, state) for revision, state in enumerate(states, 1)]
    write(MoneySink(postgres), items(topics.PAYMENT_ORDERS, found))
    assert value(postgres, "select count(*) from back_office.payment_order_step") == 2
    assert value(postgres, "select state from back_office.payment_order") == states[1]


def test_the_currency_position_of_an_entity(postgres: str):
    exposure = Exposure(currency="EUR", with_pending=Decimal("1.10"), without_pending=Decimal(1))
    found = [
        CurrencyPosition(
            event_id=f"c{number}",
            entity="E",
            reporting_currency="USD",
            event_time=MONDAY,
            exposures=(exposure,),
            sum_long=Decimal(number),
            sum_short=Decimal(0),
            net_open_position=Decimal(number),
            capital_charge=Decimal("0.08"),
            settled_net_open_position=Decimal(0),
            unrated=("EUR",),
        )
        for number in range(3)
    ]
    write(MoneySink(postgres), items(topics.CURRENCY_POSITIONS, found))
    (row,) = fetch(postgres, "select * from back_office.currency_position")
    assert (row["sum_long"], json.loads(row["unrated"])) == (2, ["EUR"])
    assert json.loads(row["exposures"])[0]["with_pending"] == "1.10"
    # Nothing of it has a rate: no sum, which is no 0.
    unrated = CurrencyPosition(
        event_id="c3",
        entity="F",
        reporting_currency="USD",
        event_time=MONDAY,
        exposures=(exposure,),
        unrated=("EUR",),
    )
    write(MoneySink(postgres), items(topics.CURRENCY_POSITIONS, [unrated]))
    (row,) = fetch(postgres, "select * from back_office.currency_position where entity = 'F'")
    assert row["sum_long"] is row["net_open_position"] is row["settled_net_open_position"] is None


def test_each_position_has_its_newest_value(postgres: str):
    frames = [
        valued(1, "100", "X", "Y"),
        valued(2, "0.1", "Y", delta=(0.5,), mark_quality=(MarkQuality.LIVE,), valued_by=(ValuedBy.MARK,)),
        valued(3, None, "Z", reason=("no mark",)),
    ]
    found = items(topics.VALUATIONS, frames)
    for batches in ([found], [found[:1], found[1:]], [[each] for each in found]):
        write(ValuesSink(postgres), *batches)
        rows = fetch(postgres, "select * from position.valuation order by instrument")
        assert [(row["instrument"], row["mark"], row["event_time_ns"] - MONDAY) for row in rows] == [
            ("X", 100, 1),
            ("Y", Decimal("0.1"), 2),
            ("Z", None, 3),
        ]
        assert (rows[1]["delta"], rows[1]["mark_quality"], rows[0]["delta"]) == (0.5, "live", None)
        assert (rows[2]["reason"], rows[2]["revision"]) == ("no mark", 3)


def test_each_day_of_a_position_has_its_newest_p_and_l(postgres: str):
    def day(number: int, date: str, total: str | None) -> Any:
        amount = None if total is None else Decimal(total)
        return PnL(
            event_id=f"p{number}",
            book="B1",
            instrument="X",
            event_time=MONDAY + number,
            business_date=date,
            restatement=number // 2,
            total=amount,
            buckets=None if amount is None else Buckets(delta=amount, unexplained=Decimal("0.0")),
            reason="no mark" if amount is None else "",
        )

    found = [day(1, "2026-01-05", "1"), day(2, "2026-01-06", None), day(3, "2026-01-05", "1.50")]
    write(ValuesSink(postgres), items(topics.PNL, found[:2]), items(topics.PNL, found[2:], 2))
    rows = fetch(postgres, "select * from position.pnl_attribution order by business_date")
    assert [(row["business_date"], row["total"], row["restatement"]) for row in rows] == [
        ("2026-01-05", Decimal("1.50"), 1),
        ("2026-01-06", None, 1),
    ]
    assert json.loads(rows[0]["buckets"])["delta"] == "1.50"
    assert (rows[1]["buckets"], rows[1]["reason"]) == (None, "no mark")


_HEADER = {"causation_id", "schema_version"}


@pytest.mark.parametrize(
    ("table", "event_class"),
    [
        ("back_office.ledger_entry", money.CashLedgerEntry),
        ("back_office.payment_order_step", money.PaymentOrder),
        ("back_office.cash_balance", money.CashBalance),
        ("back_office.currency_position", currency_position.CurrencyPositionUpdated),
        ("position.valuation", valuation.PositionValuated),
        ("position.pnl_attribution", pnl.PnLAttributed),
    ],
)
def test_no_field_of_an_event_is_without_its_column(postgres: str, table: str, event_class: type):
    """A field that is added wants a revision with its column."""
    schema, _, name = table.partition(".")
    listed = "select column_name from information_schema.columns where table_schema = $1 and table_name = $2"
    columns = {row[0].removesuffix("_ns") for row in fetch(postgres, listed, schema, name)}
    own = {field.name for field in fields(event_class)} - _HEADER - {"source", "correlation_id"}
    assert own <= columns
