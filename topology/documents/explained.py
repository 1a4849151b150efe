"""What stands behind a figure, as a tree: which figures there are, how they are named, and who explains each.

Owns: the names: `KIND:PLACE`. A node is that of `topology.documents.explained_money`: `figure`, `value`, `unit`, `how`
the value follows from its `children`, and those. Another kind of figure is one line in `KINDS`.
Assumes: the stages that a kind names have been brought to the log's end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from topology.documents.explained_money import (
    Node,
    explain_cash,
    explain_currency_position,
    explain_postings,
)
from topology.documents.explained_pnl import explain_day, explain_days_of_book
from topology.documents.explained_positions import (
    explain_mark,
    explain_position,
    explain_realised,
    explain_refused,
    explain_trade,
    explain_unrealised,
)
from topology.documents.queries import position_names, trade_document
from topology.log_reading import WholeLog, partition_count, partitions_to_read
from topology.settings import Settings

_VALUED = ("valuation",)
_ATTRIBUTED = ("valuation", "pnl")


class FigureFault(ValueError):
    """A figure that nobody knows: what was expected, and what was found."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found!r:.80}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of figure: how its place is written, the later stages that it needs, and what explains it."""

    place: str
    stages: tuple[str, ...]
    explain: Callable[[WholeLog, Settings, str], Node]


def explain(log: WholeLog, settings: Settings, figure: str) -> Node:
    """The tree behind a figure. Raises FigureFault."""
    kind, place = kind_of(figure)
    return kind.explain(log, settings, place)


def kind_of(figure: str) -> tuple[Kind, str]:
    """The kind of a figure, and its place. Raises FigureFault."""
    name, colon, place = figure.partition(":")
    kind = KINDS.get(name)
    if kind is None or not colon:
        known = ", ".join(f"{each}:{found.place}" for each, found in KINDS.items())
        raise FigureFault(f"one of {known}", figure)
    return kind, place


def _splits(place: str) -> Iterator[tuple[str, str]]:
    """Every way to read BOOK/INSTRUMENT: both may hold a slash."""
    at = place.find("/")
    while at >= 0:
        yield place[:at], place[at + 1 :]
        at = place.find("/", at + 1)


def _position(log: WholeLog, place: str) -> tuple[str, str]:
    for book, instrument in _splits(place):
        partitions = partitions_to_read(partition_count(log), book)
        if (book, instrument) in position_names(log, partitions):
            return book, instrument
    raise FigureFault("BOOK/INSTRUMENT of a position that the log has (pks positions)", place)


def _of_position(explainer: Callable[[WholeLog, Settings, str, str], Node]) -> Callable[..., Node]:
    def explain_it(log: WholeLog, settings: Settings, place: str) -> Node:
        return explainer(log, settings, *_position(log, place))

    return explain_it


def _pnl(log: WholeLog, settings: Settings, place: str) -> Node:
    place, _, date = place.partition("@")
    if "/" not in place:
        found = explain_days_of_book(log, settings, place)
        if not found["children"]:
            raise FigureFault("a book with P&L (pks pnl)", place)
        return found
    book, instrument = _position(log, place)
    day = explain_day(log, settings, book, instrument, date or None)
    if day is None:
        raise FigureFault(
            "a position and a day with P&L (pks pnl --days)", f"{place}@{date}" if date else place
        )
    return day


def _trade(log: WholeLog, settings: Settings, place: str) -> Node:
    found = explain_trade(log, place)
    if found is None:
        refused = explain_refused(log, place)
        if refused is None:
            raise FigureFault("the id of a trade that the log has (pks trades)", place)
        return refused
    document = trade_document(log, partition_count(log), place) or {}
    postings = explain_postings(log, settings.reporting_currency, place, document.get("realised_pnl"))
    return {**found, "children": [*found["children"], *postings]}


def _mark(log: WholeLog, settings: Settings, place: str) -> Node:
    return explain_mark(log, place)


def _cash(log: WholeLog, settings: Settings, place: str) -> Node:
    parts = place.rsplit("/", 2)
    if len(parts) != 3:
        raise FigureFault("cash:ENTITY/ACCOUNT/CURRENCY, each of the first two may be empty", place)
    return explain_cash(log, *parts)


def _currency_position(log: WholeLog, settings: Settings, place: str) -> Node:
    entity, _, currency = place.partition("/")
    return explain_currency_position(log, entity, settings.reporting_currency, currency or None)


KINDS: Mapping[str, Kind] = {
    "pnl": Kind("BOOK[/INSTRUMENT[@DATE]]", _ATTRIBUTED, _pnl),
    "position": Kind("BOOK/INSTRUMENT", (), _of_position(explain_position)),
    "realised": Kind("BOOK/INSTRUMENT", (), _of_position(explain_realised)),
    "unrealised": Kind("BOOK/INSTRUMENT", _VALUED, _of_position(explain_unrealised)),
    "mark": Kind("INSTRUMENT", (), _mark),
    "trade": Kind("ID", ("currency_position",), _trade),
    "cash": Kind("ENTITY/ACCOUNT/CURRENCY", ("cash",), _cash),
    "ocp": Kind("ENTITY[/CURRENCY]", ("currency_position",), _currency_position),
}
"""The kinds of figures by name."""
