"""The partitioner against Kafka's own vectors: `UtilsTest.testMurmur2` of org.apache.kafka.common.utils."""

import pytest

from schemas.murmur2 import murmur2, partition_of_key

KAFKA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), KAFKA.items())
def test_kafka_vectors(data: bytes, signed: int):
    assert murmur2(data) == signed & 0xFFFFFFFF


@pytest.mark.parametrize(("data", "signed"), KAFKA.items())
def test_partition_is_the_positive_hash_modulo(data: bytes, signed: int):
    for partitions in (1, 2, 4, 7, 1024):
        assert partition_of_key(data, partitions) == (signed & 0x7FFFFFFF) % partitions


def test_keys_spread_over_partitions():
    found = [partition_of_key(f"book-{number}".encode(), 8) for number in range(800)]
    assert min(found.count(partition) for partition in range(8)) > 60
