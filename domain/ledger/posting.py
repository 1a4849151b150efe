"""Posting trades: the transfers that an updated position makes, exact to the minor unit.

Owns: which accounts are debited and credited for a trade, its correction, and for P&L that a re-match moved.
Assumes: `exact_arithmetic`; that `PositionUpdated` carries totals (cost basis, realised P&L), so that what was posted before
and what is right now differ by what is to be posted, however many earlier trades the event re-matched.
Guarantees: debits equal credits in each currency, since a transfer has one amount. After each event the ledger has of a
position exactly its cost basis and its realised P&L, each rounded once; every amount of cash is rounded by itself; what the
two leave over is posted to `rounding`, so that nothing vanishes. The sums depend on the trades, not on their order.
"""

from decimal import Decimal
from typing import Any

import msgspec

from domain.ledger.calendars import Cycle, joint
from domain.ledger.currencies import Money
from domain.ledger.rules import ACCRUED, CASH, EXCHANGE, HELD_FEES, OPENING, REALISED, ROUNDING, Model, Rules
from schemas.numbers import ONE, ZERO
from schemas.units import currency_code_fault

Transfer = tuple[str, str, str, str, Decimal]
"""Leg, account to debit, account to credit, currency, amount (positive, with the decimals of its minor unit)."""

Residues = dict[tuple[str, str], Decimal]
"""What an account of a currency would have beyond whole minor units, by account and currency; from -1/2 to 1/2 of one."""

PRINCIPAL, BASE, FEE, ACCRUED_LEG = "principal", "base", "fee", "accrued_interest"
PNL, RESIDUE, OPENED, CAPITALISED = "realised_pnl", "rounding", "opening", "capitalised_fees"
REVERSAL = "reversal:"
"""What the leg of a transfer that takes another back begins with."""

_ROUNDING_UNITS_MAX = 4
_HALF = Decimal("0.5")
# To ask an enumeration for a member costs as much as a call.
_MARGINED = Model.MARGINED


class PostingError(ValueError):
    """What is to be posted contradicts what was: it names what was expected and found."""


class Terms:
    """The rules for trades of one class, currency and kind of contract, looked up once."""

    __slots__ = ("base", "base_currency", "currency", "cycle", "inventory", "model", "money", "rules")

    def __init__(
        self, rules: Rules, instrument_class: str, currency: str, *, inverse: bool, underlying: str
    ) -> None:
        rule = rules.trade_class(instrument_class)
        self.rules = rules
        self.currency = currency
        self.money = rules.money(currency)
        self.model = Model.MARGINED if inverse else rule.model
        self.inventory = CASH if self.model is Model.MARGINED else rule.inventory
        self.base_currency = ""
        self.base: Money | None = None
        self.cycle = rules.cycle(rule.cycle, currency)
        if self.model is Model.EXCHANGE:
            self.inventory = EXCHANGE
            if currency_code_fault(underlying) is None and underlying != currency:
                self.base_currency = underlying
                self.base = rules.money(underlying)
                other = rules.cycle(rule.cycle, underlying)
                if self.cycle is not None and other is not None:
                    longest = max(self.cycle, other, key=lambda cycle: cycle.days[-1])
                    self.cycle = Cycle(
                        joint((self.cycle.calendar, other.calendar)), longest.starts, longest.days
                    )


class Posted(msgspec.Struct, array_like=True, gc=False):
    """What the ledger has posted of one position so far, rounded; `revision` is the last event of it.

    The rest says what its last trade said, since a trade that is taken out says nothing but its id. `refused` are events that
    were refused, and may come again.
    """

    revision: int = 0
    currency: str = ""
    inventory: Decimal = ZERO
    realised: Decimal = ZERO
    quantity: Decimal = ZERO
    held_fees: Decimal = ZERO
    entity: str = ""
    account: str = ""
    instrument_class: str = ""
    underlying: str = ""
    posting_rules: int = 0
    refused: list[int] = []


