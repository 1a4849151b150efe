"""Which keys may be in a table: a filter in memory, so that a new key needs no look into the store.

Owns: bits in memory, bounded by `LEVEL_BITS`; nothing of it is stored.
Assumes: every key of the family that is written from now on passes `seen` first, or `add`.
Guarantees: a key that was ever written is never called new, whatever was rolled back meanwhile; a new key may be
called known (then the store has the word). The share of those grows with the keys beyond `BITS_A_KEY` bits each,
and nothing else does: the filter stays correct for ever.

One probe a key, by Python's own hash: the filter never leaves its process. After a start the keys that stand in
the store are taken in part by part (`load`); until all are, every key is called known.
"""

from tables.partition import prefix_end
from tables.store import Store

LEVEL_BITS = (1 << 20, 1 << 24, 1 << 27)
"""Bits of the filters that follow one another as keys come: 18 MiB when all are in use."""

BITS_A_KEY = 16


class _Level:
    __slots__ = ("bits", "mask", "room")

    def __init__(self, size: int) -> None:
        self.bits = bytearray(size >> 3)
        self.mask = size - 1
        self.room = size // BITS_A_KEY


class KnownKeys:
    """The keys of one family of a table partition that may be known."""

    __slots__ = ("_bits", "_end", "_levels", "_mask", "_older", "_room", "_sizes", "_store", "_unread")

    def __init__(self, store: Store, family: bytes, level_bits: tuple[int, ...] = LEVEL_BITS) -> None:
        self._sizes = iter(level_bits)
        self._levels: list[_Level] = []
        self._grow()
        self._store = store
        self._unread: bytes | None = family
        self._end = prefix_end(family)

    @property
    def complete(self) -> bool:
        """Whether all keys of the store are taken in."""
        return self._unread is None

    def _grow(self) -> None:
        size = next(self._sizes, None)
        if size is not None:
            self._levels.append(_Level(size))
            self._older = self._levels[-2::-1]
        level = self._levels[-1]
        self._bits, self._mask = level.bits, level.mask
        # The last level takes all that comes.
        self._room = level.room if size is not None else 1 << 62

    def seen(self, key: bytes) -> bool:
        """Whether `key` may be known; from now on it is."""
        hashed = hash(key)
        place = hashed & self._mask
        bits, byte, bit = self._bits, place >> 3, 1 << (place & 7)
        if bits[byte] & bit:
            return True
        for level in self._older:
            place = hashed & level.mask
            if level.bits[place >> 3] & (1 << (place & 7)):
                return True
        bits[byte] |= bit
        self._room -= 1
        if not self._room:
            self._grow()
        return self._unread is not None

    def load(self, keys_max: int) -> None:
        """Take in up to `keys_max` more keys of the store, as it is now."""
        if self._unread is None:
            return
        for count, (key, _) in enumerate(self._store.scan(self._unread, self._end)):
            if count == keys_max:
                self._unread = key
                return
            self.seen(key)
        self._unread = None
