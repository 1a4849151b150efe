"""The sink of Redis: the newest mark of each instrument and the newest version of each curve.

Owns: `md:mark:v1:{instrument}` and `curve:{id}`, hashes that expire, and the sink's own place beside them.
Assumes: one Redis that takes a script over several keys (no Redis Cluster).
Guarantees: a newer mark wins by its event time, then by its place in the log, whatever comes again and in whichever
order; the place is moved with the last of a batch's keys, in one script, so that a Redis that lost its contents, or went
back to older ones, is filled again from the log. That is looked for while nothing is written, too.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from connectors.redis.keys import ORDER, SINK, TOKEN, fields_of, key_of, order_of
from connectors.redis.link import FAILURES, SINK_SECONDS, client_of, unavailable
from connectors.sink import Batch, Item, TopicPartition, Unavailable
from schemas import topics

NAME = "redis"
KEYS_MAX = 500
"""Most keys of a script: Redis does nothing else while one runs."""

_LOST = "LOST"

_WRITE = f"""
if redis.call('HGET', KEYS[1], '{TOKEN}') ~= ARGV[1] then
  return redis.error_reply('{_LOST} what this sink wrote is not there, or another sink writes')
end
redis.call('HSET', KEYS[1], '{TOKEN}', ARGV[1])
local at = 2
for number = 2, #KEYS do
  local order, expires_at, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local held = redis.call('HGET', KEYS[number], '{ORDER}')
  if not held or held <= order then
    redis.call('DEL', KEYS[number])
    redis.call('HSET', KEYS[number], '{ORDER}', order, unpack(ARGV, at + 3, at + 2 + count))
    redis.call('PEXPIREAT', KEYS[number], expires_at)
  end
  at = at + 3 + count
end
if at <= #ARGV then
  redis.call('HSET', KEYS[1], unpack(ARGV, at))
end
return 1
"""
"""KEYS: the sink's hash, then those to write. ARGV: the token; for each key its order, when it expires (ms), how many
texts follow, and its fields with their values; at the end places with their offsets.

The token is written again before anything else: a Redis without memory refuses that, and what follows a script's first
write it would take.
"""


class Entry(NamedTuple):
    """A hash to write: `expires_at` in milliseconds."""

    key: str
    order: str
    expires_at: int
    fields: Mapping[str, str]


class RedisSink:
    """Keeps the newest marks and curves in Redis, each for `keep_seconds` after it came into the log."""

    name = NAME
    topics: Sequence[str] = (topics.MARKS.name, topics.CURVES.name)
    keeps_offsets = True
    look_seconds = 1.0

    def __init__(self, url: str, keep_seconds: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._url = url
        self._keep = keep_seconds
        self._clock = clock
        self._client: Any = None
        self._write_script: Any = None
        self._token = ""
        self._noted: dict[TopicPartition, int] = {}
        self.complaints: Counter[str] = Counter()

    async def open(self) -> Mapping[TopicPartition, int]:
        """Connect, become the one sink that writes, and read where it goes on. Raises Unavailable."""
        self._client = client = client_of(self._url, SINK_SECONDS, "pks sink")
        self._write_script = client.register_script(_WRITE)
        self._token = secrets.token_hex(8)
        # Set first and read then, so that no other sink can move what was read.
        ask = client.pipeline(transaction=True).hset(SINK, TOKEN, self._token).hgetall(SINK)
        stored: dict[str, str] = (await _answer(ask.execute()))[-1]
        del stored[TOKEN]
        if not stored and self._noted:
            self.complaints["lost"] += 1
        self._noted = dict(_places(stored))
        return dict(self._noted)

    async def write(self, batch: Batch) -> None:
        """Write the newest of each key, and the places. Raises Unavailable."""
        entries = list(newest(batch.items, self._keep, self._clock()))
        moved = [
            text
            for place, offset in batch.next_offsets.items()
            if self._noted.get(place) != offset
            for text in (_field(place), str(offset))
        ]
        last = max(0, len(entries) - 1) // KEYS_MAX
        for number in range(last + 1):
            part = entries[number * KEYS_MAX : (number + 1) * KEYS_MAX]
            await self._script(part, moved if number == last else [])
        self._noted |= batch.next_offsets

    async def _script(self, entries: Sequence[Entry], moved: Sequence[str]) -> None:
        if not entries and not moved:
            return
        arguments = [self._token]
        for entry in entries:
            texts = [text for pair in entry.fields.items() for text in pair]
            arguments += [entry.order, str(entry.expires_at), str(len(texts)), *texts]
        keys = [SINK, *(entry.key for entry in entries)]
        await _answer(self._write_script(keys=keys, args=[*arguments, *moved]))

    async def look(self) -> None:
        """Whether what was written is still there. Raises Unavailable where it is not, and the sink begins again."""
        found = await _answer(self._client.hget(SINK, TOKEN))
        if found != self._token:
            raise Unavailable(
                f"Redis: expected this sink's own mark in {SINK}, found {'none' if found is None else 'another'}: it "
                "lost its contents, or another sink writes there"
            )

    async def close(self) -> None:
        """Disconnect; never raises."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.aclose(), SINK_SECONDS)


async def _answer(call: Any) -> Any:
    """What a call gives, within the time that a sink waits. Raises Unavailable."""
    try:
        async with asyncio.timeout(2 * SINK_SECONDS):
            return await call
    except FAILURES as error:
        raise unavailable(error) from error


def newest(items: Iterable[Item], keep_seconds: int, now: int) -> Iterable[Entry]:
    """The newest of each key, without what would have expired by `now` (nanoseconds)."""
    found: dict[str, tuple[str, Item]] = {}
    for item in items:
        key, order = key_of(item.event), order_of(item)
        if key not in found or found[key][0] < order:
            found[key] = order, item
    for key, (order, item) in found.items():
        expires_at = item.appended_at + keep_seconds * 1_000_000_000
        if expires_at > now:
            yield Entry(key, order, expires_at // 1_000_000, fields_of(item.event))


def _field(place: TopicPartition) -> str:
    return f"{place[0]}/{place[1]}"


def _places(stored: Mapping[str, str]) -> Iterable[tuple[TopicPartition, int]]:
    for field, offset in stored.items():
        topic, _, partition = field.rpartition("/")
        yield (topic, int(partition)), int(offset)
