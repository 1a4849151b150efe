"""Keys in order, for stores in memory: sorted blocks, so that an insertion moves a block and not all keys."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

BLOCK_KEYS_MAX = 1_000


class OrderedKeys:
    """A sorted set of keys."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        whole = sorted(set(keys))
        half = BLOCK_KEYS_MAX // 2
        self._blocks = [whole[start : start + half] for start in range(0, len(whole), half)]
        self._lasts = [block[-1] for block in self._blocks]

    def add(self, key: bytes) -> None:
        """Take a key in; one that is there already stays once."""
        if not self._blocks:
            self._blocks, self._lasts = [[key]], [key]
            return
        number = min(bisect_left(self._lasts, key), len(self._blocks) - 1)
        block = self._blocks[number]
        place = bisect_left(block, key)
        if place < len(block) and block[place] == key:
            return
        insort(block, key, lo=place, hi=place)
        self._lasts[number] = block[-1]
        if len(block) > BLOCK_KEYS_MAX:
            middle = len(block) // 2
            self._blocks[number : number + 1] = [block[:middle], block[middle:]]
            self._lasts[number : number + 1] = [block[middle - 1], block[-1]]

    def discard(self, key: bytes) -> None:
        """Take a key out, where it is in."""
        number = bisect_left(self._lasts, key)
        if number == len(self._blocks):
            return
        block = self._blocks[number]
        place = bisect_left(block, key)
        if place == len(block) or block[place] != key:
            return
        del block[place]
        if block:
            self._lasts[number] = block[-1]
        else:
            del self._blocks[number], self._lasts[number]

    def between(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[bytes]:
        """Keys from `start` to before `end`. The set must not change meanwhile."""
        if not self._blocks:
            return
        first = bisect_left(self._lasts, start)
        last = len(self._blocks) if end is None else min(bisect_left(self._lasts, end) + 1, len(self._blocks))
        numbers = range(first, last)
        for number in reversed(numbers) if reverse else numbers:
            block = self._blocks[number]
            low = bisect_left(block, start)
            high = len(block) if end is None else bisect_left(block, end)
            yield from reversed(block[low:high]) if reverse else block[low:high]
