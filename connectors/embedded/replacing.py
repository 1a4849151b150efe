"""A stage's table and changelog made anew beside the old ones, and put in their place in one write.

Owns: the names under which the new ones are made, what an attempt that was killed has left, and the exchange.
Assumes: the owner of the log; nobody else writes it meanwhile; the log is closed after the exchange (it still knows
the old numbers).
Guarantees: until `exchange` everybody reads the old table and changelog, and afterwards the new ones; a kill in
between leaves one or the other, whole.
"""

from collections.abc import Callable

import msgspec
from rocksdict import WriteBatch

from connectors.embedded import layout
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset, pack_changes

_SUFFIX = "/rebuilt"


def new_name(name: str) -> str:
    """The name of a table or changelog while it is made anew."""
    return name + _SUFFIX


def end_changelog(log: EmbeddedLog, table: str, changelog: str) -> None:
    """Close a new changelog with a record that changes nothing.

    The old changelog may hold the last record of the whole log. When it is gone, this one does: sequences go on from
    it, and how far the log was synced is found in it again.
    """
    transaction = log.transaction()
    offset = transaction.append(new_name(changelog), 0, PACKED_KEY + b"rebuilt", pack_changes(()))
    transaction.put(new_name(table), 0, RESTORED_KEY, encode_offset(offset))
    transaction.commit()


def discard_unfinished(log: EmbeddedLog) -> bool:
    """Remove what an attempt that was killed has left. Where there was something, the log must be opened again.

    The last record of the log may be among that. So each new changelog is left with one record, which changes nothing
    and has the sequence after it.
    """
    batch = WriteBatch(raw_mode=True)
    topics, sequence = log.topics(), log.sequence
    number = max((topic.number for topic in topics.values()), default=0)
    left = [topic for name, topic in topics.items() if name.endswith(_SUFFIX)]
    for topic in left:
        number, sequence = number + 1, sequence + 1
        _remove(batch, layout.log_prefix, topic.number)
        again = msgspec.structs.replace(topic, number=number)
        batch.put(layout.TOPIC_PREFIX + topic.name.encode(), msgspec.json.encode(again))
        mark = layout.encode_record(
            sequence, log.appended_at, 0, PACKED_KEY + b"discarded", pack_changes(()), ()
        )
        batch.put(layout.log_prefix(number, 0) + bytes(8), mark)
    for name, table_number in log.tables().items():
        if name.endswith(_SUFFIX):
            batch.delete(layout.TABLE_PREFIX + name.encode())
            _remove(batch, layout.table_prefix, table_number)
    if left:
        log.write(batch)
    return bool(left)


def exchange(log: EmbeddedLog, table: str, changelog: str) -> None:
    """Put the new table and changelog in the place of the old ones, which are removed; one write."""
    batch = WriteBatch(raw_mode=True)
    topics, tables = log.topics(), log.tables()
    new_topic, new_number = topics[new_name(changelog)], tables[new_name(table)]
    old_topic, old_number = topics.get(changelog), tables.get(table)
    renamed = msgspec.structs.replace(new_topic, name=changelog)
    batch.put(layout.TOPIC_PREFIX + changelog.encode(), msgspec.json.encode(renamed))
    batch.delete(layout.TOPIC_PREFIX + new_topic.name.encode())
    batch.put(layout.TABLE_PREFIX + table.encode(), str(new_number).encode())
    batch.delete(layout.TABLE_PREFIX + new_name(table).encode())
    if old_topic is not None:
        _remove(batch, layout.log_prefix, old_topic.number)
    if old_number is not None:
        _remove(batch, layout.table_prefix, old_number)
    log.write(batch)


def _remove(batch: WriteBatch, prefix: Callable[[int, int], bytes], number: int) -> None:
    """Remove all partitions of a topic or table."""
    batch.delete_range(prefix(number, 0), prefix(number + 1, 0))
