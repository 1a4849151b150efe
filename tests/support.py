"""What tests share: builders of events, waiting without sleeping, and `Books`, both stages over a folder."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import native
from agents import positions, trade_capture
from agents.open_position import OpenPosition, scan_positions
from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from domain.book_hash import BookHash, position_digest
from schemas import events, money, reference
from schemas.frames import BadEvent, encode_frames, wire
from schemas.identity import content_id
from schemas.murmur2 import partition_of_key
from schemas.numbers import exact_arithmetic
from schemas.topics import (
    BOOKINGS,
    BOOKS,
    FILL_DEAD_LETTERS,
    FILLS,
    INSTRUMENTS,
    POSTING_RULES,
    ROUTING_RULES,
    TOPIC_BY_NAME,
    Topic,
)
from schemas.units import Side
from tables.partition import TablePartition
from topology.drive import run_until_idle
from topology.log import LogStore
from topology.runtime import PartitionRunner, StepReport
from topology.stages import build_runners, create_topics

FillEvent = wire(events.FillEvent)
TradeBooked = wire(events.TradeBooked)
LifecycleEventApplied = wire(events.LifecycleEventApplied)
ClockTick = wire(events.ClockTick)
DayClosed = wire(events.DayClosed)
Fee = wire(events.Fee)
Instrument = wire(reference.Instrument)
Book = wire(reference.Book)
RoutingRule = wire(reference.RoutingRule)
PostingRules = wire(money.PostingRules)

MONDAY = 1_767_571_200_000_000_000
"""2026-01-05T00:00:00Z, a Monday: the origin of times in tests."""

SECOND = 1_000_000_000


def plain_code() -> Any:
    """Only plain Python runs while this is entered: what is patched into the plain code then takes effect."""
    twins = dict.fromkeys(("capture", "positions", "ledger", "cash"), lambda: None)
    return patch.multiple(native, frames=lambda event_class: None, **twins)


def eventually(predicate: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Wait until `predicate` gives something true, and return it; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"expected {predicate} to come true within {timeout} s, found {found!r}")
        time.sleep(0.005)


def soak_minutes() -> float:
    """How long one soak test may take: `make soak MINUTES=...`."""
    return float(os.environ.get("PKS_SOAK_MINUTES", "10"))


def soak_kills(seconds_a_kill: float = 3.0) -> int:
    """How many kills a soak test makes: `make soak KILLS=...`, as far as its minutes go."""
    wanted = int(os.environ.get("PKS_SOAK_KILLS", "100"))
    return max(1, min(wanted, int(60 * soak_minutes() / seconds_a_kill)))


def fill(trade_id: str = "t1", quantity: str | int = 10, price: str | int = 100, **fields: Any) -> Any:
    """A fill of book B1 in X; a negative quantity sells. `at` is seconds after `MONDAY`, else 0."""
    amount = Decimal(quantity)
    values: dict[str, Any] = {
        "trade_id": trade_id,
        "book": "B1",
        "instrument": "X",
        "side": Side.BUY if amount > 0 else Side.SELL,
        "quantity": abs(amount),
        "price": Decimal(price),
        "executed_at": MONDAY + int(fields.pop("at", 0) * SECOND),
        "source": "test",
        **fields,
    }
    values.setdefault("event_id", content_id("fill", *(f"{name}={values[name]}" for name in sorted(values))))
    return FillEvent(**values)


def booked(trade_id: str = "t1", quantity: str | int = 10, price: str | int = 100, **fields: Any) -> Any:
    """A booked trade of B1 in X; quantity is signed. `at` as in `fill`."""
    values: dict[str, Any] = {
        "trade_id": trade_id,
        "book": "B1",
        "instrument": "X",
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "executed_at": MONDAY + int(fields.pop("at", 0) * SECOND),
        "source": "test",
        **fields,
    }
    values.setdefault(
        "event_id", content_id("booked", *(f"{name}={values[name]}" for name in sorted(values)))
    )
    return TradeBooked(**values)


def fill_key(event: Any) -> str:
    """The key of a fill: its trade's id."""
    return event.original_trade_id or event.trade_id


