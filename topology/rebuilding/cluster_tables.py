"""Tables as changelogs of a cluster: written as they are, and read back.

Guarantees: who restores a table partition from what is written has the keys of the table, and goes on where its inputs
are said to be consumed; what stands in the changelog is held against the table, key by key.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Producer

from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from connectors.kafka.bulk import BulkSender
from connectors.kafka.changelog import ChangelogReader
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link
from connectors.kafka.log import INPUTS_KEY, consumed_changes
from schemas.changelog import PACKED_KEY, pack_changes
from topology.log import Tables
from topology.step_output import packed

_KEYS_A_RECORD = 5_000
_SECONDS = 60.0
_KEYS_FROM = b"\x01"
"""What a partition notes about itself begins with a zero byte."""


class ChangelogWriter:
    """Writes tables to the changelogs of a generation of topics."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._sender = BulkSender(Producer(link.producer(linger_ms=5)))

    def write(self, stage: Stage, tables: Tables, partition: int, consumed: Mapping[str, int]) -> None:
        """One table partition; `consumed` is how far it has consumed each input. Raises LinkError."""
        changelog, number = self._link.topic(stage.changelog), 0
        for page in _pages(tables.scan(stage.table.name, partition, _KEYS_FROM)):
            for value in packed(page):
                # Another key each, and none that a step has: compaction keeps all of them.
                key = PACKED_KEY + b"/moved" + number.to_bytes(8, "big")
                self._sender.send(changelog, partition, key, value)
                number += 1
        notes = chain.from_iterable(consumed_changes(consumed).items())
        self._sender.send(changelog, partition, INPUTS_KEY, pack_changes(list(notes)))
        lost, said = self._sender.settle(_SECONDS)
        if lost:
            raise LinkError(
                f"expected {changelog} to be written, found {lost} records that were not acknowledged ({said}); the old "
                "topics stand: run the command again"
            )


def _pages(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[list[bytes | None]]:
    page: list[bytes | None] = []
    for key, value in pairs:
        page += (key, value)
        if len(page) >= 2 * _KEYS_A_RECORD:
            yield page
            page = []
    if page:
        yield page


class RestoredTables:
    """The tables of a generation of topics, restored from its changelogs into a folder that goes with this."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._folder = TemporaryDirectory(prefix="pks-restored-")
        self.log = EmbeddedLog.owner(Path(self._folder.name), sync="os")

    def restore(self, stage: Stage, partitions: int, expected: Tables) -> None:
        """Restore the table of a stage. Raises LinkError where it is not the expected one."""
        name = self._link.topic(stage.changelog)
        reader = ChangelogReader(
            self._link, group="pks-repartition", topic=name, table=stage.table.name, state=self.log
        )
        try:
            for partition in range(partitions):
                reader.catch_up(partition)
                pairs = zip_longest(
                    self.log.scan(stage.table.name, partition, _KEYS_FROM),
                    expected.scan(stage.table.name, partition, _KEYS_FROM),
                )
                wrong = next((pair for pair in pairs if pair[0] != pair[1]), None)
                if wrong is not None:
                    raise LinkError(
                        f"expected {name}/{partition} to hold the table that was written, found {wrong[0]} in the place of "
                        f"{wrong[1]}; the old topics stand: run the command again"
                    )
        finally:
            reader.close()

    def close(self) -> None:
        """Remove them."""
        self.log.close()
        self._folder.cleanup()
