"""The source of NATS: fills on `pd.canonical` and bookings on `backoffice.booking.in.v1.*`, from durable consumers.

Owns: the consumers' names and terms, and how a message becomes a fill.
Guarantees: a message is acknowledged only when it is told to; one that was not comes again; a message that is none, or
holds no valid event, is told as such, with its bytes. Beside that it copies to the dead letters what other consumers gave
up (`connectors.nats.undeliverable`).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from connectors.nats.link import Complaints, Connection, NatsSettings, connect
from connectors.nats.pull import BATCH_MESSAGES, Place, Puller
from connectors.nats.streams import ensure_streams
from connectors.nats.undeliverable import bury
from connectors.sink import Unavailable
from connectors.source import Fault, Received
from schemas import events, topics
from schemas.frames import to_wire
from schemas.protobuf import MessageError, decode_message
from schemas.subjects import FILLS_IN, class_of_subject
from schemas.units import Action, LifecycleKind, Side

NAME = "nats-source"
CONSUMER = "pks_capture"
"""The durable consumer of each stream that comes in."""

STREAMS_IN = ("FILLS", "BOOKINGS_IN", "UNDELIVERABLE")
ACK_SECONDS = 30.0
"""A message that was not acknowledged for so long comes again."""

_CLOSE_SECONDS = 5.0
_ADVISORY = "$JS.EVENT."


class NatsSource:
    """Receives what other systems send."""

    name = NAME

    def __init__(self, settings: NatsSettings, *, replicas: int = 1) -> None:
        self._settings = settings
        self._replicas = replicas
        self._client: Connection | None = None
        self._puller: Puller | None = None
        self._told = Complaints()

    @property
    def complaints(self) -> Mapping[str, int]:
        """What the server said aside of any answer, by kind, over all connections."""
        return self._told.counts

    async def open(self) -> None:
        """Connect, make the streams and consumers that are missing, and begin to pull. Raises Unavailable."""
        self._told.gone, self._told.denied = False, ""
        # A server that stands still is noticed by its missing heartbeats.
        self._client = await connect(self._settings, "pks source", self._told)
        try:
            jetstream = self._client.jetstream(timeout=_CLOSE_SECONDS)
            await ensure_streams(jetstream, self._replicas)
            for stream in STREAMS_IN:
                await jetstream.add_consumer(stream, _consumer())
            self._puller = Puller(self._client, self._told)
            await self._puller.open([Place(stream, CONSUMER) for stream in STREAMS_IN])
        except (OSError, nats.errors.Error) as error:
            found = self._told.denied or str(error) or type(error).__name__
            raise Unavailable(f"NATS: expected streams of fills and bookings, found: {found}") from error

    async def receive(self) -> Sequence[Received]:
        """What has come, at least one message. Raises Unavailable."""
        assert self._puller is not None and self._client is not None, "it was opened"
        while True:
            messages = await self._puller.receive()
            advisories = [message for message in messages if message.subject.startswith(_ADVISORY)]
            try:
                for message in advisories:
                    await bury(self._client.jetstream(timeout=_CLOSE_SECONDS), message)
                    await message.ack()
            except (OSError, nats.errors.Error) as error:
                raise Unavailable(
                    f"NATS: expected to publish a dead letter, found: {error or type(error).__name__}"
                ) from error
            if len(advisories) < len(messages):
                return [received_of(message) for message in messages if message not in advisories]

    async def acknowledge(self, received: Sequence[Received]) -> None:
        """Say that messages need not come again. Raises Unavailable."""
        try:
            for each in received:
                await each.message.ack()
        except (OSError, nats.errors.Error) as error:
            raise Unavailable(
                f"NATS: expected to acknowledge, found: {error or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """Disconnect; never raises."""
        client, self._client, self._puller = self._client, None, None
        if client is not None:
            await client.end()


def _consumer() -> ConsumerConfig:
    return ConsumerConfig(
        name=CONSUMER,
        durable_name=CONSUMER,
        description="what PKS captures",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS,
        max_ack_pending=4 * BATCH_MESSAGES,
    )


def received_of(message: Msg) -> Received:
    """What a message of a stream holds."""
    sequence = message.metadata.sequence.stream
    fills = message.subject == FILLS_IN
    common: dict[str, Any] = {
        "identity": f"nats/{message.metadata.stream}@{sequence}",
        "origin": f"nats:{message.subject}",
        "payload": message.data,
        "dead_letters": topics.FILL_DEAD_LETTERS.name if fills else topics.BOOKING_DEAD_LETTERS.name,
        "sequence": sequence,
        "message": message,
    }
    try:
        fill = to_wire(fill_of(message.subject, message.data))
    except MessageError as error:
        reason = f"{error.field} is not valid" if error.field else "no message of the subject's kind"
        return Received(**common, fault=Fault(reason, error.field, error.expected, error.found))
    return Received(**common, fill=fill)


def fill_of(subject: str, payload: bytes) -> events.FillEvent:
    """The fill that a message stands for; when it was recorded is for the log to say. Raises MessageError."""
    event_class = class_of_subject(subject)
    if event_class is None:
        raise MessageError("a subject that ends in FillEvent, TradeBooked or LifecycleEventApplied", subject)
    event = decode_message(event_class, payload)
    values: dict[str, Any]
    if isinstance(event, events.TradeBooked):
        values = _booked(event)
    elif isinstance(event, events.LifecycleEventApplied):
        values = _corrected(event)
    else:
        values = {name: getattr(event, name) for name in events.FillEvent.__dataclass_fields__}
    # Two fills under one id would be one to whoever knows events by their ids: ours is a function of the content,
    # which capture gives; the sender's is kept beside it.
    values |= {"event_id": "", "correlation_id": event.correlation_id or event.event_id}
    values |= {"recorded_at": 0, "source": f"nats:{subject}"}
    return events.FillEvent(**values)


_PLAIN_KINDS = frozenset((LifecycleKind.AMEND, LifecycleKind.CANCEL))
"""What the action of a fill says by itself."""

_OF_EVENT = ("event_id", "causation_id", "schema_version")
_OF_TRADE = (
    *("book", "instrument", "price", "executed_at", "source_sequence", "fees", "multiplier", "inverse"),
    *("settlement_date", "accrued_interest", "entity", "account", "strategy", "trader", "counterparty"),
    *("venue", "underlying", "instrument_class", "group_id", "leg"),
)


def _booked(trade: events.TradeBooked, prefix: str = "") -> dict[str, Any]:
    """A booking as the fill that capture makes it of. Lot method, fee policy and business date are the book's own."""
    if trade.quantity == Decimal(0):
        raise MessageError("a number other than 0", "0", f"{prefix}quantity")
    return {
        **{name: getattr(trade, name) for name in (*_OF_EVENT, *_OF_TRADE)},
        "trade_id": trade.trade_id,
        "side": Side.BUY if trade.quantity > 0 else Side.SELL,
        "quantity": abs(trade.quantity),
        "currency": trade.settlement_currency or None,
    }


def _corrected(change: events.LifecycleEventApplied) -> dict[str, Any]:
    """A correction, which says the trade as it is after it; a cancellation, the trade that is cancelled."""
    if change.trade is None:
        raise MessageError("the trade that is corrected or cancelled", "none", "trade")
    return {
        **_booked(change.trade, "trade."),
        **{name: getattr(change, name) for name in _OF_EVENT},
        "action": Action.CANCEL if change.kind is LifecycleKind.CANCEL else Action.AMEND,
        "kind": None if change.kind in _PLAIN_KINDS else change.kind,
        "trade_id": change.trade_id,
        "original_trade_id": change.original_trade_id,
        "book": change.book,
        "group_id": change.group_id,
        "leg": change.leg,
    }
