"""Positions, ledger and cash in memory, one after the other, and a ledger of fifty lines that they are held against."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from agents import cash, ledger, positions
from agents.cash import scan_balances
from agents.ledger_accounts import Names, read_accounts
from domain.ledger.rules import Rules
from domain.lots.matching import apply
from domain.lots.position import Position, Trade
from schemas import events, money, topics
from schemas.frames import wire
from schemas.identity import content_id
from schemas.numbers import ZERO, exact_arithmetic
from tests.stage_support import StageInMemory
from topology.money.rules import standard_rules

PositionUpdated = wire(events.PositionUpdated)
CashMovement = wire(money.CashMovement)
PaymentInstruction = wire(money.PaymentInstruction)
PeriodLocked = wire(money.PeriodLocked)
PostingRules = wire(money.PostingRules)
DayClosed = wire(events.DayClosed)


def day_closed(book: str, day: str) -> Any:
    return DayClosed(event_id=f"{book}@{day}", book=book, business_date=day, event_time=0)


def movement(
    movement_id: str = "m1", amount: str | Decimal = "100", kind: str = "deposit", **fields: Any
) -> Any:
    values = {"currency": "USD", "trade_date": "2026-01-05", "entity": "E", "account": "A", **fields}
    from schemas.units import MovementKind

    return CashMovement(
        event_id=movement_id,
        movement_id=movement_id,
        kind=MovementKind(kind),
        amount=Decimal(amount),
        **values,
    )


class MoneyBooks:
    """What goes into positions comes out as transfers and balances; `entries` and `balances` have all that was told."""

    def __init__(self, standard: Rules | None = None) -> None:
        self.positions = StageInMemory(positions.stage())
        self.ledger = StageInMemory(ledger.stage(standard or standard_rules()))
        self.cash = StageInMemory(cash.stage())
        self.entries: list[Any] = []
        self.balances: list[Any] = []
        self.refusals: list[Any] = []

    def book(self, *bookings: Any) -> None:
        """Bookings through positions, and on."""
        self.post(*self.updates(*bookings))

    def updates(self, *bookings: Any) -> list[Any]:
        """What positions say of bookings."""
        return told(self.positions.step(*bookings), topics.POSITIONS)

    def post(self, *given: Any) -> list[Any]:
        """Into the ledger, and on; returns the transfers."""
        step = self.ledger.step(*given)
        self.refusals += [refusal for *_, refusal in step.refusals]
        entries = told(step, topics.LEDGER_ENTRIES)
        self.entries += entries
        if entries:
            self.balances += told(self.cash.step(*entries), topics.CASH_BALANCES)
        return entries

    def restart(self) -> None:
        """Forget all that is not in the tables."""
        for stage in (self.positions, self.ledger, self.cash):
            stage.restart()

    def accounts(self) -> dict[Names, tuple[Decimal, Decimal]]:
        """What each account holds, and what of it has settled; those that hold nothing are left out."""
        found = read_accounts(self.ledger.committed)
        return {names: (total, settled) for names, total, settled in found if total or settled}

    def of(self, code: str, currency: str = "USD") -> Decimal:
        """What the accounts of one name hold in a currency, over all books."""
        return sum(
            (total for names, (total, _) in self.accounts().items() if names[3:] == (currency, code)), ZERO
        )

    def check(self) -> None:
        """Debits equal credits, and cash is what the ledger says, settled and not."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        settled_sums: dict[str, Decimal] = defaultdict(Decimal)
        cash_accounts = {}
        for names, (total, settled) in self.accounts().items():
            sums[names[3]] += total
            settled_sums[names[3]] += settled
            if names[4] == "cash":
                cash_accounts[names[0], names[1], names[3]] = (total, settled)
        assert not any(sums.values()), sums
        assert not any(settled_sums.values()), settled_sums
        kept = {
            names: (balance.total, balance.settled) for names, balance in scan_balances(self.cash.committed)
        }
        assert {names: figures for names, figures in kept.items() if any(figures)} == cash_accounts


def told(step: Any, topic: Any) -> list[Any]:
    """What a step has for a topic, read again."""
    return [
        event
        for (name, _), output in step.outputs.items()
        if name == topic.name
        for encoded in output.encoded
        for event in topic.codec.decode(b"[" + encoded + b"]")
    ]


class SimpleLedger:
    """The ledger that is obviously right: no state but the trades as they are now, all summed up anew each time."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.trades: dict[str, Any] = {}

    def accounts(self, terms_of: Any) -> dict[tuple[str, str, str], Decimal]:
        """What each account must hold: by book (none for cash), currency and name."""
        found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        fees: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        by_position: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for trade in self.trades.values():
            by_position[trade.book, trade.instrument].append(trade)
        for (book, _), trades in by_position.items():
            trades.sort(key=lambda trade: (trade.executed_at, trade.source_sequence, trade.trade_id))
            rule = self.rules.trade_class(trades[0].instrument_class)
            currency = trades[0].settlement_currency
            unit = self.rules.money(currency)
            margined = rule.model == "margined" or trades[0].inverse
            position = Position(terms_of(trades[0]))
            for trade in trades:
                apply(
                    position, Trade(trade.trade_id, trade.executed_at, 0, trade.quantity, trade.price, ZERO)
                )
                for fee in trade.fees:
                    fee_unit = self.rules.money(fee.currency or currency)
                    found["", fee.currency or currency, "cash"] -= fee_unit.round(fee.amount)
                    fees[book, fee.currency or currency, self.rules.fee_account(fee.kind)] += fee.amount
                if not margined:
                    value = trade.quantity * trade.price * trade.multiplier
                    found["", currency, "cash"] -= unit.round(value)
                if rule.model == "exchange" and not margined:
                    base = self.rules.money(trade.underlying)
                    found["", trade.underlying, "cash"] += base.round(trade.quantity)
            realised = unit.round(position.realised_pnl)
            found[book, currency, "realised_pnl"] -= realised
            if margined:
                found["", currency, "cash"] += realised
            else:
                inventory = rule.inventory or "currency_exchange"
                found[book, currency, inventory] += unit.round(position.cost_basis)
            if rule.model == "exchange" and not margined:
                base = self.rules.money(trades[0].underlying)
                found[book, trades[0].underlying, "currency_exchange"] -= base.round(position.quantity)
        half = Decimal("0.5")
        for (book, currency, account), exact in fees.items():
            quantum = self.rules.money(currency).quantum
            found[book, currency, account] += (exact / quantum + half).to_integral_value(
                "ROUND_FLOOR"
            ) * quantum
        return found


def compare(books: MoneyBooks, simple: SimpleLedger) -> None:
    """The accounts are those of the simple ledger; what rounding left over is what is missing to zero."""
    from agents.corrections import terms_of

    with exact_arithmetic():
        expected = {names: held for names, held in simple.accounts(terms_of).items() if held}
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for (_, _, book, currency, code), (total, _) in books.accounts().items():
        if code != "rounding":
            found[book, currency, code] += total
    assert {names: held for names, held in found.items() if held} == expected


def instruction(step: str, user: str, order_id: str = "m1", number: int = 1) -> Any:
    from schemas.units import PaymentStep

    identity = content_id(order_id, step, user, str(number))
    return PaymentInstruction(
        event_id=identity, order_id=order_id, step=PaymentStep(step), user=user, entity="E"
    )
