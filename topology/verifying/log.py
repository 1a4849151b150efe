"""Checks over the log and the stages' counters: nothing lost, nothing twice, nothing uncounted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from agents import positions, trade_capture
from agents.booking_queue import QUEUE
from agents.capture_state import WAITING
from agents.counters import Counts, read_counts
from agents.open_position import scan_positions
from agents.stage import Stage
from connectors.embedded.log import EmbeddedLog
from schemas import events, topics
from schemas.frames import wire
from schemas.numbers import ZERO
from schemas.topics import Topic
from topology.documents.dead_letters import DEAD_LETTER_TOPICS
from topology.log_reading import POSITIONS_TABLE, WholeLog, read_events, read_records, table_partition
from topology.runtime import REFUSED_DEFINITIONS
from topology.settings import Settings
from topology.stages import build_all, is_spine
from topology.verifying.checks import Check, Step

NOT_COUNTED = (wire(events.ClockTick), wire(events.DayClosed))
"""The events that stages do not count as inputs; they count all others."""

_WAITING = {trade_capture.NAME: WAITING, positions.NAME: QUEUE}
"""Where a stage's table has what waits."""

_DeadLetter: Any = wire(events.DeadLetter)
_PositionUpdated: Any = wire(events.PositionUpdated)
_DELTAS = {
    "quantity": "quantity_delta",
    "cost_basis": "cost_basis_delta",
    "realised_pnl": "realised_pnl_delta",
    "net_realised_pnl": "net_realised_pnl_delta",
    "fees": "fees_delta",
}


def declared_stages(log: WholeLog) -> list[Stage]:
    """The stages that a log has tables of, upstream ones first."""
    known = log.topics()
    return [
        stage
        for stage in build_all(Settings.model_construct())
        if is_spine(stage) or stage.changelog in known
    ]


def stage_counts(log: WholeLog, stage: Stage, partition: int) -> dict[str, Counts]:
    """A stage's counts of one partition, by source."""
    return read_counts(table_partition(log, stage.table.name, partition))


