"""The NATS side of the registry: every subject, its stream, how long the stream keeps it, and its dead letters.

Owns: the names of streams, which subject an event goes out on, and which event a subject brings in.
Guarantees: an event has one subject; a token made of a book or an instrument never holds a separator or a wildcard;
what comes in (`pd.canonical`, `backoffice.booking.in.v1.>`) goes out on other subjects, so that there is no echo.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from schemas import events, topics
from schemas.topics import DAY_SECONDS, Topic, escape_token

MESSAGE_ID = "Nats-Msg-Id"
"""The header by which the server knows a repeat within `DUPLICATE_WINDOW_SECONDS`: the event id."""

EVENT = "Pks-Event"
"""The header that names the message: a name of `events.proto`."""

DUPLICATE_WINDOW_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of JetStream. `retention_seconds` None keeps for ever; `latest` keeps the last message of a subject.

    `dead_letters` is where messages of it go that a durable consumer could not take.
    """

    name: str
    subjects: tuple[str, ...]
    retention_seconds: int | None
    description: str
    dead_letters: str | None = None
    latest: bool = False


FILLS_IN = "pd.canonical"
BOOKINGS_IN = "backoffice.booking.in.v1"
"""With the name of a message after it: `backoffice.booking.in.v1.TradeBooked`."""

ADVISORIES = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
"""What the server says when a consumer has not taken a message after all its deliveries."""

STREAMS: tuple[Stream, ...] = (
    Stream("FILLS", (FILLS_IN,), DAY_SECONDS, "fills of venues and desks, to be captured", "pd.dlq.fill"),
    Stream(
        "BOOKINGS_IN",
        (f"{BOOKINGS_IN}.*",),
        DAY_SECONDS,
        "bookings of other systems, to be captured",
        "backoffice.dlq.booking_in",
    ),
    Stream(
        "BOOKINGS",
        ("backoffice.booking.v1.*",),
        DAY_SECONDS,
        "captured trades, corrections, refusals, ends of days",
        "backoffice.dlq.bookings",
    ),
    Stream(
        "POSITIONS",
        ("bo.position.>", "bo.pnl.>"),
        7 * DAY_SECONDS,
        "positions, their values and P&L",
        "bo.dlq.position",
    ),
    Stream(
        "MARKET_DATA",
        ("md.mark.v1.*", "md.fx.v1.>", "md.curve.v1.*", "md.ohlc.v1.*"),
        DAY_SECONDS,
        "marks and bars of instruments, rates of currencies, curves",
        "md.dlq.market_data",
    ),
    Stream(
        "CASH",
        ("bo.cash.>",),
        7 * DAY_SECONDS,
        "ledger, balances, currency positions, payments",
        "bo.dlq.cash",
    ),
    Stream("REPORTS", ("bo.report.>",), 7 * DAY_SECONDS, "reports made, edited and locked", "bo.dlq.report"),
    Stream(
        "OPERATIONS",
        ("bo.settlement.>", "bo.recon.>", "bo.ca.>", "bo.collateral.>"),
        7 * DAY_SECONDS,
        "settlement, reconciliation, corporate actions, collateral",
        "bo.dlq.operation",
    ),
    Stream(
        "REFERENCE",
        ("ref.instrument.v1.*", "ref.book.v1.*", "ref.routing_rule.v1.*", "ref.posting_rules.v1.*"),
        None,
        "the definitions in force",
        "ref.dlq.reference",
        latest=True,
    ),
    Stream(
        "DEAD_LETTERS",
        # A wildcard in the first place would take the server's own subjects.
        tuple(f"{domain}.dlq.*" for domain in ("pd", "backoffice", "bo", "md", "ref")),
        30 * DAY_SECONDS,
        "what could not be taken, with its bytes",
    ),
    Stream("UNDELIVERABLE", (ADVISORIES,), 7 * DAY_SECONDS, "which messages a consumer gave up"),
)

_NOT_PUBLISHED = (
    topics.FILLS,
    topics.REPORTED_POSITIONS,
    topics.LEDGER_INPUT,
    topics.VALUATION_INPUT,
    topics.PRICE_REQUESTS,
    topics.CURRENCY_POLICIES,
    topics.ACCRUAL_TERMS,
    topics.RATES,
)

PUBLISHED: tuple[Topic, ...] = tuple(topic for topic in topics.TOPICS if topic not in _NOT_PUBLISHED)
"""The topics whose events go out; fills come in by their subject and are told as bookings, what others state of our
positions is not ours to tell, what is only ordered anew for a stage is told already, and what accrues by which terms is told
by what it brings."""

_STREAM_OF_TOPIC: Mapping[str, str] = {
    topics.BOOKINGS.name: "BOOKINGS",
    topics.REJECTIONS.name: "BOOKINGS",
    topics.POSITIONS.name: "POSITIONS",
    topics.VALUATIONS.name: "POSITIONS",
    topics.PNL.name: "POSITIONS",
    topics.CURRENCY_POSITIONS.name: "CASH",
    topics.INSTRUMENTS.name: "REFERENCE",
    topics.BOOKS.name: "REFERENCE",
    topics.ROUTING_RULES.name: "REFERENCE",
    topics.MARKS.name: "MARKET_DATA",
    topics.FX_RATES.name: "MARKET_DATA",
    topics.CURVES.name: "MARKET_DATA",
    topics.BARS.name: "MARKET_DATA",
    topics.LEDGER_ENTRIES.name: "CASH",
    topics.CASH_BALANCES.name: "CASH",
    topics.PAYMENT_ORDERS.name: "CASH",
    topics.POSTING_RULES.name: "REFERENCE",
    topics.FILL_DEAD_LETTERS.name: "DEAD_LETTERS",
    topics.BOOKING_DEAD_LETTERS.name: "DEAD_LETTERS",
    topics.STAGE_DEAD_LETTERS.name: "DEAD_LETTERS",
    topics.SINK_DEAD_LETTERS.name: "DEAD_LETTERS",
}

STREAM_OF_TOPIC: Mapping[str, Stream] = {
    topic: stream for topic, name in _STREAM_OF_TOPIC.items() for stream in STREAMS if stream.name == name
}
"""The stream that a published topic's events go to."""

_FIELD = re.compile(r"\{(\w+)\}")
_BY_CLASS: Mapping[str, str] = {
    subject.rpartition(".")[2]: subject
    for topic in (topics.BOOKINGS, topics.REJECTIONS)
    for subject in topic.subjects
}


def subject_of(topic: Topic, event: Any) -> str | None:
    """The subject on which an event of a published topic goes out; None for a tick of the clock, and for the end of a day
    in another topic than that of bookings, which tells it."""
    name = type(event).__name__
    if name == events.ClockTick.__name__:
        return None
    by_class = _BY_CLASS.get(name)
    if by_class is not None:
        return by_class if by_class in topic.subjects else None
    first, rest = _parts(topic.subjects[0])
    return first + "".join([escape_token(str(getattr(event, field))) + text for field, text in rest])


@cache
def _parts(subject: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text before the first field of a subject; then each field with the text behind it."""
    first, *rest = _FIELD.split(subject)
    return first, tuple(zip(rest[::2], rest[1::2], strict=True))


def class_of_subject(subject: str) -> type[Any] | None:
    """The class of the event that a subject brings in; None where it brings none."""
    if subject == FILLS_IN:
        return events.FillEvent
    prefix, _, name = subject.rpartition(".")
    return _TAKEN.get(name) if prefix == BOOKINGS_IN else None


_TAKEN: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (events.FillEvent, events.TradeBooked, events.LifecycleEventApplied)
}
