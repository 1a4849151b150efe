"""Trades in a line of text, and `calculate` over them."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from domain.lots.calculate import LotsOptions, LotsResult, calculate
from schemas.numbers import exact_arithmetic
from schemas.units import Action, FeePolicy, LotMethod, Side
from tests.support import MONDAY, SECOND, Fee, FillEvent

_EVENT = re.compile(
    r"(?P<id>\w+)(?: (?P<action>amends|cancels) (?P<original>\w+))?"
    r"(?: (?P<quantity>[+-][0-9.]+) @ (?P<price>-?[0-9.]+))?(?P<rest>(?: \w+ [\w.-]+)*)"
)
_ACTIONS = {None: Action.NEW, "amends": Action.AMEND, "cancels": Action.CANCEL}


def event(text: str, second: int = 0) -> Any:
    """A fill of `t1 +100 @ 10.5 fee 1 at 3 book B2 instrument Y multiplier 2 currency USD`, or
    `a1 amends t1 ...`, or `c1 cancels t1`; `at` is in seconds, `second` where there is none."""
    match = _EVENT.fullmatch(text.strip())
    assert match is not None, text
    words = match["rest"].split()
    rest = dict(zip(words[::2], words[1::2], strict=True))
    quantity = Decimal(match["quantity"] or 1)
    multiplier = rest.get("multiplier")
    return FillEvent(
        event_id=match["id"],
        trade_id=match["id"],
        action=_ACTIONS[match["action"]],
        original_trade_id=match["original"],
        book=rest.get("book", "B1"),
        instrument=rest.get("instrument", "X"),
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        price=Decimal(match["price"] or 1),
        executed_at=MONDAY + int(rest.get("at", second)) * SECOND,
        fees=(Fee(amount=Decimal(rest["fee"]), currency=rest.get("in", "")),) if "fee" in rest else (),
        multiplier=None if multiplier is None else Decimal(multiplier),
        inverse={"yes": True, "no": False}.get(rest.get("inverse", "")),
        currency=rest.get("currency"),
    )


def fills(lines: Sequence[str]) -> list[Any]:
    """The fills of some lines, a second apart where they do not say."""
    return [event(line, second) for second, line in enumerate(lines)]


def run_lots(lines: Sequence[str], **options: Any) -> LotsResult:
    """`calculate` over lines, which are the rows 1, 2, ..."""
    chosen = LotsOptions(
        LotMethod(options.pop("method", "fifo")),
        FeePolicy(options.pop("fee_policy", "excluded")),
        Decimal(options.pop("multiplier", 1)),
        **options,
    )
    found = fills(lines)
    with exact_arithmetic():
        return calculate(found, range(1, len(found) + 1), chosen)


def document(lines: Sequence[str], **options: Any) -> dict[str, Any]:
    """The document of `pks lots` over lines."""
    with exact_arithmetic():
        return run_lots(lines, **options).document()