def check_counts(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """Counters add up, and agree with the inputs that stand in the log before the committed offset."""
    sums = Check("counters", "read = applied + duplicates + rejected + waiting, by stage and source")
    inputs = Check("inputs", "events of the log that a stage has passed = those that it counted")
    waits = Check("waiting", "what waits in the table = what is counted as waiting, by stage")
    for stage in declared_stages(log):
        for partition in range(partitions):
            where = f"{stage.name} {stage.input.name}:{partition}"
            total = Counts()
            for source, counts in stage_counts(log, stage, partition).items():
                outcome = counts.applied + counts.duplicates + counts.refused + counts.waiting
                sums.expect(f"{where}: source {source!r}", outcome, counts.read)
                if source != REFUSED_DEFINITIONS:
                    total.add(counts)
            end = log.committed(stage.name, stage.input.name, partition) or 0
            # What retention has taken cannot be counted again.
            if log.start_offset(stage.input.name, partition) == 0:
                passed = _count_inputs(log, stage.input, partition, end, step)
                inputs.expect(where, passed, total.read)
            family = _WAITING.get(stage.name)
            table = table_partition(log, stage.table.name, partition)
            found = 0 if family is None else sum(1 for _ in table.scan_prefix(family))
            waits.expect(where, found, total.waiting)
    return [sums, inputs, waits]


def _count_inputs(log: WholeLog, topic: Topic, partition: int, end: int, step: Step) -> int:
    found = 0
    for record in read_records(log, topic.name, partition):
        if record.offset >= end:
            break
        value = record.value or b""
        try:
            decoded: Sequence[Any] = topic.codec.decode(value)
            found += sum(not isinstance(event, NOT_COUNTED) for event in decoded)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # What cannot be read was counted as refused.
            each = topic.codec.decode_each(value)
            found += sum(not isinstance(event, NOT_COUNTED) for event in each)
        step("inputs", 1)
    return found


def check_dead_letters(log: WholeLog, partitions: int) -> Check:
    """Every refusal has its dead letter."""
    check = Check("dead letters", "dead letters = refused inputs, by stage")
    letters: Counter[str] = Counter()
    for topic in DEAD_LETTER_TOPICS:
        for partition in range(topic.partitions(partitions)):
            for _, event in read_events(log, topic, partition):
                if isinstance(event, _DeadLetter):
                    letters[event.stage] += 1
    for stage in declared_stages(log):
        refused = sum(
            counts.refused
            for partition in range(partitions)
            for counts in stage_counts(log, stage, partition).values()
        )
        check.expect(stage.name, refused, letters[stage.name])
    return check


@dataclass(slots=True)
class _Known:
    """The last update of a position that was read."""

    revision: int
    figures: dict[str, Decimal]


def check_updates(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """One update for each applied event, and deltas that add up to the position.

    Where retention has taken the oldest updates, a position's chain begins at the first that is left.
    """
    once = Check("updates", "one PositionUpdated for each applied event, none missing between two")
    deltas = Check("deltas", "sum of the updates' deltas = position")
    stage = positions.stage()
    for partition in range(partitions):
        whole = log.start_offset(topics.POSITIONS.name, partition) == 0
        known: dict[tuple[str, str], _Known] = {}
        first_updates = 0
        for _, update in read_events(log, topics.POSITIONS, partition):
            if not isinstance(update, _PositionUpdated):
                continue
            first_updates += update.event_id.endswith("p0")
            _follow(known, update, whole, once, deltas)
            step("updates", 1)
        if whole:
            applied = sum(counts.applied for counts in stage_counts(log, stage, partition).values())
            once.expect(f"{topics.POSITIONS.name}:{partition}", applied, first_updates)
        for opened in scan_positions(table_partition(log, POSITIONS_TABLE, partition)):
            last = known.get((opened.book, opened.instrument))
            where = f"{opened.book}/{opened.instrument}"
            if last is None:
                if whole and opened.revision:
                    once.broken(where, f"expected {opened.revision} updates, found none", opened.revision)
                continue
            once.expect(f"{where}: last revision", opened.revision, last.revision)
            for name, figure in last.figures.items():
                deltas.expect(f"{where}: {name}", getattr(opened.position, name), figure)
    return [once, deltas]


def _follow(
    known: dict[tuple[str, str], _Known], update: Any, whole: bool, once: Check, deltas: Check
) -> None:
    """Hold an update against the one before it, and go on from it."""
    place = (update.book, update.instrument)
    where = f"{update.book}/{update.instrument} revision {update.revision}"
    before = known.get(place)
    figures = {name: getattr(update, name) for name in _DELTAS}
    if before is None and (whole or update.revision == 1):
        before = _Known(0, dict.fromkeys(_DELTAS, ZERO))
    if before is not None:
        once.expect(where, before.revision + 1, update.revision)
        for name, delta in _DELTAS.items():
            deltas.expect(f"{where}: {name}", before.figures[name] + getattr(update, delta), figures[name])
    known[place] = _Known(update.revision, figures)


def check_offsets(log: EmbeddedLog, step: Step) -> Check:
    """Offsets are contiguous where nothing was compacted, sequences rise, and no group is past the end."""
    check = Check("offsets", "offsets contiguous, sequences rising, groups not past the end")
    for name, definition in log.topics().items():
        for partition in range(definition.partitions):
            expected, sequence = log.start_offset(name, partition), 0
            if not definition.compact and definition.retention_seconds is None:
                expected = 0
            for record in read_records(log, name, partition):
                check.checked += 1
                place = f"{name}:{partition}={record.offset}"
                if record.offset != expected and not definition.compact:
                    check.broken(place, f"expected offset {expected}", record.offset - expected)
                if record.sequence <= sequence:
                    check.broken(place, f"expected a sequence above {sequence}, found {record.sequence}")
                expected, sequence = record.offset + 1, record.sequence
                step("offsets", 1)
    for stage in declared_stages(log):
        known = log.topics().get(stage.input.name)
        for partition in range(0 if known is None else known.partitions):
            end = log.end_offset(stage.input.name, partition)
            offset = log.committed(stage.name, stage.input.name, partition) or 0
            check.checked += 1
            if offset > end:
                place = f"{stage.name} {stage.input.name}:{partition}"
                check.broken(place, f"expected an offset of at most {end}, found {offset}", offset - end)
    return check
