"""Web views of a cluster: a view of a book is answered by the worker that owns the book, whichever is asked.

Owns: who is asked, and what is said while nobody owns a book (503, with when to ask again).
Assumes: the views are those of the App of the positions stage, whose partitions are those of the books.
Guarantees: only a worker that owns the book's partition, has restored it and is heard by the cluster answers; a request is passed on once at
most, so that two workers which disagree do not send it to and fro.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import ClientError, ClientTimeout
from yarl import URL

from connectors.kafka.owners import OwnersTopic
from connectors.kafka.ownership import LEASE_ENDS_SECONDS, Lease
from schemas.murmur2 import partition_of_key
from topology.cluster.app import ClusterApp
from topology.settings import Settings

View = Callable[..., Awaitable[Any]]

PASSED_ON = "X-PKS-Passed-On-By"
"""The header of a request that another worker has passed on; it is not passed on again."""

ANSWERED_BY = "X-PKS-Worker"
"""The header of an answer that another worker gave."""

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)
_RETRY_SECONDS = 1
_PASS_ON = ClientTimeout(total=10.0, connect=2.0)


def advertised_address(settings: Settings, listener: socket.socket) -> str:
    """The address of the web views for other workers: where they listen on every address, that of the host's name."""
    host, port = listener.getsockname()[:2]
    told = settings.web_advertised_host or (socket.getfqdn() if host in _EVERY_ADDRESS else host)
    return f"http://{f'[{told}]' if ':' in told else told}:{port}"


class Routing:
    """Who answers for what, as one worker sees it."""

    def __init__(self, app: ClusterApp, owners: OwnersTopic) -> None:
        self._app = app
        self._owners = owners

    @property
    def worker(self) -> str:
        """The worker that looks."""
        return self._app.worker

    def of_book(self, view: View) -> View:
        """A view of a book, answered where the book is."""

        async def answer(page: Any, request: Any, book: str, **rest: str) -> Any:
            partition = self._partition(book)
            if partition in self._app.runners and self._owners.silent_seconds <= LEASE_ENDS_SECONDS:
                return await view(page, request, book=book, **rest)
            owner = self._owners.owner(self._app.stage.name, partition)
            if owner is None or owner.lease.worker == self.worker or PASSED_ON in request.headers:
                return self._nobody(page, partition)
            found = await self.ask(owner.lease, request.raw_path)
            if found is None:
                return self._nobody(page, partition)
            status, content_type, headers, body = found
            return page.bytes(
                body,
                content_type=content_type,
                status=status,
                headers={ANSWERED_BY: owner.lease.worker, **headers},
            )

        answer.__doc__ = view.__doc__
        return answer

    def _partition(self, book: str) -> int:
        return partition_of_key(book.encode(), self._app.settings.partitions)

    async def ask(self, lease: Lease, path: str) -> tuple[int, str, dict[str, str], bytes] | None:
        """What another worker answers: status, type, headers to keep and body; None where it cannot be reached."""
        if lease.web is None:
            return None
        url, headers = URL(f"{lease.web}{path}", encoded=True), {PASSED_ON: self.worker}
        try:
            async with self._app.http_client.get(url, headers=headers, timeout=_PASS_ON) as response:
                body = await response.read()
                return response.status, response.content_type, _kept(response.headers), body
        except (ClientError, TimeoutError, OSError):
            return None

    def others(self) -> list[Lease]:
        """The other workers that live."""
        return [lease for lease in self._owners.workers() if lease.worker != self.worker]

    def whole(self, stages: Sequence[str]) -> bool:
        """Whether every partition of these stages has an owner that lives."""
        partitions = range(self._app.settings.partitions)
        return all(self._owners.owner(stage, partition) for stage in stages for partition in partitions)

    def _nobody(self, page: Any, partition: int) -> Any:
        return not_now(
            page, f"expected a worker that owns partition {partition}, found none now: it is being taken over"
        )

    # -- who owns what --------------------------------------------------------------------------------------------

    def views(self) -> dict[str, View]:
        """The views of owners themselves, by path."""

        async def owners(page: Any, request: Any) -> Any:
            """The workers that live, and who owns each partition and keeps it warm."""
            return page.json(self.document())

        async def owner(page: Any, request: Any, book: str) -> Any:
            """Who owns a book: its worker, host, web address and shared memory; 503 while nobody does."""
            partition = self._partition(book)
            found = self._owners.owner(self._app.stage.name, partition)
            if found is None:
                return self._nobody(page, partition)
            return page.json({"book": book, "partition": partition, **_place(found.lease)})

        return {"/owners": owners, "/owners/{book}": owner}

    def document(self) -> dict[str, Any]:
        """The workers that live, and who owns each partition of the books; `worker` None: nobody now."""
        return {
            "workers": [_place(lease) for lease in self._owners.workers()],
            "partitions": [self._row(partition) for partition in range(self._app.settings.partitions)],
        }

    def _row(self, partition: int) -> dict[str, Any]:
        stage = self._app.stage.name
        owner = self._owners.owner(stage, partition)
        return {
            "partition": partition,
            "worker": None if owner is None else owner.lease.worker,
            "epoch": None if owner is None else owner.epoch,
            "taken_over_with_records": None if owner is None else owner.caught_up,
            "standbys": _names(self._owners.standbys(stage, partition)),
        }


def not_now(page: Any, text: str) -> Any:
    """An answer that says when to ask again."""
    error = {"error": f"{text}; ask again after {_RETRY_SECONDS} s"}
    return page.json(error, status=503, headers={"Retry-After": str(_RETRY_SECONDS)})


def _place(lease: Lease) -> dict[str, Any]:
    return {
        "worker": lease.worker,
        "host": lease.host,
        "web": lease.web,
        "shared_memory": lease.shared_memory,
    }


def _names(leases: Sequence[Lease]) -> list[str]:
    return [lease.worker for lease in leases]


def _kept(headers: Any) -> dict[str, str]:
    return {name: headers[name] for name in ("Retry-After",) if name in headers}
