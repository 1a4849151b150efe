"""The bridge: price requests of the log to the pricing engine, its answers back into the log.

It is a sink, whose far side is the engine: what is not answered is asked again for ever, and no stage waits for it.
Guarantees: of the requests of one instrument that wait together the newest is answered, the older ones are passed over;
an answer has the id of its request and `/answer`, and may come again; while the circuit is open each request that waits has
one answer, with the id of the request and `/away` and an error whose field is empty, and its real one after the engine is
back.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.pricing.client import PricingClient
from connectors.sink import Batch, TopicPartition, Unavailable
from schemas import valuation
from schemas.frames import wire
from schemas.topics import PRICE_REQUESTS

ANSWER, AWAY = "/answer", "/away"

_NOBODY = json.dumps(
    {
        "id": None,
        "error": {"field": "", "expected": "an answer of the pricing engine", "found": "none: it is away"},
    }
)
_Answered: Any = wire(valuation.PriceAnswered)

Append = Callable[[Sequence[Any]], None]
"""Puts answers into the log, durable when it returns. Raises Unavailable."""


class PriceRequestsSink:
    """Has what the log asks for priced."""

    name = "pricing"
    topics: Sequence[str] = (PRICE_REQUESTS.name,)
    keeps_offsets = False

    def __init__(self, make_client: Callable[[], PricingClient], append: Append) -> None:
        self._make_client = make_client
        self._append = append
        self._client: PricingClient | None = None
        self._answered: set[str] = set()
        self._told: dict[str, str] = {}

    async def open(self) -> Mapping[TopicPartition, int]:
        """Nothing to connect: a call does that."""
        if self._client is None:
            self._client = self._make_client()
        return {}

    async def write(self, batch: Batch) -> None:
        """Have the newest request of each instrument answered. Raises Unavailable."""
        newest = {item.event.instrument: item.event for item in batch.items}
        waiting = [request for request in newest.values() if request.event_id not in self._answered]
        try:
            await self._price(waiting)
        except Unavailable:
            await self._tell([each for each in waiting if each.event_id not in self._answered])
            raise
        # What is asked again after a failure is in the same batch or the next ones, and never before this one.
        self._answered.clear()

    async def _price(self, requests: Sequence[Any]) -> None:
        assert self._client is not None, "opened before"
        position = 0
        async for answers in self._client.parts([request.request for request in requests]):
            together = requests[position : position + len(answers)]
            position += len(answers)
            await self._put(
                [_answer(request, ANSWER, answer) for request, answer in zip(together, answers, strict=True)]
            )
            self._answered.update(request.event_id for request in together)
            for request in together:
                self._told.pop(request.instrument, None)

    async def _tell(self, requests: Sequence[Any]) -> None:
        """While the circuit is open: say so to who waits for an answer, once a request."""
        assert self._client is not None, "opened before"
        if not self._client.breaker.is_open:
            return
        untold = [each for each in requests if self._told.get(each.instrument) != each.event_id]
        await self._put([_answer(request, AWAY, _NOBODY) for request in untold])
        self._told |= {request.instrument: request.event_id for request in untold}

    async def _put(self, answers: Sequence[Any]) -> None:
        if answers:
            await asyncio.to_thread(self._append, answers)

    async def close(self) -> None:
        """Let the connection go; the circuit stays as it is."""
        if self._client is not None:
            await self._client.close()


def _answer(request: Any, kind: str, answer: str) -> Any:
    return _Answered(
        event_id=request.event_id + kind,
        correlation_id=request.correlation_id,
        causation_id=request.event_id,
        source="pricing engine",
        instrument=request.instrument,
        underlying=request.underlying,
        event_time=request.event_time,
        answer=answer,
    )
