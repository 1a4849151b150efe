"""A strategy that follows its book: every update from NATS, and the freshest figure from shared memory.

python strategy.py nats://127.0.0.1:4222 MM-BOOK [first sequence [updates]]
"""

import asyncio
import sys

from pks_client import NotAvailable, PositionReader
from pks_client.stream import PositionStream


async def follow(url: str, book: str, first: int = 1, most: int = 0) -> None:
    try:
        memory = PositionReader()
    except NotAvailable:
        memory = None  # another machine: updates alone
    seen = 0
    async with PositionStream(url, book=book, from_sequence=first) as updates:
        async for update in updates:
            slot = memory.read(book, update.instrument) if memory else None
            now = f"now {slot.quantity} ({slot.status})" if slot else "now unknown"
            print(update.sequence, update.instrument, update.quantity, now, flush=True)
            seen += 1
            if seen == most:
                break


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], sys.argv[2], *(int(number) for number in sys.argv[3:])))
