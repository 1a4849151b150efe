"""Dead letters: what could not be applied, why, and what an operator did with it.

Owns: the fields of a dead letter's document, and how one is resolved (sent again, or dropped).
Guarantees: the original goes out as it came, together with its resolution, in one write; what is resolved stays
resolved, so that doing it again changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.lots.documents import Document
from schemas import events, topics
from schemas.frames import BadEvent, encode_frames, wire
from schemas.identity import derived_id
from schemas.murmur2 import partition_of_key
from schemas.times import Nanoseconds, format_time
from schemas.topics import Topic
from topology.control.protocol import Outgoing
from topology.log_reading import ReadLog, StoredRecord, read_events

DEAD_LETTER_TOPICS = (
    topics.FILL_DEAD_LETTERS,
    topics.BOOKING_DEAD_LETTERS,
    topics.STAGE_DEAD_LETTERS,
    topics.SINK_DEAD_LETTERS,
)
LISTED_BYTES_MAX = 4_096
"""Most bytes of an original that a list shows; one letter alone is shown whole."""

OPEN, RETRIED, DROPPED = "open", "retried", "dropped"

_DeadLetterResolved: Any = wire(events.DeadLetterResolved)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: its document, its event (which holds the original bytes), and the topic that it is in."""

    document: Document
    event: Any
    topic: Topic

    @property
    def status(self) -> str:
        """`open`, `retried` or `dropped`."""
        return str(self.document["status"])


def dead_letters_document(
    log: ReadLog,
    partitions: int,
    *,
    stage: str | None = None,
    kind: str | None = None,
    status: str | None = None,
    trade_id: str | None = None,
) -> list[Document]:
    """Dead letters in the order of their coming; long originals are cut (`original_cut`)."""
    wanted = {"stage": stage, "kind": kind, "status": status, "trade_id": trade_id}
    chosen: list[Document] = []
    for topic in DEAD_LETTER_TOPICS:
        for partition in range(topic.partitions(partitions)):
            chosen.extend(
                letter.document
                for letter in _letters(log, topic, partition).values()
                if all(value is None or letter.document[name] == value for name, value in wanted.items())
            )
    return sorted(chosen, key=lambda letter: letter["sequence"])


def find_dead_letter(log: ReadLog, partitions: int, identity: str) -> Letter | None:
    """A dead letter by its id; None where there is none."""
    for topic in DEAD_LETTER_TOPICS:
        partition = partition_of_key(identity.encode(), topic.partitions(partitions))
        found = _letters(log, topic, partition, identity).get(identity)
        if found is not None:
            return found
    return None


def _letters(log: ReadLog, topic: Topic, partition: int, identity: str | None = None) -> dict[str, Letter]:
    """The letters of a topic partition by id, or the one of an id; its event only where it is one."""
    found: dict[str, Letter] = {}
    for record, event in read_events(log, topic, partition):
        resolved = isinstance(event, _DeadLetterResolved)
        name = event.dead_letter_id if resolved else event.event_id
        if identity not in (None, name):
            continue
        if resolved:
            if name in found:
                found[name].document["status"] = event.action
        elif name not in found:
            cut = LISTED_BYTES_MAX if identity is None else None
            document = dead_letter_fields(record, topic, event) | original_fields(event.original, cut)
            found[name] = Letter(document, None if identity is None else event, topic)
    return found


def dead_letter_fields(record: StoredRecord, topic: Topic, letter: Any) -> Document:
    """The fields of a dead letter, but for its bytes."""
    return {
        "id": letter.event_id,
        "status": OPEN,
        "kind": letter.kind,
        "reason": letter.reason,
        "field": letter.field,
        "expected": letter.expected,
        "found": letter.found,
        "trade_id": letter.trade_id,
        "stage": letter.stage,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "index": letter.index,
        "dead_letter_topic": topic.name,
        "sequence": record.sequence,
        "recorded_at": format_time(record.appended_at),
    }


def original_fields(original: bytes, cut: int | None = None) -> Document:
    """Original bytes as text, or as hexadecimal digits where they are no text; cut after `cut` bytes."""
    shown = original if cut is None else original[:cut]
    fields: Document = {"original_bytes": len(original)}
    if len(shown) < len(original):
        fields["original_cut"] = True
    try:
        original.decode()
    except UnicodeDecodeError:
        return fields | {"original_hex": shown.hex()}
    return fields | {"original": shown.decode(errors="ignore")}


# -- resolving ------------------------------------------------------------------------------------------------


def retry_records(letters: Sequence[Letter], partitions: int, clock: Callable[[], int]) -> list[Outgoing]:
    """The records that send the originals of open letters again, each with its resolution."""
    records: list[Outgoing] = []
    for letter in letters:
        event = letter.event
        # What a sink's far side did not take is in its topic, and applied: the sink itself writes it again.
        if letter.topic is not topics.SINK_DEAD_LETTERS:
            records.append(Outgoing(event.topic, _partition_of(event, partitions), None, _frame_of(event)))
        records.append(_resolution(letter, RETRIED, partitions, clock))
    return records


def drop_records(letters: Sequence[Letter], partitions: int, clock: Callable[[], int]) -> list[Outgoing]:
    """The records that say that letters are dropped."""
    return [_resolution(letter, DROPPED, partitions, clock) for letter in letters]


def source_of(letter: Letter) -> str | None:
    """The source under which the stages count the original; None where it cannot be read."""
    return source_of_original(letter.event)


def source_of_original(letter: Any) -> str | None:
    """The same, of a `DeadLetter`."""
    for event in topics.TOPIC_BY_NAME[letter.topic].codec.decode_each(letter.original):
        return None if isinstance(event, BadEvent) else str(event.source)
    return None


def _partition_of(letter: Any, partitions: int) -> int:
    """Where the original goes: to its key, or, where it has none that can be read, where it stood."""
    topic = topics.TOPIC_BY_NAME[letter.topic]
    found = list(topic.codec.decode_each(letter.original))
    if len(found) != 1 or isinstance(found[0], BadEvent):
        return int(letter.partition) % topic.partitions(partitions)
    return partition_of_key(topic.key_of(found[0]).encode(), topic.partitions(partitions))


def _frame_of(event: Any) -> bytes:
    """An event's bytes as a frame of one; bytes that are no event go as they came."""
    original: bytes = event.original
    return b"[" + original + b"]" if original.lstrip()[:1] == b"{" else original


def _resolution(letter: Letter, action: str, partitions: int, clock: Callable[[], int]) -> Outgoing:
    identity = letter.event.event_id
    resolved = _DeadLetterResolved(
        event_id=derived_id(identity, action, 0),
        causation_id=identity,
        source=letter.event.source,
        dead_letter_id=identity,
        action=action,
        event_time=Nanoseconds(clock()),
    )
    partition = partition_of_key(identity.encode(), letter.topic.partitions(partitions))
    return Outgoing(letter.topic.name, partition, identity.encode(), encode_frames([resolved])[0])
