"""Topics and tables made anew beside the old ones, and put in their place in one write.

Owns: the names under which the new ones are made, what an attempt that was killed has left, and the exchange.
Assumes: the owner of the log; nobody else writes it meanwhile; the log is closed after the exchange (it still knows
the old numbers).
Guarantees: until `exchange` everybody reads the old ones, and afterwards the new ones; a kill in between leaves one or
the other, whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from rocksdict import WriteBatch

from connectors.embedded import layout
from connectors.embedded.contents import TopicDefinition
from connectors.embedded.log import EmbeddedLog
from schemas.changelog import PACKED_KEY, RESTORED_KEY, encode_offset, pack_changes

_SUFFIX = "/rebuilt"
_DISCARDED = "discarded" + _SUFFIX

Place = tuple[str, str, int]
"""A group, a topic and a partition."""


def new_name(name: str) -> str:
    """The name of a table or topic while it is made anew."""
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

    The last record of the log may be among that. So a topic of its own is left with one record, which changes nothing
    and has the sequence after it; the next exchange takes it away.
    """
    batch = WriteBatch(raw_mode=True)
    topics = log.topics()
    left = [topic for name, topic in topics.items() if name.endswith(_SUFFIX)]
    for topic in left:
        batch.delete(layout.TOPIC_PREFIX + topic.name.encode())
        _remove(batch, layout.log_prefix, topic.number)
    for name, table_number in log.tables().items():
        if name.endswith(_SUFFIX):
            batch.delete(layout.TABLE_PREFIX + name.encode())
            _remove(batch, layout.table_prefix, table_number)
    if left:
        mark = TopicDefinition(_DISCARDED, 1 + max(topic.number for topic in topics.values()), 1)
        batch.put(layout.TOPIC_PREFIX + mark.name.encode(), msgspec.json.encode(mark))
        record = layout.encode_record(
            log.sequence + 1, log.appended_at, 0, PACKED_KEY + b"discarded", pack_changes(()), ()
        )
        batch.put(layout.log_prefix(mark.number, 0) + bytes(8), record)
        log.write(batch)
    return bool(left)


def exchange(
    log: EmbeddedLog,
    *,
    topics: Sequence[str],
    tables: Iterable[str],
    forgotten: Iterable[Place] = (),
    offsets: Mapping[Place, int] | None = None,
) -> None:
    """Put new topics and tables in the place of the old ones, which are removed with the offsets of their groups.

    One write. `forgotten` are other offsets that go with them, and `offsets` those that are set.
    """
    batch = WriteBatch(raw_mode=True)
    known, numbers = log.topics(), log.tables()
    for name in topics:
        new, old = known[new_name(name)], known.get(name)
        batch.put(
            layout.TOPIC_PREFIX + name.encode(), msgspec.json.encode(msgspec.structs.replace(new, name=name))
        )
        batch.delete(layout.TOPIC_PREFIX + new.name.encode())
        if old is not None:
            _remove(batch, layout.log_prefix, old.number)
    for name in tables:
        batch.put(layout.TABLE_PREFIX + name.encode(), str(numbers[new_name(name)]).encode())
        batch.delete(layout.TABLE_PREFIX + new_name(name).encode())
        if name in numbers:
            _remove(batch, layout.table_prefix, numbers[name])
    mark = known.get(_DISCARDED)
    if mark is not None:
        batch.delete(layout.TOPIC_PREFIX + mark.name.encode())
        _remove(batch, layout.log_prefix, mark.number)
    exchanged = frozenset(topics)
    for place in (*(place for place in log.commits() if place[1] in exchanged), *forgotten):
        batch.delete(layout.offset_key(*place))
    for place, offset in (offsets or {}).items():
        batch.put(layout.offset_key(*place), offset.to_bytes(8, "big"))
    log.write(batch)


def _remove(batch: WriteBatch, prefix: Callable[[int, int], bytes], number: int) -> None:
    """Remove all partitions of a topic or table."""
    batch.delete_range(prefix(number, 0), prefix(number + 1, 0))
