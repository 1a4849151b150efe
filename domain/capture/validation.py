"""Is a fill valid by itself: the checks in data, and what each regime requires beyond them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from operator import attrgetter
from typing import Any

from domain.capture.faults import Fault
from schemas.events import number_fault
from schemas.numbers import DIGITS_MAX, ZERO
from schemas.units import IDENTIFIER_CHARACTERS_MAX, Action, Regime, identifier_fault

EXECUTED_AT_MIN = -2_208_988_800_000_000_000
"""1900-01-01T00:00:00Z in nanoseconds."""

EXECUTED_AT_MAX = 7_258_118_400_000_000_000
"""2200-01-01T00:00:00Z in nanoseconds."""

TEXT_CHARACTERS_MAX = 1_000
"""Most characters of a text that is copied into what is booked: outputs must fit a frame."""

ACCEPTED_FEES_MAX = 100
"""Most fees of one fill."""

_SEQUENCE_MAX = 1 << 63
_NEW, _EXCHANGE = Action.NEW, Regime.EXCHANGE
_FOUND_MAX = 80


@dataclass(frozen=True, slots=True)
class RegimeRules:
    """What a fill of a regime must have; `routable` says whether routing rules may choose its book."""

    required: tuple[str, ...]
    routable: bool


REGIMES: Mapping[Regime, RegimeRules] = {
    Regime.EXCHANGE: RegimeRules(required=(), routable=True),
    Regime.OTC: RegimeRules(required=("counterparty", "settlement_date", "book"), routable=False),
    Regime.INTERNAL: RegimeRules(required=("book", "counterparty"), routable=False),
}
"""Exchange fills may be routed; an OTC trade names its counterparty, settlement date and book; an internal one
its book and, as counterparty, the book on the other side."""


def _identifier(name: str, fill: Any) -> Fault | None:
    text = getattr(fill, name)
    if text is None:
        return None
    expected = identifier_fault(text)
    return None if expected is None else Fault(f"{name} is not valid", name, expected, _shown(text))


def _shown(text: str) -> str:
    return repr(text[:_FOUND_MAX])


def _texts(fill: Any) -> Fault | None:
    # All together are short nearly always, and that costs less to find out.
    if len("".join(filter(None, _texts_of(fill)))) <= TEXT_CHARACTERS_MAX:
        return None
    for name, text in zip(TEXTS, _texts_of(fill), strict=True):
        if text is not None and len(text) > TEXT_CHARACTERS_MAX:
            expected = f"at most {TEXT_CHARACTERS_MAX} characters"
            return Fault(f"{name} is not valid", name, expected, f"{len(text)} characters")
    return None


def _number(name: str, fill: Any) -> Fault | None:
    number = getattr(fill, name)
    if number is None:
        return None
    expected = number_fault(number)
    return (
        None if expected is None else Fault(f"{name} is not valid", name, expected, str(number)[:_FOUND_MAX])
    )


def _quantity(fill: Any) -> Fault | None:
    if fill.quantity > 0:
        return None
    return Fault("quantity is not valid", "quantity", "a number above 0", str(fill.quantity))


def _multiplier(fill: Any) -> Fault | None:
    if fill.multiplier is None or fill.multiplier > 0:
        return None
    return Fault("multiplier is not valid", "multiplier", "a number above 0", str(fill.multiplier))


def _time(fill: Any) -> Fault | None:
    if EXECUTED_AT_MIN <= fill.executed_at < EXECUTED_AT_MAX:
        return None
    return Fault("executed_at is not valid", "executed_at", "a time from 1900 to 2200", str(fill.executed_at))


def _recorded(fill: Any) -> Fault | None:
    if 0 <= fill.recorded_at < EXECUTED_AT_MAX:
        return None
    return Fault("recorded_at is not valid", "recorded_at", "a time from 1970 to 2200", str(fill.recorded_at))


def _sequence(fill: Any) -> Fault | None:
    if -_SEQUENCE_MAX <= fill.source_sequence < _SEQUENCE_MAX:
        return None
    expected = "a whole number of 64 bits"
    return Fault(
        "source_sequence is not valid", "source_sequence", expected, str(fill.source_sequence)[:_FOUND_MAX]
    )


def _settlement_date(fill: Any) -> Fault | None:
    text = fill.settlement_date
    if text is None:
        return None
    try:
        if date.fromisoformat(text).isoformat() == text:
            return None
    except ValueError:
        pass
    expected = "a date that exists, as YYYY-MM-DD"
    return Fault("settlement_date is not valid", "settlement_date", expected, _shown(text))


def _original(fill: Any) -> Fault | None:
    if fill.original_trade_id == fill.trade_id:
        expected = "the id of another trade: a correction has its own"
        found = repr(fill.original_trade_id)
        return Fault("original_trade_id is not valid", "original_trade_id", expected, found)
    if (fill.action is Action.NEW) == (fill.original_trade_id is None):
        return None
    expected = "none for a new trade" if fill.action is Action.NEW else "the id of the trade to correct"
    return Fault(
        "original_trade_id is not valid", "original_trade_id", expected, repr(fill.original_trade_id)
    )


def _kind(fill: Any) -> Fault | None:
    if fill.kind is None:
        return None
    return Fault(
        f"the life-cycle kind {fill.kind} is not available yet",
        "kind",
        "an amend or a cancel",
        str(fill.kind),
    )


def _fees(fill: Any) -> Fault | None:
    if len(fill.fees) > ACCEPTED_FEES_MAX:
        expected = f"at most {ACCEPTED_FEES_MAX} fees"
        return Fault("too many fees", "fees", expected, str(len(fill.fees)))
    for fee in fill.fees:
        if len(fee.kind) > TEXT_CHARACTERS_MAX or len(fee.currency) > TEXT_CHARACTERS_MAX:
            expected = f"a kind and a currency of at most {TEXT_CHARACTERS_MAX} characters"
            return Fault("a fee is not valid", "fees", expected, "more")
        fault = number_fault(fee.amount)
        if fault is not None:
            return Fault("a fee is not valid", "fees", fault, str(fee.amount)[:_FOUND_MAX])
    return None


def _regime(fill: Any) -> Fault | None:
    for name in REGIMES[fill.regime].required:
        if not getattr(fill, name):
            return Fault(f"{name} is missing", name, f"a value, as regime {fill.regime} requires", "none")
    return None


TEXTS = (
    *("event_id", "correlation_id", "causation_id", "source", "group_id", "idempotency_hash", "currency"),
    *("venue", "account", "entity", "strategy", "trader", "counterparty", "underlying", "instrument_class"),
    "instrument_scheme",
)
"""Fields of free text."""

_texts_of = attrgetter(*TEXTS)

CHECKS: tuple[Callable[[Any], Fault | None], ...] = (
    partial(_identifier, "trade_id"),
    partial(_identifier, "instrument"),
    partial(_identifier, "book"),
    partial(_identifier, "original_trade_id"),
    _texts,
    partial(_number, "quantity"),
    partial(_number, "price"),
    partial(_number, "multiplier"),
    partial(_number, "accrued_interest"),
    _fees,
    _quantity,
    _multiplier,
    _time,
    _recorded,
    _sequence,
    _settlement_date,
    _original,
    _kind,
    _regime,
)


def _sound(fill: Any) -> bool:
    """Whether a fill is one of the plain ones that surely pass all checks: nearly all are, and it costs a third."""
    quantity, price = fill.quantity, fill.price
    return (
        fill.action is _NEW
        and fill.regime is _EXCHANGE
        and fill.original_trade_id is None
        and fill.kind is None
        and fill.multiplier is None
        and fill.settlement_date is None
        and not fill.fees
        and fill.accrued_interest is ZERO
        and EXECUTED_AT_MIN <= fill.executed_at < EXECUTED_AT_MAX
        and 0 <= fill.recorded_at < EXECUTED_AT_MAX
        and -_SEQUENCE_MAX <= fill.source_sequence < _SEQUENCE_MAX
        and quantity.is_finite()
        and quantity > ZERO
        and price.is_finite()
        # No longer as text than a number may be in digits, so no more digits either.
        and len(str(quantity)) <= DIGITS_MAX
        and len(str(price)) <= DIGITS_MAX
        and -DIGITS_MAX < quantity.adjusted() < DIGITS_MAX
        and -DIGITS_MAX < price.adjusted() < DIGITS_MAX
        and _sound_name(fill.trade_id)
        and _sound_name(fill.instrument)
        and (fill.book is None or _sound_name(fill.book))
        and _texts(fill) is None
    )


def _sound_name(text: str) -> bool:
    return (text.isalnum() and len(text) <= IDENTIFIER_CHARACTERS_MAX) or identifier_fault(text) is None


def validate(fill: Any) -> Fault | None:
    """The first fault of a fill by itself; None where it is valid."""
    if _sound(fill):
        return None
    for check in CHECKS:
        fault = check(fill)
        if fault is not None:
            return fault
    return None
