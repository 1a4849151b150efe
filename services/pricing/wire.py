"""What the engine and its pricing processes say to each other: a length of four bytes, then msgpack.

Times are seconds of the machine's monotonic clock, which all processes share.
"""

import struct
from collections.abc import Sequence

import msgspec

LENGTH = struct.Struct(">I")


class Work(msgspec.Struct, frozen=True, array_like=True):
    """Requests to answer in their order; what has not begun by `deadline` (0: none) is not begun."""

    requests: Sequence[str]
    deadline: float


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """How many requests of a model had a price, how many had none, and the processor time of both in seconds."""

    model: str
    priced: int
    refused: int
    seconds: float


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """The next answers of a work, None for what was not begun in time; `done` with the last of them."""

    answers: Sequence[str | None]
    counted: Sequence[Counted]
    done: bool


def frame(message: msgspec.Struct) -> bytes:
    """A message with its length."""
    content = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(content)) + content


decode_work = msgspec.msgpack.Decoder(Work).decode
decode_answered = msgspec.msgpack.Decoder(Answered).decode
