"""What the cluster's own log of transactions says: how the last one of a writer over a partition was decided.

Assumes: the records of `__transaction_state` as Kafka 2.0 and later write them (versions 0 and 1 of their value).
Pure, but for `last_decision`, which reads the log.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.reader import TopicReader

TRANSACTIONS_TOPIC = "__transaction_state"

_DECIDED = {2: True, 3: False}
"""The states in which a transaction is decided and its partitions are still named: to be committed, to be aborted."""

_RECORDS, _BYTES = 10_000, 1 << 24
_HEAD = struct.Struct(">hqhib")


class Decision(NamedTuple):
    """A transaction that was decided: whether to commit it, and its partitions by topic."""

    commit: bool
    partitions: Mapping[str, list[int]]


class _Reader:
    """Reads one value after another; `compact` is the encoding of version 1."""

    def __init__(self, data: bytes, start: int, compact: bool) -> None:
        self._data, self._place, self._compact = data, start, compact

    def _plain(self, form: str) -> int:
        found: int = struct.unpack_from(form, self._data, self._place)[0]
        self._place += struct.calcsize(form)
        return found

    def _variable(self) -> int:
        found = shift = 0
        while True:
            byte = self._data[self._place]
            self._place += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found

    def count(self) -> int:
        """How many elements follow; none where there is no list."""
        return max(self._variable() - 1 if self._compact else self._plain(">i"), 0)

    def number(self) -> int:
        """A number of 32 bits."""
        return self._plain(">i")

    def text(self) -> str:
        """A string."""
        length = self._variable() - 1 if self._compact else self._plain(">h")
        self._place += length
        return self._data[self._place - length : self._place].decode()

    def skip_tags(self) -> None:
        """Pass over what a later version may have added to a structure."""
        for _ in range(self._variable() if self._compact else 0):
            self._variable()
            self._place += self._variable()


def writer_of(key: bytes) -> str | None:
    """The transactional id of a record; None where it is of another kind."""
    version, length = struct.unpack_from(">hh", key)
    return key[4 : 4 + length].decode() if version == 0 else None


def decision_of(value: bytes) -> Decision | None:
    """What a record says was decided; None where it says nothing of that. Raises ValueError for a version not known."""
    version, _, _, _, state = _HEAD.unpack_from(value)
    if version not in (0, 1):
        raise ValueError(f"expected a transaction record of version 0 or 1, found {version}")
    if state not in _DECIDED:
        return None
    reader = _Reader(value, _HEAD.size, compact=version == 1)
    partitions: dict[str, list[int]] = {}
    for _ in range(reader.count()):
        topic = reader.text()
        partitions[topic] = [reader.number() for _ in range(reader.count())]
        reader.skip_tags()
    return Decision(_DECIDED[state], partitions)


def log_partition(writer: str, partitions: int) -> int:
    """The partition of the log that has a writer's records: Java's hash of its id."""
    found = 0
    for unit in struct.unpack(f"<{len(writer.encode('utf-16-le')) // 2}H", writer.encode("utf-16-le")):
        found = (31 * found + unit) & 0xFFFFFFFF
    signed = found - (1 << 32) if found >> 31 else found
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions


def last_decision(
    link: Link, writer: str, topic: str, partition: int, log_partitions: int
) -> Decision | None:
    """How the last transaction of a writer that wrote to a topic partition was decided; None where none is known.

    Raises LinkError.
    """
    reader = TopicReader(link, "pks-transactions")
    try:
        place = log_partition(writer, log_partitions)
        offset, end = reader.bounds(TRANSACTIONS_TOPIC, place)
        found = None
        while offset < end:
            records = reader.read(TRANSACTIONS_TOPIC, place, offset, _RECORDS, _BYTES)
            if not records:
                break
            offset = records[-1].offset + 1
            for record in records:
                if not record.key or not record.value or writer_of(record.key) != writer:
                    continue
                decision = decision_of(record.value)
                if decision is not None and partition in decision.partitions.get(topic, ()):
                    found = decision
        return found
    except ValueError as error:
        raise LinkError(f"{TRANSACTIONS_TOPIC}: {error}; this version of the brokers is not known") from error
    finally:
        reader.close()
