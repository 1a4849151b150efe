"""The metrics of a pricing engine, for Prometheus, on a port of their own."""

import threading
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from services.pricing.wire import Answered

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """What is counted of one engine."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "pks_pricing_requests",
            "Requests that were answered, by model and outcome (priced, refused).",
            ["model", "outcome"],
            registry=registry,
        )
        self._seconds = Counter(
            "pks_pricing_processor_seconds",
            "Processor time of the pricing processes, by model.",
            ["model"],
            registry=registry,
        )
        self.calls = Counter(
            "pks_pricing_calls",
            "Calls, by method and status code.",
            ["method", "code"],
            registry=registry,
        )
        self.call_seconds = Histogram(
            "pks_pricing_call_seconds",
            "How long a call took from its request to its answer, by method.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "pks_pricing_waiting_requests", "Requests that are not answered yet.", registry=registry
        )
        self.processes = Gauge(
            "pks_pricing_processes", "Pricing processes that are ready.", registry=registry
        )
        self.restarts = Counter(
            "pks_pricing_restarts", "Pricing processes that ended and were replaced.", registry=registry
        )
        self.given_up = Counter(
            "pks_pricing_given_up",
            "Requests that were answered with an error because the processes that had them ended.",
            registry=registry,
        )

    def count(self, answered: Answered) -> None:
        """Take in what a pricing process says of its answers."""
        for counted in answered.counted:
            self._requests.labels(counted.model, "priced").inc(counted.priced)
            self._requests.labels(counted.model, "refused").inc(counted.refused)
            self._seconds.labels(counted.model).inc(counted.seconds)

    def listen(self, host: str, port: int) -> "MetricsServer":
        """Serve them over HTTP. Raises OSError where the address is taken."""
        server, thread = start_http_server(port, host, self.registry)
        return MetricsServer(server, thread)


class MetricsServer:
    """The HTTP server of the metrics, in a thread of its own."""

    def __init__(self, server: Any, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.port: int = server.server_port

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
