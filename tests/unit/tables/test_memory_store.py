"""The store in memory against a plain sorted dictionary."""

import random

import pytest

from tables import ordered
from tables.ordered import OrderedKeys
from tables.store import MemoryStore


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "BLOCK_KEYS_MAX", 8)


def _key(source: random.Random) -> bytes:
    return bytes([source.choice(b"abc")]) + bytes(source.randrange(3) for _ in range(source.randrange(4)))


@pytest.mark.parametrize("seed", range(4))
def test_scans_like_a_sorted_dictionary(seed: int):
    source = random.Random(seed)
    store, plain = MemoryStore(), {}
    for number in range(3_000):
        key = _key(source)
        value = None if source.random() < 0.4 else b"%d" % number
        store.write({key: value})
        if value is None:
            plain.pop(key, None)
        else:
            plain[key] = value
        assert store.get(key) == value
        if number % 10 == 0:
            start, end = _key(source), source.choice([None, _key(source)])
            reverse = source.random() < 0.5
            inside = sorted(
                item for item in plain.items() if item[0] >= start and (end is None or item[0] < end)
            )
            expected = inside[::-1] if reverse else inside
            assert list(store.scan(start, end, reverse=reverse)) == expected


def test_a_family_that_is_scanned_while_empty_is_put_in_order_later():
    store = MemoryStore()
    assert list(store.scan(b"a", b"b")) == []
    store.write({b"a2": b"", b"a1": b""})
    assert [key for key, _ in store.scan(b"a", b"b")] == [b"a1", b"a2"]
    assert [key for key, _ in store.scan(b"")] == [b"a1", b"a2"]


def test_keys_split_into_blocks_and_blocks_that_empty_go():
    keys = OrderedKeys()
    wanted = [b"%03d" % number for number in range(100)]
    for key in reversed(wanted):
        keys.add(key)
        keys.add(key)
    assert list(keys.between(b"", None)) == wanted
    assert list(keys.between(b"010", b"020", reverse=True)) == wanted[10:20][::-1]
    for key in wanted[:99]:
        keys.discard(key)
        keys.discard(b"none")
    assert list(keys.between(b"", None)) == [b"099"]
    keys.discard(b"099")
    assert list(keys.between(b"", None)) == []
