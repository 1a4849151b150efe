"""The web views of a worker: health, metrics, positions and trades, as JSON with exact numbers in strings.

Served by the App of the positions stage. A view of a book is answered by the worker that owns the book's partition; on
the embedded log that is this one. Faust's own pages are off (`topology.web.server`).
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from topology.documents.queries import position_document, positions_document, trade_document
from topology.log import Tables
from topology.web.metrics import CONTENT_TYPE, Metrics

View = Any
Response = Any

_encode = msgspec.json.Encoder().encode


class HealthDocument(Protocol):
    """Says whether a worker is ready."""

    def document(self) -> dict[str, Any]:
        """All that is known of it; `ready` is the verdict."""


def add_views(
    app: Any,
    log: Tables,
    health: HealthDocument,
    metrics: Metrics,
    of_book: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda view: view,
    others: Mapping[str, Callable[..., Awaitable[Any]]] = MappingProxyType({}),
) -> None:
    """Add the views to the App that serves them, and `others`; before it starts. `of_book` routes a view of a book."""
    partitions = app.settings.partitions

    async def index(view: View, request: Any) -> Response:
        """The paths that are served."""
        return _json(view, {"views": list(views)})

    async def live(view: View, request: Any) -> Response:
        """The process runs and its loop turns."""
        return _json(view, {"live": True, "process": os.getpid()})

    async def ready(view: View, request: Any) -> Response:
        """Whether every partition has caught up; 503 while one has not."""
        document = health.document()
        return _json(view, document, 200 if document["ready"] else 503)

    async def scrape(view: View, request: Any) -> Response:
        """Metrics for Prometheus."""
        return view.web.bytes(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def book(view: View, request: Any, book: str) -> Response:
        """The positions of a book."""
        return _json(view, {"positions": positions_document(log, partitions, book)})

    async def position(view: View, request: Any, book: str, instrument: str) -> Response:
        """One position with its lots."""
        document = position_document(log, partitions, book, instrument)
        if document is None:
            return _missing(view, f"expected a position {book}/{instrument}, found none")
        return _json(view, document)

    async def trade(view: View, request: Any, trade_id: str) -> Response:
        """A trade: where it stands, what it did."""
        document = trade_document(log, partitions, trade_id)
        if document is None:
            return _missing(view, f"expected a trade {trade_id}, found none")
        return _json(view, document)

    views: dict[str, Callable[..., Awaitable[Response]]] = {
        "/": index,
        "/health/live": live,
        "/health/ready": ready,
        "/metrics": scrape,
        "/positions/{book}": of_book(book),
        "/positions/{book}/{instrument}": of_book(position),
        "/trades/{trade_id}": trade,
        **others,
    }
    for path, view in views.items():
        app.page(path)(view)


def _json(view: View, document: Any, status: int = 200) -> Response:
    return view.web.bytes(_encode(document), content_type="application/json", status=status)


def _missing(view: View, text: str) -> Response:
    return _json(view, {"error": text}, 404)
