"""Polling the broker ALOR for quotes of symbols, some hundred in a request.

A symbol is `EXCHANGE:CODE` (`MOEX:SBER`). Without a refresh token the service answers with quotes that are a quarter of an
hour old; with one (in a file), an access token is asked for, and again when it is no longer taken.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from connectors.marks.alor_quotes import items_of, quotes_of
from connectors.marks.http import Answer, HttpClient, Unauthorised
from connectors.marks.reading import Reading
from connectors.sink import Unavailable
from schemas.quotes import Quote

NAME = "alor-marks"
REQUESTS_PER_SECOND = 5.0
SYMBOLS_A_REQUEST = 100


class _Token(msgspec.Struct):
    access: str = msgspec.field(name="AccessToken")


_decode_token = msgspec.json.Decoder(_Token).decode


class AlorQuotes:
    """The quotes of some symbols. `token_file` holds a refresh token, which `authority` changes for an access token."""

    name = NAME

    def __init__(
        self,
        address: str,
        symbols: Sequence[str],
        poll_seconds: float,
        *,
        authority: str = "",
        token_file: Path | None = None,
    ) -> None:
        self.poll_seconds = poll_seconds
        self._symbols = symbols
        self._token_file = token_file
        self._access = ""
        self.client = HttpClient(NAME, address, requests_per_second=REQUESTS_PER_SECOND)
        self._authority = HttpClient(NAME, authority, requests_per_second=1.0)

    async def open(self) -> None:
        """Begin."""
        await self.client.open()
        await self._authority.open()

    async def close(self) -> None:
        """End."""
        await self.client.close()
        await self._authority.close()

    async def poll(self, reading: Reading, now: int) -> Iterable[Quote]:
        """The quotes of all symbols. Raises Unavailable."""
        quotes: list[Quote] = []
        for start in range(0, len(self._symbols), SYMBOLS_A_REQUEST):
            some = ",".join(self._symbols[start : start + SYMBOLS_A_REQUEST])
            answer = await self._get(f"/md/v2/Securities/{some}/quotes")
            if not answer.changed:
                continue
            items = items_of(answer.body)
            if items is None:
                shown = answer.body[:80].decode("utf-8", "replace")
                raise Unavailable(f"{NAME}: expected an array of quotes, found {shown}")
            quotes += quotes_of(items, f"{NAME}:{self._symbols[start].partition(':')[0]}", reading, now)
        return quotes

    async def _get(self, path: str) -> Answer:
        try:
            return await self.client.get(path, headers=await self._headers())
        except Unauthorised:
            if self._token_file is None or not self._access:
                raise
            self._access = ""
            return await self.client.get(path, headers=await self._headers())

    async def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        if not self._access:
            try:
                refresh = self._token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise Unavailable(
                    f"{NAME}: expected a refresh token in {self._token_file}, found {error.strerror}"
                ) from error
            answer = await self._authority.post("/refresh", {"token": refresh})
            try:
                self._access = _decode_token(answer.body).access
            except msgspec.MsgspecError as error:
                raise Unavailable(f"{NAME}: expected an access token, found another answer") from error
        return {"Authorization": f"Bearer {self._access}"}
