"""A Faust table over a table partition of the embedded log, beside the log's records in the same database.

Owns: the contents of a table, by partition, and how far into its changelog each partition has come.
Assumes: keys that start with a zero byte are notes about a partition, never keys of a table.
Guarantees: a batch of changelog records and the note of its last offset are one write, so a partition is never
ahead of what it holds (P7). A stage writes its table itself, in the commit of its step; this store restores it
from the changelog when it is gone, and shows it to Faust.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faust.stores.base import SerializedStore
from faust.streams import current_event

from connectors.embedded.layout import LogRecord
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.shared import log_of
from schemas.changelog import RESTORED_KEY, changes_of, decode_offset, encode_offset

RESTORE_RECORDS_MAX = 5_000
RESTORE_BYTES_MAX = 4 * 1024 * 1024
"""Most of a changelog that is applied in one write while a partition is restored."""

TABLE_OPTION = "table"
"""In `options` of a Faust table: the name of the log's table, where it is not that of the App and the table."""

_BACK_UP_THE_FOLDER = (
    "expected the data folder to be backed up as a whole, found a backup of one table partition"
)


class EmbeddedStore(SerializedStore):  # type: ignore[misc]
    """The store of the entry point `embedded`; `embedded:///folder`, or `embedded://` for the App's own log."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        own = self.app.transport.embedded if len(self.url.path) < 2 else None
        self._embedded: EmbeddedLog = own or log_of(self.url)
        named = (self.options or {}).get(TABLE_OPTION)
        self._name: str = named or f"{self.app.conf.id}/{self.table_name}"

    # -- changelog ----------------------------------------------------------------------------------------------

    def persisted_offset(self, tp: Any) -> int | None:
        """The offset of the last changelog record that a partition holds."""
        stored = self._embedded.get(self._name, tp.partition, RESTORED_KEY)
        return None if stored is None else decode_offset(stored)

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Note that a partition holds the changelog up to `offset`."""
        known = self.persisted_offset(tp)
        if known is None or offset > known:
            transaction = self._embedded.transaction()
            transaction.put(self._name, tp.partition, RESTORED_KEY, encode_offset(offset))
            transaction.commit()

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Apply changelog events that Faust's own recovery read."""
        by_partition: dict[Any, list[Any]] = {}
        for event in batch:
            by_partition.setdefault(event.message.tp, []).append(event.message)
        for tp, messages in by_partition.items():
            self._apply(tp, [(message.offset, message.key, message.value) for message in messages])

    def restore_slice(self, tp: Any) -> int:
        """Apply the next part of a changelog partition straight from the log (P13); returns the records."""
        known = self.persisted_offset(tp)
        records: list[LogRecord] = self._embedded.read(
            tp.topic, tp.partition, 0 if known is None else known + 1, RESTORE_RECORDS_MAX, RESTORE_BYTES_MAX
        )
        if records:
            self._apply(tp, [(record.offset, record.key, record.value) for record in records])
        return len(records)

    def _apply(self, tp: Any, records: list[tuple[int, bytes | None, bytes | None]]) -> None:
        transaction = self._embedded.transaction()
        for offset, record_key, record_value in records:
            if record_key is None:
                raise TypeError(f"expected a key in {tp.topic}/{tp.partition} at {offset}, found none")
            for key, value in changes_of(record_key, record_value):
                if value is None:
                    transaction.delete(self._name, tp.partition, key)
                else:
                    transaction.put(self._name, tp.partition, key, value)
        transaction.put(self._name, tp.partition, RESTORED_KEY, encode_offset(records[-1][0]))
        transaction.commit()

    # -- contents -----------------------------------------------------------------------------------------------

    def _partitions(self) -> Iterable[int]:
        """The partition of the event that is worked on; outside of a stream, all of them."""
        event = current_event()
        if event is not None and not self.table.is_global and not self.table.use_partitioner:
            return (event.message.partition,)
        topic = self._embedded.topics().get(self.table.changelog_topic.get_topic_name())
        return range(topic.partitions if topic is not None else 0)

    def _partition_to_write(self) -> int:
        event = current_event()
        if event is None:
            raise RuntimeError("expected a table to be changed inside of a stream, found no current event")
        return int(event.message.partition)

    def _get(self, key: bytes) -> bytes | None:
        for partition in self._partitions():
            value = self._embedded.get(self._name, partition, key)
            if value is not None:
                return value
        return None

    def _set(self, key: bytes, value: bytes | None) -> None:
        transaction = self._embedded.transaction()
        partition = self._partition_to_write()
        if value is None:
            transaction.delete(self._name, partition, key)
        else:
            transaction.put(self._name, partition, key, value)
        transaction.commit()

    def _del(self, key: bytes) -> None:
        self._set(key, None)

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for partition in self._partitions():
            yield from self._embedded.scan(self._name, partition, b"\x01")

    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _ in self._iteritems())

    def _itervalues(self) -> Iterator[bytes | None]:
        return (value for _, value in self._iteritems())

    def _size(self) -> int:
        return sum(1 for _ in self._iteritems())

    def _clear(self) -> None:
        for partition in self._partitions():
            transaction = self._embedded.transaction()
            for key, _ in self._embedded.scan(self._name, partition, b""):
                transaction.delete(self._name, partition, key)
            transaction.commit()

    def reset_state(self) -> None:
        """Nothing is kept outside of the log."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Refused: one backup of the data folder holds log, tables and offsets as they belong together."""
        raise NotImplementedError(_BACK_UP_THE_FOLDER)

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:
        """Refused, as `backup_partition`."""
        raise NotImplementedError(_BACK_UP_THE_FOLDER)
