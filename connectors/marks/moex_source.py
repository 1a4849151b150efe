"""Polling the Moscow Exchange's ISS: whole markets, or boards of them, page by page.

A place is `ENGINE/MARKET` (`stock/shares`) or `ENGINE/MARKET/BOARD` (`stock/shares/TQBR`). A document that is paged says so
in a block `securities.cursor` (`INDEX`, `TOTAL`, `PAGESIZE`); the following pages are asked for with `start`.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence

from connectors.marks.http import HttpClient
from connectors.marks.moex_iss import BadDocument, Values, block_rows, quotes_of, rows_of
from connectors.marks.reading import Reading
from connectors.sink import Unavailable
from schemas.quotes import Quote

NAME = "moex-marks"
REQUESTS_PER_SECOND = 5.0
PAGES_MAX = 1_000
"""Most pages of a place."""

_PARAMETERS = {"iss.meta": "off", "iss.only": "securities,marketdata,securities.cursor"}


class MoexQuotes:
    """The quotes of some places; `boards` are preferred to the usual ones."""

    name = NAME

    def __init__(
        self, address: str, places: Sequence[str], boards: Sequence[str], poll_seconds: float
    ) -> None:
        self.poll_seconds = poll_seconds
        self._places = places
        self._boards = boards
        self.client = HttpClient(NAME, address, requests_per_second=REQUESTS_PER_SECOND)

    async def open(self) -> None:
        """Begin."""
        await self.client.open()

    async def close(self) -> None:
        """End."""
        await self.client.close()

    async def poll(self, reading: Reading, now: int) -> Iterable[Quote]:
        """The quotes of every place that has changed since the last time. Raises Unavailable."""
        quotes: list[Quote] = []
        for place in self._places:
            rows = await self._rows(place)
            quotes += quotes_of(rows, self._boards, f"{NAME}:{place}", reading)
        return quotes

    async def _rows(self, place: str) -> list[Values]:
        """The rows of all pages; none where every page is as it was."""
        engine, market, *board = place.split("/")
        path = f"/iss/engines/{engine}/markets/{market}"
        path += f"/boards/{board[0]}/securities.json" if board else "/securities.json"
        rows: list[Values] = []
        changed, start = False, 0
        for _ in range(PAGES_MAX):
            page = {"start": str(start)} if start else {}
            answer = await self.client.get(path, {**_PARAMETERS, **page})
            changed = changed or answer.changed
            try:
                # Some hundred kilobytes of JSON: the loop has other things to do.
                found, following = await asyncio.to_thread(_page, answer.body)
            except BadDocument as error:
                raise Unavailable(f"{NAME}: {path}: {error}") from error
            rows += found
            if following is None or following <= start or not found:
                return rows if changed else []
            start = following
        raise Unavailable(f"{NAME}: {path}: expected at most {PAGES_MAX} pages, found more")


def _page(body: bytes) -> tuple[list[Values], int | None]:
    """The rows of a page, and where the next one starts; None where it is the last."""
    rows = rows_of(body)
    cursor = block_rows(json.loads(body), "securities.cursor")
    if not cursor:
        return rows, None
    try:
        index, total, size = (int(cursor[0][name]) for name in ("INDEX", "TOTAL", "PAGESIZE"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadDocument("a cursor of INDEX, TOTAL and PAGESIZE", str(cursor[0])) from error
    return rows, index + size if size > 0 and index + size < total else None
