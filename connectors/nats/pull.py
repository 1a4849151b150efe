"""Pulling messages from durable consumers: many at a time, as they come, with heartbeats of the server.

Owns: the requests of one inbox over several consumers.
Assumes: a connection that does not reconnect by itself: whoever pulls connects anew, and the durable consumers go on.
Guarantees: `receive` returns what has come without waiting for a full batch; a server that is silent for longer than its
heartbeats allow is Unavailable. (nats-py's `fetch` waits for a full batch or its time-out, and knows no other silence.)
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from connectors.nats.link import Complaints
from connectors.sink import Unavailable

BATCH_MESSAGES = 500
HEARTBEAT_SECONDS = 2.0
EXPIRES_SECONDS = 30.0
_NANOSECONDS = 1_000_000_000
_SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS


@dataclass(frozen=True, slots=True)
class Place:
    """A durable consumer of a stream."""

    stream: str
    consumer: str


class _Requests:
    """What is asked of one consumer: a subscription, and how many messages of the last request are still to come."""

    def __init__(self, place: Place, subscription: Subscription, inbox: str) -> None:
        self.place = place
        self.subscription = subscription
        self.inbox = inbox
        self.remaining = 0


class Puller:
    """Pulls from durable consumers through a connection; `open` first."""

    def __init__(self, client: Client, complaints: Complaints) -> None:
        self._client = client
        self._complaints = complaints
        self._arrived: asyncio.Queue[tuple[_Requests, Msg]] = asyncio.Queue()
        self._requests: list[_Requests] = []

    async def open(self, places: Sequence[Place]) -> None:
        """Begin to pull. Raises what nats-py raises."""
        for place in places:
            inbox = self._client.new_inbox()
            requests = _Requests(place, await self._subscribe(inbox, len(self._requests)), inbox)
            self._requests.append(requests)
            await self._ask(requests)

    async def _subscribe(self, inbox: str, number: int) -> Subscription:
        async def arrived(message: Msg) -> None:
            self._arrived.put_nowait((self._requests[number], message))

        return await self._client.subscribe(inbox, cb=arrived)

    async def _ask(self, requests: _Requests) -> None:
        requests.remaining = BATCH_MESSAGES
        asked = {
            "batch": BATCH_MESSAGES,
            "expires": int(EXPIRES_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        place = requests.place
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{place.stream}.{place.consumer}",
            json.dumps(asked).encode(),
            reply=requests.inbox,
        )

    async def receive(self) -> list[Msg]:
        """The messages that have come, at least one. Raises Unavailable."""
        found: list[Msg] = []
        try:
            while not found:
                arrived = await asyncio.wait_for(self._arrived.get(), _SILENCE_SECONDS)
                await self._take(*arrived, found)
                while not self._arrived.empty():
                    await self._take(*self._arrived.get_nowait(), found)
        except TimeoutError:
            raise Unavailable(
                f"NATS: expected a heartbeat every {HEARTBEAT_SECONDS:.0f} s, found silence"
                + (f": {self._complaints.last}" if self._complaints.last else "")
            ) from None
        except (OSError, nats.errors.Error) as error:
            raise Unavailable(f"NATS: expected to receive, found: {error or type(error).__name__}") from error
        return found

    async def _take(self, requests: _Requests, message: Msg, found: list[Msg]) -> None:
        status = (message.headers or {}).get("Status") if not message.data else None
        if status is None:
            found.append(message)
            requests.remaining -= 1
            if requests.remaining == 0:
                await self._ask(requests)
        elif status == "408":
            await self._ask(requests)
        elif status != "100":  # not a heartbeat
            description = (message.headers or {}).get("Description", "")
            raise Unavailable(
                f"NATS: expected messages of {requests.place.stream}.{requests.place.consumer}, "
                f"found: {status} {description}"
            )
