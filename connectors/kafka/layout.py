"""Which topics of a cluster are in force: the layout, one record in a compacted topic of its own.

A log that moves to another number of partitions gets topics of another *generation*, made beside those in force
(`Link.topic` says what they are called). The record that names a generation is what puts it in force.

Guarantees: the change is one record in one transaction, so that everybody reads the layout before it or after it; of two
that would change it the earlier one is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

import msgspec
from confluent_kafka import KafkaException, Producer

from connectors.kafka.errors import LinkError, TopicError
from connectors.kafka.link import Link
from connectors.kafka.reader import TopicReader
from connectors.kafka.topics import TopicPlan, ensure_topics, partition_counts

LAYOUT_TOPIC = "pks.layout.v1"

_KEY = b"layout"
_WRITER = "pks-repartition"
_SECONDS_MAX = 60.0
_RECORDS = 1_000
_OF_A_GENERATION = re.compile(r"(?P<name>.+)\.g(?P<generation>[1-9][0-9]*)")


class Layout(msgspec.Struct, frozen=True):
    """The generation in force and its partitions (0: as the first workers made them); `book_hash` is that of the move."""

    generation: int = 0
    partitions: int = 0
    book_hash: str = ""


_decode = msgspec.json.Decoder(Layout).decode


def read_layout(link: Link) -> Layout:
    """The layout in force. Raises LinkError, and TopicError where it cannot be read."""
    if LAYOUT_TOPIC not in partition_counts(link):
        return Layout()
    reader = TopicReader(link, "pks-layout")
    try:
        found, offset = Layout(), reader.bounds(LAYOUT_TOPIC, 0)[0]
        while records := reader.read(LAYOUT_TOPIC, 0, offset, _RECORDS, 1 << 20):
            found, offset = _decode(records[-1].value or b""), records[-1].offset + 1
    except msgspec.MsgspecError as error:
        raise TopicError(f"expected {LAYOUT_TOPIC} to name a generation of topics, found: {error}") from error
    finally:
        reader.close()
    return found


def in_force(link: Link) -> Link:
    """The link to the topics in force. Raises LinkError and TopicError."""
    return replace(link, generation=read_layout(link).generation)


def generations(names: Iterable[str], found: Iterable[str]) -> dict[int, list[str]]:
    """Of the topics of a cluster those that are called after `names`, by generation."""
    known = set(names)
    by_generation: dict[int, list[str]] = {}
    for topic in found:
        match = _OF_A_GENERATION.fullmatch(topic)
        if topic in known:
            by_generation.setdefault(0, []).append(topic)
        elif match is not None and match["name"] in known:
            by_generation.setdefault(int(match["generation"]), []).append(topic)
    return by_generation


class LayoutWriter:
    """Changes the layout. Made at the start of a move: who began one before is refused from then on."""

    def __init__(self, link: Link, *, replicas: int = 1, in_sync_min: int = 1) -> None:
        plan = TopicPlan(LAYOUT_TOPIC, 1, compact=True)
        ensure_topics(link, [plan], replicas=replicas, in_sync_min=in_sync_min)
        self._producer = Producer(link.producer(transactional_id=_WRITER))
        try:
            self._producer.init_transactions(_SECONDS_MAX)
        except KafkaException as error:
            raise LinkError(f"expected to begin a move, found: {error.args[0].str()}") from error

    def write(self, layout: Layout) -> None:
        """Put a generation in force. Raises LinkError where it is not, or where it is not known whether it is."""
        try:
            self._producer.begin_transaction()
            self._producer.produce(LAYOUT_TOPIC, msgspec.json.encode(layout), _KEY, 0)
            self._commit()
        except KafkaException as error:
            raise LinkError(
                f"expected to put generation {layout.generation} of the topics in force, found: "
                f"{error.args[0].str()}; run the command again: it says so where it is in force after all"
            ) from error

    def _commit(self) -> None:
        while True:
            try:
                self._producer.commit_transaction(_SECONDS_MAX)
                return
            except KafkaException as error:
                # It may be written already: whether it is, only asking again tells.
                if not error.args[0].retriable():
                    raise
