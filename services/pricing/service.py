"""The methods of `pks.v1.PricingEngine`: from a call to requests for the pool, and back.

Guarantees: a call ends with answers to all of its requests or with one of the codes of `pricing.proto`; a stream holds
at most `STREAM_REQUESTS_MAX` requests that are not answered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from schemas.proto.pks.v1 import pricing_pb2
from services.pricing.measures import Measures
from services.pricing.pool import DeadlinePassed, PoolClosed, TooMuchWaiting, WorkerPool

BATCH_REQUESTS_MAX = 100_000
STREAM_REQUESTS_MAX = 1_000

SERVICE = pricing_pb2.DESCRIPTOR.services_by_name["PricingEngine"]

_CODES: dict[type[Exception], grpc.StatusCode] = {
    TooMuchWaiting: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
    PoolClosed: grpc.StatusCode.UNAVAILABLE,
}
_WORDS: dict[type[Exception], str] = {
    DeadlinePassed: "expected to begin with every request before the deadline, found it passed",
    PoolClosed: "expected an engine that takes requests, found it stopping",
}

_Context = grpc.aio.ServicerContext[Any, Any]


class PricingService:
    """Answers calls with a pool of pricing processes."""

    def __init__(self, pool: WorkerPool, measures: Measures) -> None:
        self._pool = pool
        self._measures = measures

    async def price(self, request: pricing_pb2.PriceRequest, context: _Context) -> pricing_pb2.PriceAnswer:
        """One request."""
        with _Measured(self._measures, "Price", context):
            answers = await self._answers([request.document], context)
            return pricing_pb2.PriceAnswer(document=answers[0])

    async def price_batch(
        self, request: pricing_pb2.PriceBatchRequest, context: _Context
    ) -> pricing_pb2.PriceBatchAnswer:
        """Many requests."""
        with _Measured(self._measures, "PriceBatch", context):
            if len(request.requests) > BATCH_REQUESTS_MAX:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"requests: expected at most {BATCH_REQUESTS_MAX}, found {len(request.requests)}",
                )
            answers = await self._answers([each.document for each in request.requests], context)
            return pricing_pb2.PriceBatchAnswer(
                answers=[pricing_pb2.PriceAnswer(document=document) for document in answers]
            )

    async def price_stream(
        self, requests: AsyncIterator[pricing_pb2.PriceRequest], context: _Context
    ) -> AsyncIterator[pricing_pb2.PriceAnswer]:
        """Requests as they come: those that came while others were priced are priced together."""
        with _Measured(self._measures, "PriceStream", context):
            arrived: asyncio.Queue[str | None] = asyncio.Queue(STREAM_REQUESTS_MAX)
            reading = asyncio.create_task(_read(requests, arrived))
            try:
                while together := await _taken(arrived):
                    for document in await self._answers(together, context):
                        yield pricing_pb2.PriceAnswer(document=document)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _answers(self, documents: Sequence[str], context: _Context) -> list[str]:
        left = context.time_remaining()
        deadline = None if left is None else time.monotonic() + left
        try:
            return await self._pool.price(documents, deadline)
        except (TooMuchWaiting, DeadlinePassed, PoolClosed) as error:
            await context.abort(_CODES[type(error)], _WORDS.get(type(error), str(error)))
            raise AssertionError("an abort raises") from error


class _Measured:
    """Counts a call with its code and its time."""

    def __init__(self, measures: Measures, method: str, context: _Context) -> None:
        self._measures = measures
        self._method = method
        self._context = context

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            code = grpc.StatusCode.OK.name
        elif issubclass(kind, (asyncio.CancelledError, GeneratorExit)):
            code = grpc.StatusCode.CANCELLED.name
        else:
            found = self._context.code()
            code = found.name if isinstance(found, grpc.StatusCode) else grpc.StatusCode.UNKNOWN.name
        self._measures.calls.labels(self._method, code).inc()
        self._measures.call_seconds.labels(self._method).observe(time.monotonic() - self._began)


async def _read(
    requests: AsyncIterator[pricing_pb2.PriceRequest], arrived: asyncio.Queue[str | None]
) -> None:
    """Put requests where they wait; None after the last."""
    async for request in requests:
        await arrived.put(request.document)
    await arrived.put(None)


async def _taken(arrived: asyncio.Queue[str | None]) -> list[str]:
    """All that wait, at least one; none at the end of the stream."""
    first = await arrived.get()
    if first is None:
        return []
    found = [first]
    while not arrived.empty():
        following = arrived.get_nowait()
        if following is None:
            arrived.put_nowait(None)
            break
        found.append(following)
    return found


def handlers(service: PricingService) -> grpc.GenericRpcHandler:
    """The methods as a server takes them."""
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Price": grpc.unary_unary_rpc_method_handler(
            service.price,
            request_deserializer=pricing_pb2.PriceRequest.FromString,
            response_serializer=pricing_pb2.PriceAnswer.SerializeToString,
        ),
        "PriceBatch": grpc.unary_unary_rpc_method_handler(
            service.price_batch,
            request_deserializer=pricing_pb2.PriceBatchRequest.FromString,
            response_serializer=pricing_pb2.PriceBatchAnswer.SerializeToString,
        ),
        "PriceStream": grpc.stream_stream_rpc_method_handler(
            service.price_stream,
            request_deserializer=pricing_pb2.PriceRequest.FromString,
            response_serializer=pricing_pb2.PriceAnswer.SerializeToString,
        ),
    }
    assert set(methods) == set(SERVICE.methods_by_name), "the methods of pricing.proto"
    return grpc.method_handlers_generic_handler(SERVICE.full_name, methods)
