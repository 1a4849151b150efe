"""The registry: every topic, its events, key, partitions, retention, NATS subject and dead letters.

The only place that spells a topic's name. Partition counts of all keyed topics of the books' path are
equal, so that one worker owns the same partition of each.
"""

from dataclasses import dataclass
from functools import cached_property

from schemas import events, reference
from schemas.frames import FrameCodec

PARTITIONS_DEFAULT = 4
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Topic:
    """A topic of the log. `retention_seconds` None keeps it for ever; `compact` keeps the last record of a key.

    Events that come to a partition of a `merged` topic from several partitions are put in the order of matching.
    """

    name: str
    event_classes: tuple[type, ...]
    key: str
    subjects: tuple[str, ...]
    description: str
    partitioned: bool = True
    retention_seconds: int | None = None
    compact: bool = False
    clocked: bool = False
    merged: bool = False
    dead_letters: str | None = None

    @cached_property
    def codec(self) -> FrameCodec:
        """Reads and writes this topic's frames."""
        return FrameCodec(*self.event_classes)

    def partitions(self, partitions: int = PARTITIONS_DEFAULT) -> int:
        """How many partitions the topic has where keyed topics have `partitions`."""
        return partitions if self.partitioned else 1


FILLS = Topic(
    name="pd.canonical",
    event_classes=(events.FillEvent, events.ClockTick),
    key="original_trade_id, or trade_id of a new trade",
    subjects=("pd.canonical",),
    description="fills of venues, desks and files, as the edge accepted them",
    clocked=True,
    dead_letters="pd.dlq.canonical",
)
BOOKINGS = Topic(
    name="backoffice.booking.v1",
    event_classes=(events.TradeBooked, events.LifecycleEventApplied, events.ClockTick, events.DayClosed),
    key="book",
    subjects=(
        "backoffice.booking.v1.TradeBooked",
        "backoffice.booking.v1.LifecycleEventApplied",
    ),
    description="captured trades and corrections: the one ordered input of every stage that keeps books",
    clocked=True,
    merged=True,
    dead_letters="backoffice.dlq.booking",
)
REJECTIONS = Topic(
    name="backoffice.booking.v1.TradeRejected",
    event_classes=(events.TradeRejected,),
    key="trade_id",
    subjects=("backoffice.booking.v1.TradeRejected",),
    description="why capture refused a fill",
    retention_seconds=30 * DAY_SECONDS,
)
POSITIONS = Topic(
    name="bo.position.updated.v1",
    event_classes=(events.PositionUpdated,),
    key="book",
    subjects=("bo.position.updated.v1.{book}",),
    description="a position after each applied event",
    retention_seconds=7 * DAY_SECONDS,
)
INSTRUMENTS = Topic(
    name="ref.instrument.v1",
    event_classes=(reference.Instrument,),
    key="instrument",
    subjects=("ref.instrument.v1.{instrument}",),
    description="instrument definitions",
    partitioned=False,
    compact=True,
)
BOOKS = Topic(
    name="ref.book.v1",
    event_classes=(reference.Book,),
    key="book",
    subjects=("ref.book.v1.{book}",),
    description="book definitions",
    partitioned=False,
    compact=True,
)
ROUTING_RULES = Topic(
    name="ref.routing_rule.v1",
    event_classes=(reference.RoutingRule,),
    key="rule",
    subjects=("ref.routing_rule.v1.{rule}",),
    description="which book takes a fill that names none",
    partitioned=False,
    compact=True,
)
FILL_DEAD_LETTERS = Topic(
    name="pd.dlq.canonical",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    subjects=("pd.dlq.canonical",),
    description="fills that could not be read or were refused, with their bytes",
)
BOOKING_DEAD_LETTERS = Topic(
    name="backoffice.dlq.booking",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    subjects=("backoffice.dlq.booking",),
    description="bookings that could not be read or were refused, with their bytes",
)
SINK_DEAD_LETTERS = Topic(
    name="backoffice.dlq.sink",
    event_classes=(events.DeadLetter, events.DeadLetterResolved),
    key="dead letter id",
    subjects=("backoffice.dlq.sink",),
    description="events that an outside system did not take, with their bytes",
)

TOPICS: tuple[Topic, ...] = (
    FILLS,
    BOOKINGS,
    REJECTIONS,
    POSITIONS,
    INSTRUMENTS,
    BOOKS,
    ROUTING_RULES,
    FILL_DEAD_LETTERS,
    BOOKING_DEAD_LETTERS,
    SINK_DEAD_LETTERS,
)
TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}


def escape_token(token: str) -> str:
    """A book or instrument as one token of a NATS subject: `.`, `*`, `>`, `%` and blanks as %XX of their bytes."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode())
        if character in ".*>%" or character.isspace()
        else character
        for character in token
    )
