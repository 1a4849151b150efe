"""What an import leaves to be looked after, in words: what the stages refused, and what waits for its trade.

Owns: how much of it is said.
Assumes: a reader of the log that was opened after the import.
Guarantees: bounded work: the last dead letters and the waiting corrections are read, and no fill.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.capture_state import waiting_corrections
from schemas import events
from schemas.frames import wire
from topology.control.entry import Receipt
from topology.documents.dead_letters import DEAD_LETTER_TOPICS, source_of_original
from topology.log_reading import CAPTURE_TABLE, ReadLog, read_events, table_partition

REMARKED_MAX = 3
"""Most refusals, and most waiting corrections, that are told one by one."""

_RECORDS_READ_MAX = 20
"""Last dead-letter records of a partition that are looked through."""

_DeadLetter: Any = wire(events.DeadLetter)


def import_remarks(log: ReadLog, partitions: int, receipt: Receipt, data: Path) -> Iterator[str]:
    """A line for what was refused and one for what waits, where there is any."""
    if receipt.rejected:
        reasons = [_reason(letter) for letter in _last_letters(log, partitions, receipt)]
        yield (
            f"{receipt.rejected:,} rejected: {_first(reasons, receipt.rejected)}; "
            f"see pks dlq list --data {data} --status open"
        )
    if receipt.waiting:
        waits = [
            f"{waiting.fill.trade_id} for {waiting.fill.original_trade_id}"
            for partition in range(partitions)
            for waiting in waiting_corrections(table_partition(log, CAPTURE_TABLE, partition))
            if waiting.fill.source in receipt.sources
        ]
        yield (
            f"{receipt.waiting:,} waiting for a trade that has not come: {_first(waits, receipt.waiting)}; "
            "see docs/operating/waiting-corrections.md"
        )


def _last_letters(log: ReadLog, partitions: int, receipt: Receipt) -> list[Any]:
    """The letters that an import made, as far as they are among the last ones."""
    found: list[tuple[int, Any]] = []
    for topic in DEAD_LETTER_TOPICS:
        for partition in range(topic.partitions(partitions)):
            start = max(0, log.end_offset(topic.name, partition) - _RECORDS_READ_MAX)
            found.extend(
                (record.sequence, letter)
                for record, letter in read_events(log, topic, partition, start)
                if type(letter) is _DeadLetter and source_of_original(letter) in receipt.sources
            )
    found.sort(key=lambda pair: pair[0])
    return [letter for _, letter in found[-receipt.rejected :]]


def _reason(letter: Any) -> str:
    where = f" ({letter.field}: expected {letter.expected}, found {letter.found})" if letter.field else ""
    return f"{letter.trade_id or letter.kind}: {letter.reason}{where}"


def _first(told: list[str], count: int) -> str:
    shown = told[:REMARKED_MAX]
    more = count - len(shown)
    return "; ".join([*shown, f"{more:,} more"] if more else shown)
