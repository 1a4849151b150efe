"""A client of the pricing engine: requests of `pks price` as JSON in, answers in their order out.

Owns: the channel, what is tried again, and how many requests a call has.
Assumes: one event loop.
Guarantees: a call ends within `call_seconds`, whatever the engine or the network does; what failed for want of the engine is
tried again with pauses that grow and are spread, `attempts` times, then raised; many failures open the circuit, so that
callers hear at once; after a call that took too long the connection is made anew (it may be a dead one) and calls have half
as many requests; one request that the engine has no time for, while it says that it serves, is answered with an error.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import stamina
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connectors.breaker import CircuitBreaker, CircuitOpen
from connectors.sink import Unavailable
from schemas.proto.pks.v1 import pricing_pb2

PLAIN, ENCRYPTED = "grpc://", "grpcs://"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
CALL_BYTES_MAX = 16 * 1024 * 1024
"""Most bytes of requests in one call."""

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX, RETRY_JITTER_SECONDS = 0.05, 2.0, 0.1
RECONNECT_MILLISECONDS_MAX = 1_000
CONNECT_MILLISECONDS_MAX = 5_000
CALL_REQUESTS_FIRST = 256
LATE_MAX = 3
"""Calls of one request alone that took too long, before the request is to blame."""

HEALTH_SECONDS_MAX = 5.0

_SERVICE = pricing_pb2.DESCRIPTOR.services_by_name["PricingEngine"].full_name


class TooLate(Unavailable):
    """The engine did not answer in time."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where the engine is (`grpc://host:port`, or `grpcs://host:port` for TLS), and how long it may take."""

    address: str
    authority_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    call_seconds: float = 30.0
    attempts: int = 3
    call_requests_max: int = 2_000


class PricingClient:
    """One engine. Its circuit may be shared with others who call the same one."""

    def __init__(self, engine: EngineAddress, breaker: CircuitBreaker | None = None) -> None:
        self._engine = engine
        self.breaker = breaker or CircuitBreaker(f"pricing engine {engine.address}")
        self._channel: grpc.aio.Channel | None = None
        self._call_requests = min(CALL_REQUESTS_FIRST, engine.call_requests_max)
        self._late = ("", 0)

    async def price(self, documents: Sequence[str]) -> list[str]:
        """The answers to requests, in their order. Raises Unavailable."""
        return [answer async for together in self.parts(documents) for answer in together]

    async def parts(self, documents: Sequence[str]) -> AsyncIterator[list[str]]:
        """The answers to requests in their order, as calls bring them. Raises Unavailable."""
        position = 0
        while position < len(documents):
            together = _fitting(documents, position, self._call_requests)
            try:
                answers = await self._priced(together)
            except TooLate:
                if not await self.serving():
                    raise
                # It is there: it had too much at once, or one request that it has no time for.
                self.breaker.succeeded()
                if len(together) > 1 or self._late[1] < LATE_MAX:
                    continue
                answers = [_given_up(self._engine.call_seconds)]
            yield answers
            position += len(answers)

    async def _priced(self, documents: Sequence[str]) -> list[str]:
        """The answers to the requests of one call, which is tried again where the engine is away."""
        async for attempt in stamina.retry_context(
            on=_worth_another_try,
            attempts=self._engine.attempts,
            timeout=None,
            wait_initial=RETRY_SECONDS_FIRST,
            wait_max=RETRY_SECONDS_MAX,
            wait_jitter=RETRY_JITTER_SECONDS,
        ):
            with attempt, self.breaker.attempt():
                return await self._call(documents)
        raise AssertionError("the last attempt raises")

    async def _call(self, documents: Sequence[str]) -> list[str]:
        message = pricing_pb2.PriceBatchRequest(
            requests=[pricing_pb2.PriceRequest(document=document) for document in documents]
        )
        seconds = self._engine.call_seconds
        began = time.monotonic()
        try:
            reply = await self._method()(message, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Unavailable(
                    f"{self._engine.address}: {error.code().name}, {error.details()}"
                ) from error
            await self._was_late(documents)
            raise TooLate(
                f"{self._engine.address}: expected answers to {len(documents)} requests within {seconds:g} s, found none"
            ) from error
        if len(reply.answers) != len(documents):
            raise Unavailable(
                f"{self._engine.address}: expected {len(documents)} answers, found {len(reply.answers)}"
            )
        if len(documents) >= self._call_requests and time.monotonic() - began < seconds / 4:
            self._call_requests = min(2 * self._call_requests, self._engine.call_requests_max)
        return [answer.document for answer in reply.answers]

    async def _was_late(self, documents: Sequence[str]) -> None:
        if len(documents) == 1:
            document, times = self._late
            self._late = (documents[0], times + 1 if documents[0] == document else 1)
        self._call_requests = max(1, self._call_requests // 2)
        await self.close()

    async def serving(self) -> bool:
        """Whether the engine says that it serves; never raises."""
        checks = health_pb2_grpc.HealthStub(self._connected())
        try:
            reply = await checks.Check(
                health_pb2.HealthCheckRequest(service=_SERVICE), timeout=HEALTH_SECONDS_MAX
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def _method(
        self,
    ) -> grpc.aio.UnaryUnaryMultiCallable[pricing_pb2.PriceBatchRequest, pricing_pb2.PriceBatchAnswer]:
        return self._connected().unary_unary(
            f"/{_SERVICE}/PriceBatch",
            request_serializer=pricing_pb2.PriceBatchRequest.SerializeToString,
            response_deserializer=pricing_pb2.PriceBatchAnswer.FromString,
        )

    def _connected(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = _channel(self._engine)
        return self._channel

    async def close(self) -> None:
        """Let the connection go; the next call makes another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def _worth_another_try(error: Exception) -> bool:
    """An engine that is away may be back in a moment; one that took all the time that there was has had its try."""
    return isinstance(error, Unavailable) and not isinstance(error, (CircuitOpen, TooLate))


def _fitting(documents: Sequence[str], start: int, most: int) -> Sequence[str]:
    """The next requests that one call may have; at least one."""
    end, size = start, 0
    for document in documents[start : start + most]:
        size += len(document)
        if size > CALL_BYTES_MAX and end > start:
            break
        end += 1
    return documents[start:end]


def _given_up(seconds: float) -> str:
    expected = f"a request that the pricing engine answers within {seconds:g} s"
    return json.dumps({"id": None, "error": {"field": "request", "expected": expected, "found": "no answer"}})


def _channel(engine: EngineAddress) -> grpc.aio.Channel:
    """A connection that is tried again soon, and tries no call again by itself. Raises Unavailable."""
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # How long a connection may take to be made.
        ("grpc.min_reconnect_backoff_ms", CONNECT_MILLISECONDS_MAX),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ]
    if engine.address.startswith(ENCRYPTED):
        where = engine.address.removeprefix(ENCRYPTED)
        return grpc.aio.secure_channel(where, _credentials(engine), options=options)
    return grpc.aio.insecure_channel(engine.address.removeprefix(PLAIN), options=options)


def _credentials(engine: EngineAddress) -> grpc.ChannelCredentials:
    try:
        authority, key, certificate = (
            None if file is None else file.read_bytes()
            for file in (engine.authority_file, engine.key_file, engine.certificate_file)
        )
    except OSError as error:
        raise Unavailable(f"{error.filename}: expected a PEM file, found: {error.strerror}") from error
    return grpc.ssl_channel_credentials(authority, key, certificate)
