"""The life of a payment order, as a table: which step leads from which state to which.

A draft is approved by another user than the one who drafted it. What has failed may be approved and sent again.
"""

from collections.abc import Mapping
from typing import Any

from schemas.units import PaymentState, PaymentStep

TRANSITIONS: Mapping[tuple[PaymentState, PaymentStep], PaymentState] = {
    (PaymentState.DRAFT, PaymentStep.APPROVE): PaymentState.APPROVED,
    (PaymentState.DRAFT, PaymentStep.CANCEL): PaymentState.CANCELLED,
    (PaymentState.APPROVED, PaymentStep.SEND): PaymentState.SENT,
    (PaymentState.APPROVED, PaymentStep.CANCEL): PaymentState.CANCELLED,
    (PaymentState.SENT, PaymentStep.SETTLE): PaymentState.SETTLED,
    (PaymentState.SENT, PaymentStep.FAIL): PaymentState.FAILED,
    (PaymentState.FAILED, PaymentStep.APPROVE): PaymentState.APPROVED,
    (PaymentState.FAILED, PaymentStep.CANCEL): PaymentState.CANCELLED,
}
"""What is not named is refused."""


def possible_steps(state: PaymentState) -> str:
    """The steps that a state allows, in words."""
    steps = [step.value for (before, step) in TRANSITIONS if before is state]
    return " or ".join(steps) if steps else "no step any more"


def step_fault(order: Any, step: PaymentStep, user: str) -> tuple[str, str, str] | None:
    """Why a user cannot do a step with an order: field, expected, found; None where it is possible."""
    if (order.state, step) not in TRANSITIONS:
        return "step", f"{possible_steps(order.state)} of an order that is {order.state.value}", step.value
    if not user.strip():
        return "user", "who does it", user
    if step is PaymentStep.APPROVE and user == order.drafted_by:
        return "user", f"another user than {order.drafted_by}, who drafted it", user
    return None
