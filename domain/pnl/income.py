"""Which movements of cash are P&L of the position that they name, and of which cause.

Owns: that table. Money that only changes hands between us and others, or between our accounts, is no P&L (deposits, margin,
transfers, payments); nor is what a futures exchange pays ahead of P&L that trades realise. Interest that accrues on a bond
between coupons is none either: the position is valued with its accrued interest, and the coupon takes that place. What a bond
pays back of its face takes the place of the value that it loses.
"""

from collections.abc import Mapping

from schemas.units import MovementKind

CARRY, FUNDING = "carry", "funding"

BUCKET_OF_KIND: Mapping[MovementKind, str] = {
    MovementKind.DIVIDEND: CARRY,
    MovementKind.PAYMENT_IN_LIEU: CARRY,
    MovementKind.WITHHOLDING_TAX: CARRY,
    MovementKind.INTEREST: CARRY,
    MovementKind.INTEREST_ACCRUAL: CARRY,
    MovementKind.COUPON: CARRY,
    MovementKind.REDEMPTION: CARRY,
    MovementKind.BORROW_FEE: CARRY,
    MovementKind.BORROW_FEE_ACCRUAL: CARRY,
    MovementKind.MARGIN_INTEREST: CARRY,
    MovementKind.MARGIN_INTEREST_ACCRUAL: CARRY,
    MovementKind.FEE: CARRY,
    MovementKind.CORRECTION: CARRY,
    MovementKind.FUNDING: FUNDING,
    MovementKind.FUNDING_ACCRUAL: FUNDING,
}
"""The bucket of each kind that is P&L of a position; other kinds are not in it."""
