"""What stands in Redis under which key, and how it is read back: pure functions.

Owns: the key names, the fields of a hash, and which of two versions of a key is the newer one.
Guarantees: exact decimals are text in plain notation; what is read back is equal to what was written, or a ValueError
that says what is wrong.
"""

from decimal import Decimal
from typing import Any

import msgspec

from connectors.sink import Item
from schemas import market_data
from schemas.frames import wire
from schemas.numbers import plain

MARK = "md:mark:v1:"
CURVE = "curve:"
BLOCKED = "jwt:blocklist:"
SINK = "pks:sink:redis"
"""A hash: where the sink goes on in each partition, and which sink writes."""

TOKEN = "token"  # noqa: S105 - a field's name
ORDER = "order"
"""The field that says how new a hash is: of two texts the greater is the newer."""

Mark: Any = wire(market_data.Mark)
Curve: Any = wire(market_data.Curve)

_FIELDS = {
    Mark: (
        "event_id",
        "source",
        "instrument",
        "event_time",
        "quality",
        "price",
        "bid",
        "ask",
        "source_sequence",
        "instrument_class",
        "underlying",
        "currency",
        "accrued_interest",
    ),
    Curve: ("event_id", "source", "curve", "version", "event_time", "definition", "plain_definition"),
}
_TIME_ORIGIN = 2**63
"""Added to a time, so that the text of an earlier one is less, before 1970 as well."""


def mark_key(instrument: str) -> str:
    """The key of an instrument's mark."""
    return MARK + instrument


def curve_key(curve: str) -> str:
    """The key of a curve."""
    return CURVE + curve


def blocked_key(token_id: str) -> str:
    """The key that stands while a token (its `jti`) is revoked. Raises ValueError for what is no such id."""
    if not (0 < len(token_id) <= 256 and token_id.isprintable()):
        raise ValueError(f"expected a token id of 1 to 256 printable characters, found {token_id!r:.80}")
    return BLOCKED + token_id


def key_of(event: Any) -> str:
    """The key of an event that Redis has the newest of."""
    return mark_key(event.instrument) if isinstance(event, Mark) else curve_key(event.curve)


def order_of(item: Item) -> str:
    """How new an event is: by its time (a curve by its version first), a mark then by the order of its source, then by
    its place in the log."""
    event = item.event
    moment = f"{event.event_time + _TIME_ORIGIN:020d}"
    if isinstance(event, Mark):
        version, moment = "", f"{moment}.{event.source_sequence + _TIME_ORIGIN:020d}"
    else:
        version = f"{event.version:020d}."
    return f"{version}{moment}.{item.generation:06d}.{item.offset:020d}.{item.place:06d}"


def fields_of(event: Any) -> dict[str, str]:
    """An event as the fields of a hash; what has no value is left out."""
    values = {name: getattr(event, name) for name in _FIELDS[type(event)]}
    return {
        name: plain(value) if isinstance(value, Decimal) else str(value)
        for name, value in values.items()
        if value is not None and (value != "" or name == "event_id")
    }


def read_back(kind: Any, key: str, fields: dict[str, str]) -> Any:
    """The event (wire twin `kind`) that a hash holds. Raises ValueError where it holds none."""
    try:
        return msgspec.convert(
            {name: text for name, text in fields.items() if name != ORDER}, kind, strict=False
        )
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise ValueError(f"{key}: expected the fields of a {kind.__name__}, found: {error}") from error
