"""The view of a trade on a cluster, whichever worker is asked.

Capture keeps a trade where its id is, positions where its book is, so that two workers may be needed: the first is found
by asking all, the second follows from the book.

Guarantees: 404 only where every partition has an owner and each of them has answered; 503 otherwise.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from yarl import URL

from topology.cluster.routing import PASSED_ON, Routing, View, not_now
from topology.documents.queries import booked_trade, trade_place
from topology.log import Tables

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class TradeViews:
    """The views of trades over the tables of one worker."""

    def __init__(self, routing: Routing, tables: Tables, partitions: int, stages: Sequence[str]) -> None:
        self._routing = routing
        self._tables = tables
        self._partitions = partitions
        self._stages = stages

    def views(self) -> dict[str, View]:
        """The views by path."""

        # Plain functions: Faust makes methods of its own of them.
        async def trade(page: Any, request: Any, trade_id: str) -> Any:
            """A trade: where it stands, what it did."""
            return await self._trade(page, request, trade_id)

        return {
            "/trades/{trade_id}": trade,
            "/trades/{trade_id}/of/{book}": self._routing.of_book(self._booked),
        }

    async def _trade(self, page: Any, request: Any, trade_id: str) -> Any:
        place = trade_place(self._tables, self._partitions, trade_id)
        if PASSED_ON in request.headers:
            return _missing(page, trade_id) if place is None else _json(page, place)
        if place is None:
            answers = await asyncio.gather(
                *(self._routing.ask(lease, request.raw_path) for lease in self._routing.others())
            )
            place = next((_decode(found[3]) for found in answers if found and found[0] == 200), None)
            if place is None and not (all(answers) and self._routing.whole(self._stages)):
                return not_now(page, f"expected every worker to answer for trade {trade_id}, found some away")
        if place is None:
            return _missing(page, trade_id)
        if place["state"] is not None:
            return _json(page, {"trade_id": trade_id, "state": place["state"]})
        path = f"/trades/{quote(trade_id, safe='')}/of/{quote(place['book'], safe='')}"
        onward = request.clone(rel_url=URL(path, encoded=True))
        return await self._routing.of_book(self._booked)(page, onward, book=place["book"], trade_id=trade_id)

    async def _booked(self, page: Any, request: Any, book: str, trade_id: str) -> Any:
        """A trade of a book."""
        found = booked_trade(self._tables, self._partitions, book, trade_id)
        return _missing(page, trade_id) if found is None else _json(page, found)


def _json(page: Any, document: dict[str, Any], status: int = 200) -> Any:
    return page.bytes(_encode(document), content_type="application/json", status=status)


def _missing(page: Any, trade_id: str) -> Any:
    return _json(page, {"error": f"expected a trade {trade_id}, found none"}, 404)
