"""Which web views a worker on a cluster may answer: those of partitions that it owns."""

from collections.abc import Awaitable, Callable
from typing import Any

from schemas.murmur2 import partition_of_key
from topology.cluster.app import ClusterApp

View = Callable[..., Awaitable[Any]]


def owned_books(app: ClusterApp) -> Callable[[View], View]:
    """Let a view of a book answer only where its partition is here and restored; 503 elsewhere."""

    def wrap(view: View) -> View:
        async def answer(page: Any, request: Any, book: str, **rest: str) -> Any:
            partition = partition_of_key(book.encode(), app.settings.partitions)
            if partition not in app.runners:
                text = f"expected the worker that has partition {partition}, found {app.worker}: ask another"
                return page.json({"error": text}, status=503)
            return await view(page, request, book=book, **rest)

        answer.__doc__ = view.__doc__
        return answer

    return wrap
