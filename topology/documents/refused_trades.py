"""Trades that capture booked and the positions stage refused: they stand in no book, and their id is taken.

Owns: the fields of such a trade's document.
Assumes: dead letters are kept for ever (their topic has no retention).
Guarantees: a trade that its book holds after all (sent again, amended) is none of them.
"""

from collections.abc import Iterator
from typing import Any

from agents.trade_index import index_key
from domain.lots.documents import Document
from schemas import events, topics
from schemas.frames import BadEvent, wire
from schemas.murmur2 import partition_of_key
from topology.documents.trades import booking_fields
from topology.log_reading import POSITIONS_TABLE, ReadLog, read_events, table_partition

_DeadLetter: Any = wire(events.DeadLetter)
_TradeBooked: Any = wire(events.TradeBooked)


def refused_documents(log: ReadLog, partitions: int, trade_id: str) -> Iterator[Document]:
    """A trade id's bookings that no book holds, one a book, with their dead letter; `state` is refused."""
    found: dict[str, Document] = {}
    for partition in range(partitions):
        for _, letter in read_events(log, topics.BOOKING_DEAD_LETTERS, partition):
            if type(letter) is not _DeadLetter or letter.trade_id != trade_id:
                continue
            for booked in topics.BOOKINGS.codec.decode_each(letter.original):
                if not isinstance(booked, BadEvent) and type(booked) is _TradeBooked:
                    # The last letter holds: the same booking may have been sent again, and refused again.
                    found[booked.book] = booking_fields(booked) | _why(letter)
    for book, document in sorted(found.items()):
        table = table_partition(log, POSITIONS_TABLE, partition_of_key(book.encode(), partitions))
        if table.get(index_key(book, trade_id)) is None:
            yield document


def _why(letter: Any) -> Document:
    return {
        "state": "refused",
        "dead_letter_id": letter.event_id,
        "reason": letter.reason,
        "field": letter.field,
        "expected": letter.expected,
        "found": letter.found,
    }