class Content(msgspec.Struct, array_like=True, gc=False):
    """What a trade moved, to be taken back when it is corrected; `residues` is what rounding left of it.

    `inventory` and `quantity` are what it added to the inventory and, in an exchange, to the other currency. Its entries are
    those of the event `event_id` from the number `first` on.
    """

    account: str
    trade_date: str
    settlement_date: str
    transfers: list[Transfer]
    residues: list[tuple[str, str, Decimal]]
    inventory: Decimal
    quantity: Decimal
    event_id: str = ""
    first: int = 0


def transfer(leg: str, debit: str, credit: str, currency: str, amount: Decimal) -> Transfer:
    """A transfer of a signed amount: a negative one goes the other way."""
    if amount < ZERO:
        return leg, credit, debit, currency, -amount
    return leg, debit, credit, currency, amount


def reversed_transfer(given: Transfer) -> Transfer:
    """The transfer that takes another back."""
    leg, debit, credit, currency, amount = given
    return REVERSAL + leg, credit, debit, currency, amount


def note_residue(
    residues: Residues, account: str, money: Money, currency: str, residue: Decimal
) -> Transfer | None:
    """Add to what an account has beyond whole minor units; the transfer to `rounding` where it has become one."""
    total = residues.get((account, currency), ZERO) + residue
    # Whole units that make what is left at least -1/2 and below 1/2, whatever the order in which it came.
    units = (total / money.quantum + _HALF).to_integral_value("ROUND_FLOOR")
    whole = units * money.quantum
    residues[account, currency] = total - whole
    return (
        transfer(
            f"{RESIDUE}:{account}:{currency}", account, ROUNDING, currency, whole.quantize(money.quantum)
        )
        if units
        else None
    )


def trade_content(
    terms: Terms, event: Any, quantity: Decimal, trade_date: str, settlement_date: str
) -> Content:
    """What a trade of a signed quantity moves: price, other currency, fees, accrued interest. Not its P&L."""
    found: list[Transfer] = []
    residues: list[tuple[str, str, Decimal]] = []
    currency, money = terms.currency, terms.money
    moved = base_moved = ZERO
    if terms.model is not _MARGINED:
        price = event.trade_price
        moved = money.round(
            event.cost_basis_delta - event.realised_pnl_delta
            if price is None
            else quantity * price * event.multiplier
        )
        if moved:
            found.append(transfer(PRINCIPAL, terms.inventory, CASH, currency, moved))
        if terms.base is not None:
            base_moved = terms.base.round(quantity)
            if base_moved:
                found.append(transfer(BASE, CASH, EXCHANGE, terms.base_currency, base_moved))
        exact = event.accrued_interest
        if exact:
            if quantity < ZERO:
                exact = -exact
            amount = money.round(exact)
            if amount:
                found.append(transfer(ACCRUED_LEG, ACCRUED, CASH, currency, amount))
            if amount != exact:
                residues.append((ACCRUED, currency, exact - amount))
    for number, fee in enumerate(event.trade_fees):
        fee_currency = fee.currency or currency
        fee_money = money if fee_currency == currency else terms.rules.money(fee_currency)
        account = terms.rules.fee_account(fee.kind)
        exact = fee.amount
        amount = fee_money.round(exact)
        if amount:
            leg = f"{FEE}:{fee.kind}:{number}" if number else f"{FEE}:{fee.kind}"
            found.append(transfer(leg, account, CASH, fee_currency, amount))
        if amount != exact:
            residues.append((account, fee_currency, exact - amount))
    return Content(
        event.account, trade_date, settlement_date, found, residues, moved, base_moved, event.event_id
    )


