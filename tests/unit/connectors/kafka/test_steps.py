"""A changelog read step by step: whole steps of their owners, wherever the reading begins."""

from typing import Any

import pytest

from connectors.kafka.log import CONSUMED_KEY, INPUTS_KEY
from connectors.kafka.steps import StepReader
from connectors.kafka.succession import announcement_key, step_keys, token_of
from schemas.changelog import PACKED_KEY, pack_changes

ONE, TWO = b"1" * 16, b"2" * 16
NOTES = pack_changes([CONSUMED_KEY + b"topic", bytes(8)])

Record = tuple[bytes, bytes]


def changed(*keys: bytes) -> bytes:
    return pack_changes([part for key in keys for part in (key, b"new")])


def part(number: int, *keys: bytes) -> Record:
    """A record of a step in a transaction."""
    return PACKED_KEY + bytes(16) + number.to_bytes(4, "big"), changed(*keys)


def owned(token: bytes, place: int, *values: bytes) -> list[Record]:
    """The records of a step without a transaction."""
    return list(zip(step_keys(token, place, len(values)), values, strict=True))


def read(reader: StepReader, records: list[Record], first: int = 0) -> list[tuple[int, list[bytes]]]:
    """Offset and changed keys of the steps that have ended."""
    found: list[Any] = []
    for offset, (key, value) in enumerate(records, first):
        found += reader.take(offset, 1_000 + offset, key, value)
    return [(step.offset, [key for key, _ in step.changes]) for step in found]


def test_a_step_in_a_transaction_ends_with_what_it_consumed():
    reader = StepReader(0, None)
    records = [part(0, b"a", b"b"), part(1, b"c"), (INPUTS_KEY, NOTES), part(0, b"d")]
    assert read(reader, records) == [(2, [b"a", b"b", b"c"])]
    assert reader.place == 3, "the step that has begun is read again"


def test_slices_that_consume_nothing_end_with_the_next_or_with_all_that_is_there():
    reader = StepReader(0, None)
    assert read(reader, [part(0, b"a"), part(1, b"b"), part(0, b"c")]) == [(1, [b"a", b"b"])]
    assert reader.place == 2
    assert [(step.offset, step.appended_at) for step in reader.end()] == [(2, 1_002)]
    assert reader.place == 3
    assert reader.end() == []


def test_only_the_steps_of_the_last_owner_count():
    reader = StepReader(0, None)
    records = [
        (announcement_key(ONE), b""),
        *owned(ONE, 1, changed(b"a"), NOTES),
        (announcement_key(TWO), b""),
        *owned(ONE, 4, changed(b"late")),
        *owned(TWO, 5, changed(b"b")),
        *owned(ONE, 6, changed(b"late again")),
    ]
    assert read(reader, records) == [(2, [b"a"]), (5, [b"b"])]
    assert reader.place == 6, "what counts for nobody is not what a reader begins behind"


@pytest.mark.parametrize("place", [1, 3, 4])
def test_reading_goes_on_from_any_place_that_was_told(place: int):
    records = [
        (announcement_key(ONE), b""),
        *owned(ONE, 1, changed(b"a"), NOTES),
        (announcement_key(TWO), b""),
        *owned(ONE, 4, changed(b"late")),
        *owned(TWO, 5, changed(b"b")),
    ]
    reader = StepReader(place, token_of(records[place - 1][0]))
    found = read(reader, records[place:], place)
    assert found == ([(2, [b"a"])] if place == 1 else []) + [(5, [b"b"])]


def test_a_step_of_which_a_part_is_missing_is_not_told():
    reader = StepReader(0, ONE)
    first, _ = owned(ONE, 0, changed(b"a"), changed(b"b"))
    assert read(reader, [first]) == []
    assert (reader.end(), reader.place) == ([], 0)
