"""What the servers say of the demonstration's positions, each asked as its users ask it, beside `pks positions`.

Guarantees: an answer counts as equal only where every position has the same quantity (and realised P&L, where the server
has it), digit for digit; a sink that is behind, and a server that has not applied what it took, is waited for, for
`WAIT_SECONDS_MAX` at most, and it is said what for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from clients.python.pks_client.errors import NotAvailable
from connectors.sink import Unavailable
from topology.demo.waiting import outstanding
from topology.settings import Settings

WAIT_SECONDS = 30.0
"""How long an answer may stay the same, with nothing under way, before it counts."""

WAIT_SECONDS_MAX = 180.0
"""How long an answer may stay the same while something is under way."""

WAIT_NOTICED_SECONDS = 1.0
_PAUSE_SECONDS = 0.2

Figures = tuple[Decimal, ...]
"""Quantity, and realised P&L where it is asked for."""

Positions = dict[tuple[str, str], Figures]
"""By book and instrument."""

POSTGRES = "select book, instrument, quantity, realised_pnl from position.position"
NATS = "subscribe bo.position.updated.v1.* from sequence 1, the last of each position"


class Answer(NamedTuple):
    """What a server answered beside what PKS says itself; `waited_for` in words, with the seconds, where it took some."""

    server: str
    asked: str
    answer: str
    ours: str
    equal: bool
    waited_for: str = ""


async def _postgres(settings: Settings, wanted: Positions) -> Positions:
    from connectors.postgres.asking import rows_of

    rows = await rows_of(settings.postgres, POSTGRES)
    return {(book, instrument): (quantity, realised) for book, instrument, quantity, realised in rows}


async def _questdb(settings: Settings, wanted: Positions) -> Positions:
    from connectors.questdb.bookings import CURRENT
    from connectors.questdb.server import QuestdbSettings, query

    rows = await asyncio.to_thread(query, QuestdbSettings(settings.questdb), CURRENT)
    return {(book, instrument): (Decimal(quantity),) for book, instrument, quantity in rows}


async def _nats(settings: Settings, wanted: Positions) -> Positions:
    from clients.python.pks_client.stream import PositionStream

    found: Positions = {}
    try:
        async with asyncio.timeout(WAIT_SECONDS), PositionStream(settings.nats, from_sequence=1) as updates:
            async for update in updates:
                found[update.book, update.instrument] = (update.quantity, update.realised_pnl)
                if found == wanted:
                    break
    except TimeoutError:
        pass  # what came until then is the answer
    except NotAvailable as error:
        raise Unavailable(str(error)) from error
    return found


def _questdb_asked() -> str:
    from connectors.questdb.bookings import CURRENT

    return " ".join(CURRENT.split())


Ask = Callable[[Settings, Positions], Awaitable[Positions]]
_ASKED: Mapping[str, tuple[Ask, Callable[[], str], int]] = {
    "postgres": (_postgres, lambda: POSTGRES, 2),
    "questdb": (_questdb, _questdb_asked, 1),
    "nats": (_nats, lambda: NATS, 2),
}
"""By the setting that names a server: how it is asked, in which words, and how many figures a position has there."""


def ask_all(settings: Settings, shown: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Ask every server that settings name; `shown` are the positions as `pks positions --json` has them."""
    return [
        asyncio.run(_ask(name, settings, shown, *_ASKED[name])) for name in _ASKED if getattr(settings, name)
    ]


async def _ask(
    server: str,
    settings: Settings,
    shown: Sequence[Mapping[str, Any]],
    ask: Ask,
    asked: Callable[[], str],
    figures: int,
) -> Answer:
    wanted: Positions = {
        (each["book"], each["instrument"]): tuple(
            Decimal(each[name]) for name in ("quantity", "realised_pnl")[:figures]
        )
        for each in shown
    }
    before: Positions | None = None
    began = changed = time.monotonic()
    waits = ""
    while True:
        try:
            found = await ask(settings, wanted)
            answer = _said(found)
        except Unavailable as error:
            found, answer = {}, str(error)
        now = time.monotonic()
        if found != before:
            before, changed = found, now
        under_way = "" if found == wanted else await outstanding(server, settings)
        waits = waits or under_way
        patience = WAIT_SECONDS_MAX if under_way else WAIT_SECONDS
        if found == wanted or now - changed > patience:
            return Answer(
                server, asked(), answer, _said(wanted), found == wanted, waited_for(waits, now - began)
            )
        await asyncio.sleep(_PAUSE_SECONDS)


def waited_for(waits: str, seconds: float) -> str:
    """What was waited for and how long, where it was long enough to be noticed."""
    return f"{seconds:.0f} s: {waits or 'for the answer'}" if seconds >= WAIT_NOTICED_SECONDS else ""


def _said(positions: Positions) -> str:
    """How many positions, and one of them."""
    if not positions:
        return "0 positions"
    (book, instrument), figures = min(positions.items())
    words = ("quantity", "realised")
    told = ", ".join(f"{word} {_plain(figure)}" for word, figure in zip(words, figures, strict=False))
    return f"{len(positions)} positions; {book} {instrument}: {told}"


def _plain(figure: Decimal) -> str:
    return f"{figure.normalize():,f}"
