"""Movements of cash into the log: those of a broker's statement beside its fills, and those that accrue.

Owns: what an entered movement gets from the definitions of the log: the entity of its book, and the version of the posting
rules in force.
Guarantees: movements have ids of their own, so entering them again changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.venues import ibkr_cash
from connectors.venues.decoding import DecodeOptions
from connectors.venues.ibkr_cash import StatementCash
from schemas import money, topics
from schemas.frames import wire
from topology.control.entry import Entry
from topology.log_reading import WholeLog, partition_count, read_events

_CashMovement = wire(money.CashMovement)

OF_STANDARD_INPUT = "all of standard input, which is read for its fills alone"


@dataclass(slots=True)
class Places:
    """What the definitions of a log say of where movements belong."""

    entities: dict[str, str] = field(default_factory=dict)
    posting_rules: int = 0

    def entity_of(self, book: str) -> str:
        """The entity that owns a book; none of a book that is not defined."""
        return self.entities.get(book, "")


def read_places(log: WholeLog | None) -> Places:
    """The places of an opened log, if there is one."""
    found = Places()
    if log is None:
        return found
    known = log.topics()
    if topics.BOOKS.name in known:
        for _, book in read_events(log, topics.BOOKS, 0):
            found.entities[book.book] = book.entity
    if topics.POSTING_RULES.name in known:
        for _, rules in read_events(log, topics.POSTING_RULES, 0):
            found.posting_rules = max(found.posting_rules, rules.version)
    return found


def statement_cash(format_name: str, files: Sequence[str], *, opening: bool) -> StatementCash | None:
    """The cash of statements, of a format that has any. Raises InputFaults.

    Standard input is read once, for its fills: its cash is left out, under a name of its own.
    """
    if format_name != ibkr_cash.NAME:
        return None
    named = [path for path in files if path != "-"]
    found = ibkr_cash.read_statement_cash(named, opening=opening)
    if len(named) < len(files):
        found.left_out[OF_STANDARD_INPUT] += 1
    return found


def placed(movements: Iterable[Any], options: DecodeOptions, places: Places) -> Iterator[Any]:
    """Movements with their book, its entity, and the posting rules in force."""
    for movement in movements:
        book = options.book_of(movement.instrument, movement.account, movement.account)
        yield msgspec.structs.replace(
            movement, book=book, entity=places.entity_of(book), posting_rules=places.posting_rules
        )


def known_of(log: WholeLog | None, movements: Sequence[Any]) -> int:
    """How many movements an opened log has been given before, whatever became of them."""
    if log is None or not movements or topics.LEDGER_INPUT.name not in log.topics():
        return 0
    entered = {
        event.movement_id
        for partition in range(partition_count(log))
        for _, event in read_events(log, topics.LEDGER_INPUT, partition)
        if type(event) is _CashMovement
    }
    return sum(movement.movement_id in entered for movement in movements)


def enter(entry: Entry, movements: Sequence[Any]) -> None:
    """Append movements to the ledger's input, and wait until the stages have them."""
    if movements:
        entry.publish(topics.LEDGER_INPUT, movements, topics.LEDGER_INPUT.key_of)
        entry.gate.settle()
