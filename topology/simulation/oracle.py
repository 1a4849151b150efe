"""What must hold when everything was sent and the system is at rest; and runs of seeds.

Each check stands for a promise; the first one that is broken raises `Violation`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from agents import positions, trade_capture
from agents.counters import Counts, read_counts
from agents.open_position import scan_positions
from domain.lots.reference import Figures, residuals
from schemas.changelog import changes_of
from schemas.frames import BadEvent
from schemas.numbers import exact_arithmetic
from schemas.topics import BOOKINGS, FILL_DEAD_LETTERS, FILLS, POSITIONS, REJECTIONS, TOPIC_BY_NAME, Topic
from topology import runtime
from topology.log_reading import table_partition
from topology.simulation.log import SimulatedLog
from topology.simulation.model import Expected, expect, expected_positions
from topology.simulation.world import TICKS_MAX, Violation, World

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed; `violation` is empty where every promise held."""

    seed: int
    digest: str
    violation: str
    history: list[str]


def simulate(seed: int) -> Outcome:
    """One run."""
    world = World(seed)
    try:
        world.run()
        check(world)
        violation = ""
    except Violation as error:
        violation = str(error)
    return Outcome(seed, world.digest, violation, world.history)


def check(world: World) -> None:
    """Hold a world at rest against every promise."""
    expected = Expected()
    for partition in range(world.partitions):
        expected.add(expect(world.log.records.get((FILLS.name, partition), []), TICKS_MAX))
    _acknowledged(world)
    _counts(world, expected)
    with exact_arithmetic():
        _positions(world, expected)
    _outputs(world, expected)
    _changelogs(world)
    _replay(world)


def _equal(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise Violation(f"{what}: expected {expected!s:.200}, found {found!s:.200}")


def _acknowledged(world: World) -> None:
    values = [
        record.value or b""
        for partition in range(world.partitions)
        for record in world.log.records.get((FILLS.name, partition), [])
    ]
    for batch in world.batches:
        for _, payload in batch.payloads:
            if not any(payload in value for value in values):
                raise Violation(f"an acknowledged fill of batch {batch.number} is not in the log")


def _total(world: World, stage: str) -> Counts:
    total = Counts()
    for partition in range(world.partitions):
        for counts in read_counts(table_partition(world.log, stage, partition)).values():
            total.add(counts)
    return total


def _counts(world: World, expected: Expected) -> None:
    capture = _total(world, trade_capture.NAME)
    for name in ("read", "applied", "duplicates", "refused", "waiting"):
        _equal(f"capture counts: {name}", getattr(expected, name), getattr(capture, name))
    kept = _total(world, positions.NAME)
    _equal("positions counts: applied", expected.bookings, kept.applied)
    _equal("positions counts: duplicates and refused", 0, kept.duplicates + kept.refused)


def _positions(world: World, expected: Expected) -> None:
    wanted = expected_positions(expected)
    found = {
        (opened.book, opened.instrument): opened.position
        for partition in range(world.partitions)
        for opened in scan_positions(table_partition(world.log, positions.NAME, partition))
    }
    missing = wanted.keys() - found.keys()
    if missing:
        raise Violation(f"positions are missing: {sorted(missing)}")
    for place, kept in sorted(found.items()):
        for name, residual in residuals(kept, wanted.get(place, Figures())).items():
            if residual:
                raise Violation(f"position {place[0]}/{place[1]}: {name} is off by {residual}")


def event_bytes(log: SimulatedLog, topic: Topic, partitions: int) -> Iterator[bytes]:
    """Each event of a topic as it stands in the log."""
    for partition in range(partitions):
        for record in log.records.get((topic.name, partition), []):
            yield from (bytes(item) for item in _split(record.value or b"[]"))


def _decoded(world: World, topic: Topic) -> list[Any]:
    found: list[Any] = []
    for encoded in event_bytes(world.log, topic, world.partitions):
        found += TOPIC_BY_NAME[topic.name].codec.decode_each(b"[" + encoded + b"]")
    if any(isinstance(event, BadEvent) for event in found):
        raise Violation(f"an event of {topic.name} cannot be read")
    return found


def _outputs(world: World, expected: Expected) -> None:
    for topic, number in (
        (BOOKINGS, expected.bookings),
        (POSITIONS, None),
        (FILL_DEAD_LETTERS, expected.refused),
        (REJECTIONS, None),
    ):
        found = _decoded(world, topic)
        if number is not None:
            _equal(f"events of {topic.name}", number, len(found))
        # The same fill refused twice is one rejection said twice; every other output is said once.
        if topic is not REJECTIONS:
            _equal(f"different event ids of {topic.name}", len(found), len({e.event_id for e in found}))
    updates = sum(1 for _ in event_bytes(world.log, POSITIONS, world.partitions))
    if updates < expected.bookings:
        raise Violation(f"events of {POSITIONS.name}: expected {expected.bookings} or more, found {updates}")


def _changelogs(world: World) -> None:
    for stage in world.stages:
        for partition in range(world.partitions):
            rebuilt: dict[bytes, bytes] = {}
            for record in world.log.records.get((stage.changelog, partition), []):
                for key, value in changes_of(record.key or b"", record.value):
                    if value is None:
                        rebuilt.pop(key, None)
                    else:
                        rebuilt[key] = value
            kept = dict(world.log.scan(stage.table.name, partition, b"\x01"))
            if rebuilt != kept:
                differing = {key for key in {*rebuilt, *kept} if rebuilt.get(key) != kept.get(key)}
                raise Violation(
                    f"{stage.name}/{partition}: the changelog makes another table: {len(differing)} keys"
                )


def _replay(world: World) -> None:
    """The positions stage over the same bookings gives the same updates and positions, byte for byte."""
    log = SimulatedLog()
    for partition in range(world.partitions):
        place = (BOOKINGS.name, partition)
        log.records[place] = list(world.log.records.get(place, []))
        runner = runtime.PartitionRunner(world.stages[1], partition, log, world.partitions)
        runner.step(log.records[place])
        _equal(
            "positions of a replay",
            dict(world.log.scan(positions.NAME, partition, b"\x01", b"j")),
            dict(log.scan(positions.NAME, partition, b"\x01", b"j")),
        )
    _equal(
        "updates of a replay",
        list(event_bytes(world.log, POSITIONS, world.partitions)),
        list(event_bytes(log, POSITIONS, world.partitions)),
    )
