"""Reference data as capture uses it: the latest definitions, indexed for resolution and routing."""

from collections.abc import Iterable
from typing import Any

from schemas import money, reference
from schemas.frames import wire
from schemas.units import FeePolicy, LotMethod

_Instrument = wire(reference.Instrument)
_Book = wire(reference.Book)
_RoutingRule = wire(reference.RoutingRule)
_PostingRules = wire(money.PostingRules)
_FIFO = LotMethod.FIFO
_EXCLUDED = FeePolicy.EXCLUDED


class ReferenceData:
    """Books, instruments and routing rules by id; the last definition of each holds.

    `posting_rules` is the newest version of the ledger's rules, 0 the built-in ones.
    """

    def __init__(self) -> None:
        self.books: dict[str, Any] = {}
        self.instruments: dict[str, Any] = {}
        self.by_identifier: dict[tuple[str, str], tuple[str, ...]] = {}
        self.rules: list[Any] = []
        self.posting_rules = 0
        self.version = 0

    def define(self, definitions: Iterable[Any]) -> None:
        """Take in definitions, in the order of their topic."""
        for definition in definitions:
            self.version += 1
            kind = type(definition)
            if kind is _Book:
                self._set(self.books, definition.book, definition)
            elif kind is _Instrument:
                self._forget_identifiers(definition.instrument)
                self._set(self.instruments, definition.instrument, definition)
                if definition.active:
                    for identifier in definition.identifiers.items():
                        named = self.by_identifier.get(identifier, ())
                        self.by_identifier[identifier] = (*named, definition.instrument)
            elif kind is _RoutingRule:
                rules = {rule.rule: rule for rule in self.rules}
                self._set(rules, definition.rule, definition)
                self.rules = sorted(rules.values(), key=lambda rule: (rule.priority, rule.rule))
            elif kind is _PostingRules:
                self.posting_rules = max(self.posting_rules, definition.version)

    @staticmethod
    def _set(table: dict[str, Any], name: str, definition: Any) -> None:
        if definition.active:
            table[name] = definition
        else:
            table.pop(name, None)

    def _forget_identifiers(self, instrument: str) -> None:
        known = self.instruments.get(instrument)
        if known is not None:
            for identifier in known.identifiers.items():
                named = tuple(name for name in self.by_identifier[identifier] if name != instrument)
                if named:
                    self.by_identifier[identifier] = named
                else:
                    del self.by_identifier[identifier]

    def lot_method(self, book: str, instrument_class: str) -> LotMethod:
        """How a book matches an instrument class; FIFO where nothing is defined."""
        known = self.books.get(book)
        if known is None:
            return _FIFO
        methods = known.lot_methods
        found: LotMethod = methods.get(instrument_class) or methods.get(reference.ANY_CLASS) or _FIFO
        return found

    def fee_policy(self, book: str) -> FeePolicy:
        """A book's fee policy; `excluded` where nothing is defined."""
        known = self.books.get(book)
        policy: FeePolicy = _EXCLUDED if known is None else known.fee_policy
        return policy
