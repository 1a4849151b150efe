"""The contract between the runtime of sources (`topology.sources`) and the adapter of one outside system.

An adapter knows its outside system and nothing of the log: it receives, says what was received, and acknowledges when
it is told to. The runtime tells it to after what was received is durable in the log.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Fault(NamedTuple):
    """Why a message was not understood."""

    reason: str
    field: str = ""
    expected: str = ""
    found: str = ""


class Received(NamedTuple):
    """A message from outside: a fill (wire twin), or else the fault for which it is none.

    `identity` is the same whenever this message comes again; `origin` is what its fill is counted under; `message` is
    the adapter's own. A message that is none of PKS's is set aside in the topic `dead_letters`.
    """

    identity: str
    origin: str
    payload: bytes
    dead_letters: str
    sequence: int
    message: Any
    fill: Any | None = None
    fault: Fault | None = None


class Source(Protocol):
    """One outside system that sends fills and bookings. Its methods raise `connectors.sink.Unavailable`."""

    name: str

    async def open(self) -> None:
        """Connect."""

    async def receive(self) -> Sequence[Received]:
        """What has come, at least one message; waits for it."""

    async def acknowledge(self, received: Sequence[Received]) -> None:
        """The messages are durable: they need not come again."""

    async def close(self) -> None:
        """Disconnect; never raises."""
