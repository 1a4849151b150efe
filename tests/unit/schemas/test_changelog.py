"""Changelog records: single keys, packed changes, and the note of how far a table has come."""

import msgspec
import pytest

from schemas.changelog import (
    PACKED_KEY,
    RESTORED_KEY,
    changes_of,
    decode_offset,
    encode_offset,
    pack_changes,
)


@pytest.mark.parametrize("value", [b"", b"v", None])
def test_a_record_of_one_key_is_that_change(value: bytes | None):
    assert list(changes_of(b"k", value)) == [(b"k", value)]


@pytest.mark.parametrize(
    "changes",
    [[], [b"k", b"v"], [b"k", None], [b"a", b"1", b"b", None, b"a", b"", b"\x00", b"\xff"]],
)
def test_packed_changes_come_back_in_order(changes: list[bytes | None]):
    pairs = list(zip(changes[::2], changes[1::2], strict=True))
    assert list(changes_of(PACKED_KEY + b"12", pack_changes(changes))) == pairs


def test_a_packed_record_without_a_value_changes_nothing():
    assert list(changes_of(PACKED_KEY, None)) == []


@pytest.mark.parametrize(
    "value",
    [b"\xc1", b"[]", msgspec.msgpack.encode([1, 2]), pack_changes([None, b"v"]), pack_changes([b"k"])],
)
def test_a_packed_record_that_is_none_is_an_error(value: bytes):
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        list(changes_of(PACKED_KEY, value))


@pytest.mark.parametrize("offset", [0, 1, 2**40, 2**64 - 1])
def test_the_note_of_an_offset(offset: int):
    assert decode_offset(encode_offset(offset)) == offset


def test_notes_and_packed_records_are_no_keys_of_a_table():
    assert PACKED_KEY[:1] == RESTORED_KEY[:1] == b"\x00"
    assert not RESTORED_KEY.startswith(PACKED_KEY)
