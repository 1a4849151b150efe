"""Records of the cluster's log of transactions: as Kafka 4.4.0 wrote them, and as older brokers do."""

import struct

import pytest

from connectors.kafka.transaction_log import Decision, decision_of, log_partition, writer_of

KEY = bytes.fromhex("00000011706b732d706f736974696f6e732d74776f")
DECIDED = bytes.fromhex(
    "0001000000000000000700000000ea600204"
    "18706b732d706f736974696f6e732d6368616e67656c6f67030000000200000003"
    "0017626f2e706f736974696f6e2e757064617465642e76310300000003000000020013"
    "5f5f636f6e73756d65725f6f6666736574730200000002"
    "00000001a224df9b7f000001a224df9b030100080000000000000007"
)
COMPLETE = bytes.fromhex(
    "0001000000000000000700000000ea600401000001a224dfc8c4000001a224df9b030100080000000000000007"
)


def test_a_decided_transaction_names_its_partitions() -> None:
    assert writer_of(KEY) == "pks-positions-two"
    assert decision_of(DECIDED) == Decision(
        True,
        {"pks-positions-changelog": [2, 3], "bo.position.updated.v1": [3, 2], "__consumer_offsets": [2]},
    )


def test_a_complete_one_says_nothing_any_more() -> None:
    assert decision_of(COMPLETE) is None


def test_the_older_form_of_an_abort() -> None:
    head = struct.pack(">hqhib", 0, 7, 1, 60_000, 3)
    topic = struct.pack(">ih", 1, 5) + b"fills" + struct.pack(">iii", 2, 0, 9)
    assert decision_of(head + topic + bytes(16)) == Decision(False, {"fills": [0, 9]})


def test_a_form_that_is_not_known_is_no_guess() -> None:
    with pytest.raises(ValueError, match="version 0 or 1, found 2"):
        decision_of(b"\x00\x02" + DECIDED[2:])


@pytest.mark.parametrize(
    ("writer", "partition"),
    [
        ("pks-positions-two", 0),
        ("pks-positions-one", 2),
        ("pks-trade_capture-one", 1),
        ("pks-trade_capture-two", 3),
    ],
)
def test_the_partition_of_a_writer_is_that_of_java(writer: str, partition: int) -> None:
    """As they were found in a log of four partitions."""
    assert log_partition(writer, 4) == partition
