"""The demonstration's marks: the prices of its tape, published as they came, and what Redis then says of them.

Guarantees: an answer counts as equal only where each instrument's mark in Redis is the newest one of the log, digit for
digit; a sink that is behind is waited for, for `WAIT_SECONDS_MAX` at most, and it is said what for.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from schemas import market_data
from schemas.frames import wire
from schemas.identity import derived_id
from schemas.numbers import plain
from schemas.units import Action, MarkQuality
from topology.demo.elsewhere import WAIT_SECONDS, WAIT_SECONDS_MAX, Answer, waited_for
from topology.demo.waiting import outstanding
from topology.settings import Settings

CHUNK_FILLS = 500
"""Fills of which each instrument's newest price becomes a mark; late ones make marks that are older than their forerunners."""

_PAUSE_SECONDS = 0.1
_Mark: Any = wire(market_data.Mark)


def marks_of(fills: Sequence[Any]) -> Iterator[Any]:
    """Marks from the prices of a tape, in the order of its arrival."""
    for start in range(0, len(fills), CHUNK_FILLS):
        newest: dict[str, Any] = {}
        for fill in fills[start : start + CHUNK_FILLS]:
            held = newest.get(fill.instrument)
            if fill.action is Action.NEW and (held is None or fill.executed_at >= held.executed_at):
                newest[fill.instrument] = fill
        for fill in newest.values():
            yield _Mark(
                event_id=derived_id(fill.event_id, "demo-mark", start),
                source=fill.source,
                instrument=fill.instrument,
                event_time=fill.executed_at,
                quality=MarkQuality.INDICATIVE,
                price=fill.price,
            )


def newest_of(marks: Sequence[Any]) -> dict[str, Any]:
    """The newest mark of each instrument: the latest, of equal times the last."""
    found: dict[str, Any] = {}
    for mark in marks:
        held = found.get(mark.instrument)
        if held is None or mark.event_time >= held.event_time:
            found[mark.instrument] = mark
    return found


def ask_redis(settings: Settings, marks: Sequence[Any]) -> Answer:
    """Read every instrument's mark, as any program does, beside the newest of the log."""
    return asyncio.run(_ask(settings, newest_of(marks)))


async def _ask(settings: Settings, wanted: dict[str, Any]) -> Answer:
    from connectors.redis.cache import MarketDataCache

    cache = MarketDataCache(settings.redis)
    began, waits = time.monotonic(), ""
    try:
        while True:
            readings = await cache.marks(list(wanted))
            found = {name: reading.value for name, reading in readings.items() if reading.value is not None}
            seconds = time.monotonic() - began
            under_way = "" if found == wanted else await outstanding("redis", settings)
            waits = waits or under_way
            if found == wanted or seconds > (WAIT_SECONDS_MAX if under_way else WAIT_SECONDS):
                return Answer(
                    "redis",
                    "hgetall md:mark:v1:{instrument}, of each instrument",
                    _said(found),
                    _said(wanted),
                    found == wanted,
                    waited_for(waits, seconds),
                )
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await cache.close()


def _said(marks: dict[str, Any]) -> str:
    if not marks:
        return "0 marks"
    name = min(marks)
    return f"{len(marks)} marks; {name}: price {plain(marks[name].price)}"