def post_totals(
    terms: Terms, posted: Posted, event: Any, moved: Decimal, moved_base: Decimal, *, opened: bool
) -> list[Transfer]:
    """Bring the ledger's inventory and P&L of a position to the totals of an event.

    `moved` and `moved_base` are what the contents of trades have just added to the inventory and to the exchange account of
    the other currency. Changes `posted`. More than rounding is left over only where the ledger was `opened` with this event;
    else raises PostingError.
    """
    found: list[Transfer] = []
    currency, money, inventory = terms.currency, terms.money, terms.inventory
    realised_total = event.realised_pnl
    if event.realised_pnl_delta or posted.realised or realised_total:
        realised = money.round(realised_total)
        change = realised - posted.realised
        if change:
            found.append(transfer(PNL, inventory, REALISED, currency, change))
            posted.realised = realised
            moved += change
    if terms.model is _MARGINED:
        return found
    held = money.round(event.held_fees) if event.held_fees else ZERO
    if held != posted.held_fees:
        change = held - posted.held_fees
        found.append(transfer(CAPITALISED, inventory, HELD_FEES, currency, change))
        moved += change
        posted.held_fees = held
    target = money.round(event.cost_basis)
    left = target - posted.inventory - moved
    if left:
        # Where a version of the rules has made the minor unit finer, what was posted before is as coarse as it was.
        unit = max(
            money.quantum, ONE.scaleb(int(posted.inventory.as_tuple().exponent)) if posted.inventory else ZERO
        )
        if abs(left) <= _ROUNDING_UNITS_MAX * unit:
            found.append(transfer(f"{RESIDUE}:{inventory}", inventory, ROUNDING, currency, left))
        elif opened:
            found.append(transfer(f"{OPENED}:contents", inventory, OPENING, currency, left))
        else:
            raise PostingError(
                f"expected the trades of {event.instrument} in book {event.book} to add up to its cost basis {target} {currency}, "
                f"found {posted.inventory + moved}"
            )
    posted.inventory = target
    base = terms.base
    if base is not None:
        quantity = base.round(event.quantity)
        left = quantity - posted.quantity - moved_base
        if left:
            found.append(transfer(f"{RESIDUE}:{BASE}", ROUNDING, EXCHANGE, terms.base_currency, left))
        posted.quantity = quantity
    return found


def take_in(terms: Terms, posted: Posted, event: Any) -> list[Transfer]:
    """What a position had before an event beyond what was posted of it: booked as an opening balance.

    So a ledger that begins after the books, or after updates that are not kept any more, has their totals all the same.
    """
    found: list[Transfer] = []
    currency, money = terms.currency, terms.money
    if posted.currency != currency:
        # The position was flat, and has other terms now.
        posted.inventory = posted.quantity = posted.held_fees = ZERO
        posted.realised = ZERO
        posted.currency = currency
    realised = money.round(event.realised_pnl - event.realised_pnl_delta)
    if realised != posted.realised:
        found.append(
            transfer(f"{OPENED}:{REALISED}", OPENING, REALISED, currency, realised - posted.realised)
        )
        posted.realised = realised
    if terms.model is not _MARGINED:
        cost = money.round(event.cost_basis - event.cost_basis_delta)
        if cost != posted.inventory:
            found.append(
                transfer(f"{OPENED}:inventory", terms.inventory, OPENING, currency, cost - posted.inventory)
            )
            posted.inventory = cost
        posted.held_fees = money.round(event.held_fees)
        if terms.base is not None:
            quantity = terms.base.round(event.quantity - event.quantity_delta)
            if quantity != posted.quantity:
                left = quantity - posted.quantity
                found.append(transfer(f"{OPENED}:{BASE}", OPENING, EXCHANGE, terms.base_currency, left))
                posted.quantity = quantity
    return found


def missed(terms: Terms, event: Any, moved: Decimal, moved_base: Decimal) -> list[Transfer]:
    """Of an event that was refused and comes again: what was taken in as an opening balance meanwhile goes back.

    `moved` and `moved_base` are what its content adds, as in `post_totals`; the totals are those of later events already.
    """
    if terms.model is _MARGINED:
        before = terms.money.round(event.realised_pnl - event.realised_pnl_delta)
        change = terms.money.round(event.realised_pnl) - before
        return [transfer(PNL, CASH, OPENING, terms.currency, change)] if change else []
    found: list[Transfer] = []
    if moved:
        found.append(transfer(f"{OPENED}:inventory", OPENING, terms.inventory, terms.currency, moved))
    if moved_base:
        found.append(transfer(f"{OPENED}:{BASE}", EXCHANGE, OPENING, terms.base_currency, moved_base))
    return found