class Books:
    """Both stages over an embedded log in `folder`: append, run until idle, look."""

    def __init__(
        self,
        folder: Path,
        *,
        partitions: int = 1,
        waiting_max: int = 100,
        waiting_ticks_max: int = 3,
        stages: Sequence[Stage] | None = None,
        sync: Any = "os",
        clock: Callable[[], int] = time.time_ns,
        observers: Sequence[Callable[[PartitionRunner, StepReport], None]] = (),
    ) -> None:
        self.folder = folder
        self.partitions = partitions
        self.stages = stages or (
            trade_capture.stage(waiting_max, waiting_ticks_max),
            positions.stage(),
        )
        self._sync = sync
        self._clock = clock
        self._observers = observers
        self.open()

    def open(self) -> None:
        """Own the folder."""
        self.log = EmbeddedLog.owner(self.folder, sync=self._sync, clock=self._clock)
        create_topics(self.log, self.stages, self.partitions)
        self.runners = build_runners(self.stages, self.log, self.partitions, self._observers)

    def close(self) -> None:
        """Give the folder up."""
        self.log.close()

    def reopen(self) -> None:
        """Close, and open again from what is stored: nothing in memory survives."""
        self.close()
        self.open()

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in -------------------------------------------------------------------------------------------------------

    def append(self, topic: Topic, key: str | None, values: Iterable[bytes]) -> None:
        """Append records to the partition of a key (None: partition 0)."""
        partition = 0
        if key is not None and topic.partitioned:
            partition = partition_of_key(key.encode(), self.partitions)
        transaction = self.log.transaction()
        for value in values:
            transaction.append(topic.name, partition, None if key is None else key.encode(), value)
        transaction.commit()

    def append_events(self, topic: Topic, found: Iterable[Any], key_of: Callable[[Any], str]) -> None:
        """Append events, a frame for each run of events of one partition."""
        parts: dict[int, list[Any]] = {}
        for event in found:
            partition = partition_of_key(key_of(event).encode(), self.partitions) if topic.partitioned else 0
            parts.setdefault(partition, []).append(event)
        transaction = self.log.transaction()
        for partition, content in parts.items():
            for frame in encode_frames(content):
                transaction.append(topic.name, partition, None, frame)
        transaction.commit()

    def fills(self, *found: Any) -> None:
        """Append fills, in order."""
        self.append_events(FILLS, found, fill_key)

    def bookings(self, *found: Any) -> None:
        """Append bookings, past capture."""
        self.append_events(BOOKINGS, found, lambda event: event.book)

    def define(self, *found: Any) -> None:
        """Append reference data."""
        for definition in found:
            topic, name = {
                Instrument: (INSTRUMENTS, "instrument"),
                Book: (BOOKS, "book"),
                RoutingRule: (ROUTING_RULES, "rule"),
                PostingRules: (POSTING_RULES, "version"),
            }[type(definition)]
            self.append_events(topic, [definition], lambda event, name=name: getattr(event, name))

    def tick(self, at: int = 0, times: int = 1) -> None:
        """Append clock ticks to every partition of the fills; `at` is seconds after `MONDAY`."""
        for number in range(times):
            transaction = self.log.transaction()
            tick = ClockTick(event_id=f"tick{at}.{number}", event_time=MONDAY + at * SECOND)
            for partition in range(self.partitions):
                transaction.append(FILLS.name, partition, None, encode_frames([tick])[0])
            transaction.commit()

    def run(self, **bounds: int) -> int:
        """Step until nothing is left."""
        return run_until_idle(self.runners, self.log, **bounds)

    def book(self, *found: Any) -> None:
        """Append fills and run."""
        self.fills(*found)
        self.run()

    # -- out ------------------------------------------------------------------------------------------------------

    def values(self, topic: Topic | str) -> list[bytes]:
        """The values of a topic's records, partition by partition."""
        name = topic if isinstance(topic, str) else topic.name
        return [
            record.value
            for partition in range(self.log.topics()[name].partitions)
            for record in self.log.read(name, partition, 0, 10_000_000, 1 << 40)
        ]

    def events(self, topic: Topic | str) -> list[Any]:
        """The events of a topic, partition by partition; none may be unreadable."""
        codec = (TOPIC_BY_NAME[topic] if isinstance(topic, str) else topic).codec
        found = [event for value in self.values(topic) for event in codec.decode_each(value)]
        assert not [event for event in found if isinstance(event, BadEvent)]
        return found

    def event_bytes(self, topic: Topic | str) -> list[bytes]:
        """Each event of a topic as it stands in the log, whatever the frames."""
        import msgspec

        split = msgspec.json.Decoder(list[msgspec.Raw]).decode
        return [bytes(item) for value in self.values(topic) for item in split(value)]

    def dead_letters(self, topic: Topic = FILL_DEAD_LETTERS) -> list[Any]:
        """The dead letters."""
        return self.events(topic)

    def table(self, stage: str) -> dict[tuple[int, bytes], bytes]:
        """Everything that a stage's table holds, by partition and key."""
        return {
            (partition, key): value
            for partition in range(self.partitions)
            for key, value in self.log.scan(stage, partition, b"")
        }

    def positions(self) -> dict[tuple[str, str], OpenPosition]:
        """The committed positions by book and instrument."""
        with exact_arithmetic():
            return {
                (opened.book, opened.instrument): opened
                for partition in range(self.partitions)
                for opened in scan_positions(TablePartition(LogStore(self.log, positions.NAME, partition)))
            }

    def position(self, book: str = "B1", instrument: str = "X") -> Any:
        """One committed position."""
        return self.positions()[book, instrument].position

    def hash(self) -> str:
        """The book hash of what is committed."""
        total = BookHash()
        with exact_arithmetic():
            for (book, instrument), opened in self.positions().items():
                total.add(position_digest(book, instrument, opened.position))
        return total.hexadecimal

    def counts(self, stage: str = trade_capture.NAME) -> Any:
        """What became of a stage's inputs, over all sources and partitions."""
        from agents.counters import Counts, read_counts

        total = Counts()
        for partition in range(self.partitions):
            table = TablePartition(LogStore(self.log, stage, partition))
            for counts in read_counts(table).values():
                total.add(counts)
        return total
