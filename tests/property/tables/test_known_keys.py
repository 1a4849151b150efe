"""The filter of known keys against a set: it may err to the careful side only."""

from hypothesis import given
from hypothesis import strategies as st

from tables.known_keys import BITS_A_KEY, KnownKeys
from tables.store import MemoryStore

TINY = (1 << 7, 1 << 9)
KEYS = st.binary(max_size=3).map(lambda rest: b"t" + rest)


def _stored(keys: set[bytes]) -> MemoryStore:
    store = MemoryStore()
    store.write(dict.fromkeys(keys, b""))
    return store


@given(st.sets(KEYS), st.lists(KEYS | st.integers(1, 5)))
def test_no_key_that_was_written_is_called_new(before: set[bytes], steps: list[bytes | int]) -> None:
    """Some keys stand in the store; between loads of a few (a number), keys come (bytes)."""
    store = _stored(before)
    known, written = KnownKeys(store, b"t", TINY), set(before)
    for step in steps:
        if isinstance(step, int):
            known.load(step)
            continue
        if not known.seen(step):
            assert step not in written
        written.add(step)
        store.write({step: b""})
    known.load(1_000)
    assert known.complete
    assert all(known.seen(key) for key in written)


@given(st.sets(KEYS, min_size=1))
def test_a_restart_knows_what_was_stored(keys: set[bytes]) -> None:
    known = KnownKeys(_stored(keys | {b"s other family", b"u"}), b"t")
    known.load(len(keys) - 1)
    assert not known.complete
    assert known.seen(b"t never written"), "until all are taken in, every key may be known"
    known.load(len(keys) + 1)
    assert known.complete
    assert all(known.seen(key) for key in keys)


def test_new_keys_are_mostly_called_new_and_memory_stays_bounded() -> None:
    known = KnownKeys(MemoryStore(), b"t", (1 << 10, 1 << 14))
    known.load(1)
    room = ((1 << 10) + (1 << 14)) // BITS_A_KEY
    mistaken = sum(known.seen(b"t%d" % number) for number in range(room))
    assert mistaken < room * 0.12
    size = sum(len(level.bits) for level in known._levels)
    for number in range(room, 4 * room):
        known.seen(b"t%d" % number)
    assert sum(len(level.bits) for level in known._levels) == size == ((1 << 10) + (1 << 14)) // 8
    assert all(known.seen(b"t%d" % number) for number in range(4 * room))
