"""The pricing engine as a server: its address, TLS, health, reflection, metrics, start and stop.

Guarantees: it serves (health says so) while at least one pricing process is ready; on SIGTERM health says NOT_SERVING, no
call is taken any more, and those under way have `STOP_SECONDS` to end.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.pricing.measures import Measures
from services.pricing.pool import WorkerPool
from services.pricing.service import SERVICE, PricingService, handlers

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
CALLS_MAX = 1_000
STOP_SECONDS = 5.0

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class EngineError(Exception):
    """The engine cannot start as it was asked to: what was expected, what was found."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine serves. Without `processes` there is one for each processor; port 0 takes a free one.

    With a certificate and its key it speaks TLS; with `client_authority_file` too, clients must show a certificate of
    that authority. `metrics_port` None serves none.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    processes: int = 0
    waiting_max: int = 100_000
    request_seconds_max: float = 10.0
    metrics_port: int | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    client_authority_file: Path | None = None


def run_engine(settings: EngineSettings, on_ready: Callable[[dict[str, Any]], None]) -> int:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the addresses. Returns the exit code. Raises EngineError."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, on_ready))
    return 0


async def _serve(settings: EngineSettings, on_ready: Callable[[dict[str, Any]], None]) -> None:
    measures = Measures()
    checks = health.aio.HealthServicer()
    ready = asyncio.Event()
    changes: asyncio.Queue[int] = asyncio.Queue()
    pool = WorkerPool(
        processes=settings.processes or len(os.sched_getaffinity(0)),
        waiting_max=settings.waiting_max,
        silence_seconds_max=settings.request_seconds_max,
        measures=measures,
        on_ready=changes.put_nowait,
    )
    server = _server(pool, measures, checks)
    port = _listen(server, settings)
    with contextlib.ExitStack() as stack:
        metrics = _metrics(settings, measures, stack)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        telling = asyncio.create_task(_tell_health(checks, changes, ready))
        try:
            pool.start()
            await server.start()
            if await _first(ready, stop):
                on_ready(
                    {
                        "process": os.getpid(),
                        "engine": f"{settings.host}:{port}",
                        "tls": settings.certificate_file is not None,
                        "processes": pool.identities,
                        "metrics": None if metrics is None else f"http://{settings.host}:{metrics}/metrics",
                    }
                )
            await stop.wait()
        finally:
            telling.cancel()
            await checks.enter_graceful_shutdown()
            await server.stop(STOP_SECONDS)
            await pool.close()


async def _first(ready: asyncio.Event, stop: asyncio.Event) -> bool:
    """Wait until a process is ready, or the engine is told to stop; returns whether it was the former."""
    waits = [asyncio.ensure_future(event.wait()) for event in (ready, stop)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    return ready.is_set()


async def _tell_health(
    checks: health.aio.HealthServicer, changes: "asyncio.Queue[int]", ready: asyncio.Event
) -> None:
    """Serving while a process is ready, for the engine and for the server as a whole."""
    number = 0
    while True:
        for name in (SERVICE.full_name, ""):
            await checks.set(name, _SERVING if number else _NOT_SERVING)
        if number:
            ready.set()
        number = await changes.get()


def _server(pool: WorkerPool, measures: Measures, checks: health.aio.HealthServicer) -> grpc.aio.Server:
    server = grpc.aio.server(
        options=[
            # Two engines on one port would share its calls without anybody knowing.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ],
        maximum_concurrent_rpcs=CALLS_MAX,
    )
    server.add_generic_rpc_handlers((handlers(PricingService(pool, measures)),))
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def _listen(server: grpc.aio.Server, settings: EngineSettings) -> int:
    """Bind the address; the port. Raises EngineError."""
    where = f"{settings.host}:{settings.port}"
    credentials = _credentials(settings)
    advice = "choose another port with --port or PKS_PRICING_PORT (0 takes a free one)"
    try:
        # gRPC says that it failed, and not why.
        _try_address(settings.host, settings.port)
        address = f"[{settings.host}]:{settings.port}" if ":" in settings.host else where
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except OSError as error:
        raise EngineError(
            f"pricing: expected to listen on {where}, found: {error.strerror}; {advice}"
        ) from error
    except RuntimeError as error:
        raise EngineError(f"pricing: expected to listen on {where}, found: {error}; {advice}") from error


def _try_address(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)


def _metrics(settings: EngineSettings, measures: Measures, stack: contextlib.ExitStack) -> int | None:
    """Serve the metrics; their port, None where nobody wants them. Raises EngineError."""
    if settings.metrics_port is None:
        return None
    try:
        server = measures.listen(settings.host, settings.metrics_port)
    except OSError as error:
        raise EngineError(
            f"pricing metrics: expected to listen on {settings.host}:{settings.metrics_port}, found: {error.strerror}; "
            "choose another port with PKS_PRICING_METRICS_PORT"
        ) from error
    stack.callback(server.close)
    return server.port


def _credentials(settings: EngineSettings) -> grpc.ServerCredentials | None:
    """TLS, where a certificate is named. Raises EngineError."""
    if settings.certificate_file is None and settings.key_file is None:
        if settings.client_authority_file is not None:
            raise EngineError(
                "pricing_client_authority_file: expected pricing_certificate_file beside it, found none"
            )
        return None
    if settings.certificate_file is None or settings.key_file is None:
        raise EngineError(
            "pricing_certificate_file, pricing_key_file: expected both or neither, found one of them"
        )
    authority = settings.client_authority_file
    return grpc.ssl_server_credentials(
        [(_content(settings.key_file), _content(settings.certificate_file))],
        None if authority is None else _content(authority),
        authority is not None,
    )


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise EngineError(f"{file}: expected a PEM file, found: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise EngineError(f"{file}: expected a PEM file, found something else")
    return content
