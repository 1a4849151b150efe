"""Points of the log: how a command names a moment of knowledge, and which offsets that is.

A point is a time (what was in the log by then), a sequence number of the log (everything up to and with it), or
a vector `topic:partition=offset,...` of next offsets (everything before them, as `pks book-hash` prints them). It
names a partition of the topic that is read, or it would say nothing; those of it that it leaves out are taken whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.times import format_time, parse_time
from schemas.topics import Topic
from topology.log_reading import WholeLog


class PointFault(ValueError):
    """A point that cannot be read, or that the log does not reach."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of the log: one of the three is set."""

    time_ns: int | None = None
    sequence: int | None = None
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    def __str__(self) -> str:
        """As it is written on the command line."""
        if self.time_ns is not None:
            return format_time(self.time_ns)
        if self.sequence is not None:
            return str(self.sequence)
        return ",".join(
            f"{topic}:{partition}={offset}" for (topic, partition), offset in self.offsets.items()
        )


def parse_point(text: str) -> Point:
    """A point from its text. Raises PointFault."""
    if text.isascii() and text.isdigit():
        return Point(sequence=int(text))
    if "=" in text:
        return Point(offsets=dict(_parse_place(part) for part in text.split(",")))
    try:
        return Point(time_ns=parse_time(text))
    except ValueError as error:
        raise PointFault(
            f"expected {error}, a sequence number of the log, or offsets as topic:partition=offset,...; "
            f"found {text[:80]!r}"
        ) from error


def _parse_place(part: str) -> tuple[tuple[str, int], int]:
    place, _, offset = part.strip().partition("=")
    topic, _, partition = place.rpartition(":")
    if not topic or not (
        partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()
    ):
        raise PointFault(f"expected topic:partition=offset, found {part[:80]!r}")
    return (topic, int(partition)), int(offset)


def offsets_at(
    log: WholeLog,
    point: Point,
    topic: Topic,
    partitions: int,
    named: Sequence[Topic] = (),
    missing: int | None = None,
) -> list[int]:
    """For each partition of a topic the next offset at a point: the records before it were known.

    `named` are the other topics that a vector may name; a partition that it does not name stands at `missing`
    (None: its end). Raises PointFault for a point past the end of the log, for a topic or partition that is not
    there, and for a vector without any partition of `topic`. A time past the end is the end.
    """
    ends = [log.end_offset(topic.name, partition) for partition in range(partitions)]
    if point.time_ns is not None:
        return [log.offset_after(topic.name, place, time_ns=point.time_ns) for place in range(partitions)]
    if point.sequence is not None:
        if log.sequence is None:
            raise PointFault(
                "expected a time, or offsets as topic:partition=offset,...: a cluster has no sequence over all its topics; found "
                f"{point.sequence}"
            )
        if point.sequence > log.sequence:
            raise PointFault(
                f"expected a sequence number of at most {log.sequence}, the last of this log, found {point.sequence}"
            )
        return [log.offset_after(topic.name, place, sequence=point.sequence) for place in range(partitions)]
    known = {found.name for found in (topic, *named)}
    found = list(ends) if missing is None else [missing] * partitions
    for (name, partition), offset in point.offsets.items():
        if name not in known or partition >= partitions:
            raise PointFault(
                f"expected a partition of {' or '.join(sorted(known))} from 0 to {partitions - 1}, "
                f"found {name}:{partition}"
            )
        if name == topic.name:
            if offset > ends[partition]:
                raise PointFault(
                    f"expected an offset of at most {ends[partition]} for {name}:{partition}, found {offset}"
                )
            found[partition] = offset
    if topic.name not in {name for name, _ in point.offsets}:
        raise PointFault(
            f"expected offsets of {topic.name}, as {topic.name}:0={ends[0]}, found none among {str(point)[:200]}"
        )
    return found


def is_after(point: Point | None, other: Point | None) -> bool:
    """Whether a point is after another of its kind, where nothing needs to be read to know; vectors have no order."""
    if point is None or other is None:
        return False
    if point.sequence is not None and other.sequence is not None:
        return point.sequence > other.sequence
    return point.time_ns is not None and other.time_ns is not None and point.time_ns > other.time_ns


def unnamed_partitions(point: Point, topic: Topic, partitions: Iterable[int]) -> list[int]:
    """Which partitions of a topic a vector leaves out; none, where the point is no vector."""
    if not point.offsets:
        return []
    return [partition for partition in partitions if (topic.name, partition) not in point.offsets]
