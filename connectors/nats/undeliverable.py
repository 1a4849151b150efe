"""Messages that a consumer did not take after all its deliveries: copied to the dead-letter subject of their stream.

Owns: what the server's advisory says, and the letter that is made of it.
Guarantees: a letter has the bytes, the stream, the place and the consumer; the same advisory gives the same letter id.
"""

from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from schemas import events
from schemas.frames import wire
from schemas.protobuf import encode_message
from schemas.subjects import EVENT, MESSAGE_ID, STREAMS
from schemas.times import Nanoseconds

KIND = "undeliverable"

_DeadLetter: Any = wire(events.DeadLetter)
_DEAD_LETTERS = {stream.name: stream.dead_letters for stream in STREAMS}


class Advisory(msgspec.Struct):
    """What the server says of a message that was delivered too often."""

    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


_decode = msgspec.json.Decoder(Advisory).decode


async def bury(jetstream: JetStreamContext, message: Msg) -> None:
    """Publish the letter of an advisory. Raises what nats-py raises; an advisory that is none is passed over."""
    try:
        advisory = _decode(message.data)
    except msgspec.MsgspecError:
        return
    subject = _DEAD_LETTERS.get(advisory.stream)
    if subject is None:
        return
    try:
        found = await jetstream.get_msg(advisory.stream, seq=advisory.stream_seq)
        original, of = found.data or b"", found.subject or ""
    except NotFoundError:  # it is older than its stream keeps
        original, of = b"", ""
    letter = letter_of(advisory, of, original, message)
    headers = {MESSAGE_ID: letter.event_id, EVENT: type(letter).__name__}
    await jetstream.publish(subject, encode_message(letter), headers=headers)


def letter_of(advisory: Advisory, subject: str, original: bytes, message: Msg) -> Any:
    """The letter of a message that a consumer gave up."""
    return _DeadLetter(
        event_id=f"nats/{advisory.stream}@{advisory.stream_seq}/{advisory.consumer}",
        source=f"nats:{subject}",
        reason=f"consumer {advisory.consumer} did not take it in {advisory.deliveries} deliveries",
        kind=KIND,
        stage=f"consumer {advisory.consumer}",
        topic=subject,
        partition=0,
        offset=advisory.stream_seq,
        index=0,
        original=original,
        event_time=Nanoseconds(int(message.metadata.timestamp.timestamp() * 1_000_000_000)),
    )
