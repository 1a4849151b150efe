"""Keys and records: inverse, and in order."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.embedded.layout import (
    LogRecord,
    appended_at_of,
    bytes_through,
    decode_record,
    encode_record,
    log_prefix,
    offset_key,
    offset_of,
    sequence_of,
    table_prefix,
)

blobs = st.none() | st.binary(max_size=30)
headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3).map(tuple)


@given(
    st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**60), blobs, blobs, headers
)
def test_a_record_is_read_as_it_was_stored(sequence, appended_at, before, key, value, found):
    stored = encode_record(sequence, appended_at, before, key, value, found)
    expected = LogRecord("t", 3, 5, sequence, appended_at, before, key, value, found)
    assert decode_record("t", 3, 5, stored) == expected
    assert (sequence_of(stored), appended_at_of(stored)) == (sequence, appended_at)
    assert bytes_through(stored) == before + len(stored)


@given(
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535), st.integers(0, 2**63)),
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535), st.integers(0, 2**63)),
)
def test_keys_sort_by_topic_partition_and_offset(one, other):
    first, second = (log_prefix(*place[:2]) + place[2].to_bytes(8, "big") for place in (one, other))
    assert (first < second) == (one < other)
    assert offset_of(first) == one[2]


def test_families_of_keys_never_meet():
    keys = {
        log_prefix(1, 2),
        table_prefix(1, 2),
        offset_key("g", "t", 1),
        offset_key("g", "t", 2),
        offset_key("gt", "", 1),
    }
    assert len(keys) == 5
