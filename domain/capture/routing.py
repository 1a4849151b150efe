"""Which book takes a fill that names none: the first routing rule that matches, by priority."""

from typing import Any

from domain.capture.faults import Fault
from domain.capture.reference import ReferenceData
from domain.capture.validation import REGIMES


def route(fill: Any, instrument_class: str, reference: ReferenceData) -> str | Fault:
    """The book of a fill: the one that it names, or that of the first rule that matches."""
    if fill.book is not None:
        return str(fill.book)
    if not REGIMES[fill.regime].routable:
        return Fault("the fill names no book", "book", f"a book, as regime {fill.regime} requires", "none")
    for rule in reference.rules:
        if (
            (rule.venue is None or rule.venue == fill.venue)
            and (rule.account is None or rule.account == fill.account)
            and (rule.instrument_class is None or rule.instrument_class == instrument_class)
            and (rule.strategy is None or rule.strategy == fill.strategy)
        ):
            return str(rule.book)
    found = (
        f"venue {fill.venue!r}, account {fill.account!r}, class {instrument_class!r}, "
        f"strategy {fill.strategy!r}"
    )
    return Fault("no routing rule matches", "book", "a book, or a routing rule for this fill", found)
