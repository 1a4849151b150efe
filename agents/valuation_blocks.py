"""Blocks of positions that are valued together, and which rows of them a step has touched.

Owns: where a position stands: with the others in its instrument (`Alike`), or with all options and futures on one spot
or forward (`Options`). A definition that comes later moves it.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from agents.valuation_definitions import Definitions
from agents.valuation_options import Options
from agents.valuation_rows import Held, Rows
from domain.valuation.terms import MODELLED, Model, Terms

Cause = tuple[str, str]
"""The event id and the correlation id of what touched rows."""


class Touch(msgspec.Struct, gc=False):
    """Rows of a block that are to be valued, None for all; what touched them last; and whether the market moved."""

    rows: set[int] | None
    cause: Cause
    moved: bool = False


class Alike(Rows):
    """Positions in one instrument that no other instrument's mark moves."""

    __slots__ = ("terms",)

    def __init__(self, terms: Terms, underlying: str) -> None:
        super().__init__(underlying)
        self.terms = terms


class Blocks:
    """All blocks of a partition."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.of: dict[str, Alike | Options] = {}
        self.options: dict[str, Options] = {}
        self.hung_on: dict[str, dict[str, None]] = {}
        self.of_pair: dict[tuple[str, str], dict[Rows, None]] = {}
        self.touched: dict[Rows, Touch] = {}

    def __iter__(self) -> Iterator[Alike | Options]:
        alike = (block for block in self.of.values() if isinstance(block, Alike))
        return chain(alike, self.options.values())

    def touch(self, block: Rows, rows: Sequence[int] | None, cause: Cause, *, moved: bool = False) -> None:
        """These rows of a block (None: all) are to be valued with the step.

        `moved`: by the market, so that the engine is asked again.
        """
        known = self.touched.get(block)
        if known is None:
            known = self.touched[block] = Touch(None if rows is None else set(rows), cause)
        elif rows is None:
            known.rows = None
        elif known.rows is not None:
            known.rows.update(rows)
        known.cause = cause
        known.moved = known.moved or moved

    def place(self, held: Held) -> tuple[Rows, int]:
        """Set the row of a position; returns its block and row."""
        block = self.of.get(held.instrument) or self._open(held.instrument)
        desk, currency = self._definitions.desk_and_currency(held.book)
        row = block.put(held, desk, currency)
        self._note_pair(block, row)
        return block, row

    def _note_pair(self, block: Rows, row: int) -> None:
        pair = block.pairs[row]
        if pair[1] and pair[0] != pair[1]:
            self.of_pair.setdefault(pair, {})[block] = None

    def _open(self, instrument: str) -> Alike | Options:
        """The block in which an instrument is valued, made where it is new."""
        terms = self._definitions.terms(instrument)
        underlying = self._definitions.underlying_of(instrument)
        block: Alike | Options
        if terms.model in MODELLED:
            options = self.options.get(terms.driver)
            if options is None:
                options = self.options[terms.driver] = Options(terms.driver, underlying)
            options.define(terms)
            block = options
        else:
            block = Alike(terms, underlying)
            self._hang(terms, hung=True)
        self.of[instrument] = block
        return block

    def _hang(self, terms: Terms, *, hung: bool) -> None:
        """Whose mark moves an instrument of the engine."""
        if terms.model is Model.ENGINE and terms.driver != terms.instrument:
            if hung:
                self.hung_on.setdefault(terms.driver, {})[terms.instrument] = None
            else:
                self.hung_on[terms.driver].pop(terms.instrument, None)

    # -- definitions that come later ---------------------------------------------------------------------------

    def redefine_book(self, book: str, cause: Cause) -> None:
        """The desk and the currency of a book's rows."""
        desk, currency = self._definitions.desk_and_currency(book)
        for block in self:
            rows = [row for row, held in enumerate(block.held) if held.book == book]
            for row in rows:
                block.set_book(row, desk, currency)
                self._note_pair(block, row)
            if rows:
                self.touch(block, rows, cause)

    def redefine_instrument(self, instrument: str, cause: Cause) -> Options | None:
        """Positions of it may belong elsewhere now: those that do are placed again.

        Returns the block of options that was made anew for those that were left, if one was.
        """
        before = self.of.get(instrument)
        if before is None:
            return None
        terms, underlying = self._definitions.terms(instrument), self._definitions.underlying_of(instrument)
        stays = isinstance(before, Options) == (terms.model in MODELLED) and before.underlying == underlying
        rest = None
        if stays and isinstance(before, Options) and terms.driver == before.driver:
            before.define(terms)
        elif stays and isinstance(before, Alike):
            self._hang(before.terms, hung=False)
            before.terms = terms
            self._hang(terms, hung=True)
        else:
            self._move(before, cause)
            rest = self.options.get(before.driver) if isinstance(before, Options) else None
        after = self.of[instrument]
        self.touch(after, after.by_instrument[instrument], cause, moved=True)
        return rest

    def _move(self, block: Alike | Options, cause: Cause) -> None:
        """Take a block apart, and place its positions again by the definitions of now."""
        kept = list(block.held)
        for name in block.by_instrument:
            del self.of[name]
        if isinstance(block, Options):
            del self.options[block.driver]
        else:
            self._hang(block.terms, hung=False)
        for blocks in self.of_pair.values():
            blocks.pop(block, None)
        self.touched.pop(block, None)
        for held in kept:
            rows, row = self.place(held)
            self.touch(rows, [row], cause)

    def redefine_curve(self, curve: str, cause: Cause) -> None:
        """Whatever hangs on a curve is to be valued again."""
        for options in self.options.values():
            if any(terms.curve == curve for terms in options.terms.values()):
                options.changed()
                self.touch(options, None, cause)
        for block in self.of.values():
            if isinstance(block, Alike) and block.terms.model is Model.ENGINE:
                fields = block.terms.fields
                if curve in (fields.get("curve"), fields.get("forecast_curve")):
                    self.touch(block, None, cause, moved=True)
