"""Posting cash that moves without a trade: deposits, dividends, coupons, funding, interest, fees, accruals, corrections.

Guarantees: a movement is posted in transfers whose sum on cash is its amount, rounded; what is taken back is taken back
transfer by transfer. A payment clears what was accrued under its key, and the rest of it is income or cost.
"""

from decimal import Decimal
from typing import Any

from domain.ledger.posting import Transfer, transfer
from domain.ledger.rules import CASH, MovementRule, Rules
from schemas.numbers import ZERO

MOVED, CLEARED, ACCRUED_NOW = "amount", "accrued", "accrual"


def movement_transfers(
    rules: Rules, rule: MovementRule, movement: Any, accrued: Decimal
) -> tuple[list[Transfer], Decimal, Decimal]:
    """The transfers of a movement, what it changes of what is accrued under its key, and the residue of rounding.

    `accrued` is what is accrued under its key so far, in minor units: positive is owed to us.
    """
    currency = movement.currency
    amount = rules.money(currency).round(movement.amount)
    residue = movement.amount - amount
    if rule.is_accrual:
        found = [transfer(ACCRUED_NOW, rule.accrued, rule.account, currency, amount)] if amount else []
        return found, amount, residue
    cleared = accrued if rule.accrued and movement.accrual_key else ZERO
    found = []
    if cleared:
        found.append(transfer(CLEARED, CASH, rule.accrued, currency, cleared))
    rest = amount - cleared
    if rest:
        found.append(transfer(MOVED, CASH, rule.account, currency, rest))
    return found, -cleared, residue
