"""What must hold whenever the system is at rest.

Each check stands for a promise; the first one that is broken raises `Violation`. What was checked at one point of
rest is not read again at the next: only what has come since, or all of a partition where a power cut took something
back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from agents import positions, trade_capture
from agents.counters import read_counts
from agents.stage import Stage
from domain.lots.reference import Figures, residuals
from schemas import events
from schemas.changelog import changes_of
from schemas.frames import BadEvent, wire
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.topics import (
    BOOKING_DEAD_LETTERS,
    BOOKINGS,
    FILL_DEAD_LETTERS,
    FILLS,
    INSTRUMENTS,
    POSITIONS,
    REJECTIONS,
    Topic,
)
from topology.log_reading import table_partition
from topology.simulation.books import CommittedBooks
from topology.simulation.log import SimulatedLog, SimulatedRecord
from topology.simulation.model import COUNTED, CaptureModel, PositionModel
from topology.simulation.senders import Senders
from topology.simulation.shadow import Shadow
from topology.simulation.violation import Violation
from topology.simulation.worker import TICKS_MAX
from topology.simulation.workload import LATE_INSTRUMENT

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_State = TypeVar("_State")
_DayClosed: Any = wire(events.DayClosed)


def _equal(check: str, expected: object, found: object) -> None:
    if expected != found:
        raise Violation(check, f"expected {expected!s:.300}, found {found!s:.300}")


class Followed(Generic[_State]):
    """What was made of a topic partition so far; begun again where records were taken back."""

    def __init__(self, begin: Callable[[], _State]) -> None:
        self._begin = begin
        self._last: SimulatedRecord | None = None
        self.state = begin()

    def fresh(self, records: Sequence[SimulatedRecord]) -> Sequence[SimulatedRecord]:
        """The records that have come since."""
        last = self._last
        start = 0
        if last is not None:
            if last.offset < len(records) and records[last.offset] is last:
                start = last.offset + 1
            else:
                self.state = self._begin()
        self._last = records[-1] if records else None
        return records[start:]


class _Said:
    """What a partition of outputs says: how many events, and their ids; the ends of days by themselves."""

    def __init__(self) -> None:
        self.number = 0
        self.ids: set[str] = set()
        self.days: set[str] = set()


class Oracle:
    """Holds a world at rest against every promise."""

    def __init__(
        self, log: SimulatedLog, stages: tuple[Stage, ...], partitions: int, senders: Senders
    ) -> None:
        self._log = log
        self._stages = stages
        self._numbers = range(partitions)
        self._senders = senders
        self._books = CommittedBooks(log, partitions)
        self._model = PositionModel()
        self._capture = [Followed(lambda: CaptureModel(TICKS_MAX)) for _ in self._numbers]
        self._outputs = {
            topic: [Followed(_Said) for _ in self._numbers]
            for topic in (BOOKINGS, POSITIONS, FILL_DEAD_LETTERS, REJECTIONS, BOOKING_DEAD_LETTERS)
        }
        self._changelogs: dict[tuple[str, int], Followed[dict[bytes, bytes]]] = {
            (stage.name, number): Followed(dict) for stage in stages for number in self._numbers
        }
        self._shadows = [
            Followed(lambda number=number: Shadow(positions.stage(), number, partitions))  # type: ignore[misc]
            for number in self._numbers
        ]

    def _records(self, topic: str, partition: int) -> list[SimulatedRecord]:
        return self._log.records.get((topic, partition), [])

    def check(self) -> None:
        """Every promise."""
        models = self._models()
        self._acknowledged(models)
        self._counted(models)
        with exact_arithmetic():
            self._positions(models)
        refused = sum(counts["refused"] for model in models for counts in model.counts.values())
        bookings, updates = (
            sum(getattr(model, name) for model in models) for name in ("bookings", "updates")
        )
        self._said(bookings, updates, refused)
        self._restored()
        self._replayed()

    # -- what came in ---------------------------------------------------------------------------------------------

    def _models(self) -> list[CaptureModel]:
        found = []
        defined_at = next(
            (
                record.sequence
                for record in self._records(INSTRUMENTS.name, 0)
                if f'"instrument-{LATE_INSTRUMENT}"'.encode() in (record.value or b"")
            ),
            None,
        )
        for number, followed in enumerate(self._capture):
            fresh = followed.fresh(self._records(FILLS.name, number))
            followed.state.take(fresh, defined_at)
            found.append(followed.state)
        return found

    def counts(self, sources: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """What capture and positions should have counted: read, duplicates, refused and waiting by source."""
        models = self._models()
        return {
            source: [
                sum(model.counts.get(source, {}).get(name, 0) for model in models)
                for name in ("read", "duplicates", "refused", "waiting")
            ]
            for source in sources
        }

    def _acknowledged(self, models: Iterable[CaptureModel]) -> None:
        arrived = set().union(*(model.arrived for model in models))
        for batch in self._senders.batches:
            if batch.acknowledged and any(fill.event_id not in arrived for fill in batch.fills):
                raise Violation("acknowledged", f"a fill of batch {batch.number} is not in the log")

    def _counted(self, models: Sequence[CaptureModel]) -> None:
        booked: dict[str, int] = {}
        for number, model in enumerate(models):
            table = table_partition(self._log, trade_capture.NAME, number)
            found = {
                source: [getattr(counts, name) for name in COUNTED]
                for source, counts in read_counts(table).items()
            }
            expected = {source: [counts[name] for name in COUNTED] for source, counts in model.counts.items()}
            for source in sorted({*expected, *found}):
                _equal(
                    f"capture counts of {source} ({', '.join(COUNTED)})",
                    expected.get(source, [0] * 5),
                    found.get(source, [0] * 5),
                )
        for number in self._numbers:
            table = table_partition(self._log, positions.NAME, number)
            for counts in read_counts(table).values():
                for name in COUNTED:
                    booked[name] = booked.get(name, 0) + getattr(counts, name)
        bookings = sum(model.bookings for model in models)
        expected_counts = [bookings, bookings, 0, 0, 0]
        _equal("positions counts", expected_counts, [booked.get(name, 0) for name in COUNTED])

    # -- the books ------------------------------------------------------------------------------------------------

    def _positions(self, models: Sequence[CaptureModel]) -> None:
        wanted = self._model.positions(models)
        found = self._books.positions(anew=True)
        missing = sorted(wanted.keys() - found.keys())
        if missing:
            raise Violation("positions", f"missing are {missing}")
        for (book, instrument), (partition, opened) in sorted(found.items()):
            _equal("partition of a position", partition_of_key(book.encode(), len(self._numbers)), partition)
            figures = wanted.get((book, instrument), Figures())
            for name, residual in residuals(opened.position, figures).items():
                if residual:
                    raise Violation("positions", f"{book}/{instrument}: {name} is off by {residual}")

    # -- what went out --------------------------------------------------------------------------------------------

    def _said(self, bookings: int, updates: int, refused: int) -> None:
        numbers: dict[Topic, int] = {}
        for topic, partitions in self._outputs.items():
            for number, followed in enumerate(partitions):
                fresh = followed.fresh(self._records(topic.name, number))
                self._take(topic, number, fresh, followed.state)
            said = [followed.state for followed in partitions]
            numbers[topic] = sum(one.number for one in said)
            # The same fill refused twice is one rejection said twice; every other output is said once.
            if topic is not REJECTIONS:
                ids: set[str] = set().union(*(one.ids for one in said))
                _equal(f"different ids of {topic.name}", numbers[topic], len(ids))
        _equal(f"events of {BOOKINGS.name}", bookings, numbers[BOOKINGS])
        _equal(f"events of {FILL_DEAD_LETTERS.name}", refused, numbers[FILL_DEAD_LETTERS])
        _equal(f"events of {BOOKING_DEAD_LETTERS.name}", 0, numbers[BOOKING_DEAD_LETTERS])
        # One for each booking, and two where it moves a trade between instruments of a book.
        _equal(f"events of {POSITIONS.name}", updates, numbers[POSITIONS])

    def _take(self, topic: Topic, number: int, records: Iterable[SimulatedRecord], said: _Said) -> None:
        for record in records:
            for event in topic.codec.decode_each(record.value or b""):
                if isinstance(event, BadEvent):
                    raise Violation("outputs", f"an event of {topic.name} cannot be read")
                if isinstance(event, _DayClosed):
                    # Told by the clock, for no fill; positions pass it on.
                    if event.event_id in said.days:
                        raise Violation("outputs", f"{topic.name} says twice that {event.event_id} is over")
                    said.days.add(event.event_id)
                    continue
                said.number += 1
                said.ids.add(event.event_id)
                if topic is FILL_DEAD_LETTERS:
                    self._original(event)
                elif topic in (BOOKINGS, POSITIONS):
                    wanted = partition_of_key(event.book.encode(), len(self._numbers))
                    _equal(f"partition of an event of {topic.name}", wanted, number)

    def _original(self, letter: Any) -> None:
        value = self._records(letter.topic, letter.partition)[letter.offset].value or b""
        try:
            original = bytes(_split(value)[letter.index])
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError):
            original = value
        _equal(f"bytes of dead letter {letter.event_id}", original, letter.original)

    # -- what can be made again -----------------------------------------------------------------------------------

    def _restored(self) -> None:
        for stage in self._stages:
            for number in self._numbers:
                followed = self._changelogs[stage.name, number]
                fresh = followed.fresh(self._records(stage.changelog, number))
                rebuilt = followed.state
                for record in fresh:
                    for key, value in changes_of(record.key or b"", record.value):
                        if value is None:
                            rebuilt.pop(key, None)
                        else:
                            rebuilt[key] = value
                kept = dict(self._log.scan(stage.table.name, number, b"\x01"))
                if rebuilt != kept:
                    differing = {key for key in {*rebuilt, *kept} if rebuilt.get(key) != kept.get(key)}
                    raise Violation(
                        "changelog", f"{stage.name}/{number} makes another table: {len(differing)} keys"
                    )

    def _replayed(self) -> None:
        """The positions stage over the same bookings gives the same books and updates, byte for byte."""
        for number, followed in enumerate(self._shadows):
            fresh = followed.fresh(self._records(BOOKINGS.name, number))
            followed.state.step(fresh)
            updates = self._records(POSITIONS.name, number)
            difference = followed.state.difference(self._log, self._books, updates)
            if difference:
                raise Violation("replay", difference)
