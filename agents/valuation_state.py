"""What the valuation stage keeps of one partition: positions, marks, definitions, rates, and the talk with the engine.

Families of keys (first byte):

    p book 0 instrument   a position as it is held (`Held`)
    m instrument          the newest mark
    h instrument 0 time   the last marks of dates that are over (`agents.valuation_closing`)
    r kind 0 id           a definition, a curve, a rate
    v instrument          the volatility that its newest mark implied
    a instrument          the talk with the engine (`Asked`)
    t                     tallies: marks that a newer one replaced before they were used, and so on
    k                     the newest tick of the clock
    w                     is there while rates have moved and the rows that hang on them are not told yet

Values are not kept: they follow from these. After a start they are as they were, since all of these are.
"""

from math import nan
from typing import Any

import msgspec

import native.options
from agents.loaded_state import LoadedState
from agents.stage import Refusal
from agents.valuation_blocks import Blocks
from agents.valuation_closing import calendars_of, ends_a_day, keep_ended, mark_at
from agents.valuation_definitions import (
    Book,
    Curve,
    Definitions,
    FxRate,
    day_of,
    decode_definition,
    definition_key,
)
from agents.valuation_engine import Asked
from agents.valuation_frames import Conversions
from agents.valuation_options import Options, implied
from agents.valuation_rows import Held, Rows
from agents.valuation_values import MISSING, Price
from domain.capture.definitions import definition_fault
from domain.valuation.accrued import accrued_interest
from domain.valuation.terms import Terms
from schemas import market_data
from schemas.frames import encode_event, wire
from schemas.identity import position_key
from schemas.units import ValuedBy
from tables.partition import TablePartition

POSITION, MARK, REFERENCE, ENGINE, TALLIES, CLOCK = b"p", b"m", b"r", b"a", b"t", b"k"
VOLATILITY, RATES_WAITING = b"v", b"w"

_encode = msgspec.msgpack.Encoder().encode
_decode_held = msgspec.msgpack.Decoder(Held).decode
_decode_asked = msgspec.msgpack.Decoder(Asked).decode
_decode_mark = msgspec.json.Decoder(wire(market_data.Mark)).decode


class Tallies(msgspec.Struct, gc=False):
    """What became of marks, since the table began.

    `conflated`: replaced by a newer one of the same step. `passed_over`: older than the one that is known.
    """

    conflated: int = 0
    passed_over: int = 0


class ValuationState(LoadedState):
    """The stage's memory of one partition."""

    def __init__(self, table: TablePartition, pivot: str) -> None:
        super().__init__(table)
        self._pivot = pivot
        self.evaluate = native.options.evaluator()
        self._load()

    def _load(self) -> None:
        table = self.table
        self.definitions = Definitions(self._pivot)
        self.conversions = Conversions(self.definitions.fx)
        self.blocks = Blocks(self.definitions)
        self.marks: dict[str, Any] = {}
        self.asked: dict[str, Asked] = {}
        self.now: dict[str, int] = {}
        self.rates_moved = False
        self.rates_cause = ("", "")
        self.rates_waiting = table.get(RATES_WAITING) is not None
        for _, value in table.scan_prefix(REFERENCE):
            self.definitions.keep(decode_definition(value))
        self._calendars = calendars_of(self.definitions.books)
        for _, value in table.scan_prefix(ENGINE):
            asked = _decode_asked(value)
            self.asked[asked.instrument] = asked
        for _, value in table.scan_prefix(POSITION):
            held = _decode_held(value)
            self.blocks.place(held)
            self._advance(held.instrument, held.executed_at)
        for key, value in table.scan_prefix(MARK):
            instrument = key[len(MARK) :].decode()
            self.marks[instrument] = mark = _decode_mark(value)
            self._advance(instrument, mark.event_time)
        for options in self.blocks.options.values():
            self._take_marks(options)
        self.blocks.touched.clear()
        tallies = table.get(TALLIES)
        self.tallies = msgspec.msgpack.decode(tallies, type=Tallies) if tallies else Tallies()
        self.clock = self.clock_before = int(table.get(CLOCK) or 0)

    # -- definitions -------------------------------------------------------------------------------------------

    def define(self, definition: Any) -> Refusal | None:
        """Take in a definition, a curve or a rate, or say why not; what it touches is valued with the step."""
        kind, cause = type(definition), (definition.event_id, definition.correlation_id)
        if kind is FxRate:
            if not definition.rate.is_finite() or definition.rate <= 0:
                return Refusal("rate is not valid", "rate", "a number above 0", str(definition.rate)[:80])
        elif kind is not Curve:
            fault = definition_fault(definition)
            if fault is not None:
                return Refusal(fault.reason, fault.field, fault.expected, fault.found)
        self._stale = True
        if not self.definitions.keep(definition):
            return None
        self.table.put(REFERENCE + definition_key(definition), encode_event(definition))
        if kind is FxRate:
            self.rates_moved, self.rates_cause = True, cause
        elif kind is Curve:
            self.blocks.redefine_curve(definition.curve, cause)
        elif kind is Book:
            self._calendars = calendars_of(self.definitions.books)
            self.blocks.redefine_book(definition.book, cause)
        else:
            self._redefine_instrument(definition.instrument, cause)
        return None

    def _redefine_instrument(self, instrument: str, cause: tuple[str, str]) -> None:
        rest = self.blocks.redefine_instrument(instrument, cause)
        if rest is not None:
            self._take_marks(rest)
        block = self.blocks.of.get(instrument)
        if instrument in self.marks and isinstance(block, Options):
            self.imply(block, instrument)

    # -- positions ---------------------------------------------------------------------------------------------

    def held(self, book: str, instrument: str) -> Held | None:
        """A position as it is known; None of a new one."""
        block = self.blocks.of.get(instrument)
        row = None if block is None else block.place(book, instrument)
        return None if block is None or row is None else block.held[row]

    def hold(self, held: Held) -> tuple[Rows, int]:
        """Keep a position; returns its block and its row."""
        self._stale = True
        self.table.put(POSITION + position_key(held.book, held.instrument), _encode(held))
        self._advance(held.instrument, held.executed_at)
        return self.blocks.place(held)

    # -- marks and time ----------------------------------------------------------------------------------------

    def _advance(self, instrument: str, at: int) -> None:
        """Time goes on for what an instrument is valued together with, and for itself as the underlying of others."""
        now = self.now
        for name in {instrument, self.definitions.underlying_of(instrument)}:
            if at > now.get(name, 0):
                now[name] = at

    def take_mark(self, mark: Any) -> None:
        """Keep a mark that is the newest of its instrument."""
        self._stale = True
        instrument = mark.instrument
        last = self.marks.get(instrument)
        if last is not None and self.ends_a_day(last, mark):
            keep_ended(self.table, last)
        self.marks[instrument] = mark
        self.table.put(MARK + instrument.encode(), encode_event(mark))
        self._advance(instrument, mark.event_time)

    def ends_a_day(self, last: Any, mark: Any) -> bool:
        """Whether a mark is of a later date than the last one of its instrument, by the calendar of some book."""
        return ends_a_day(self._calendars, last.event_time, mark.event_time)

    def mark_at(self, instrument: str, at: int) -> Any:
        """The last mark of an instrument up to a time that newer ones have followed; None without one."""
        return mark_at(self.table, instrument, at)

    def price(self, instrument: str) -> Price:
        """An instrument's own mark."""
        mark = self.marks.get(instrument)
        if mark is None or mark.price is None:
            why = f"no mark of {instrument}" if mark is None else f"the mark of {instrument} is missing"
            return Price(None, MISSING, reason=why)
        return Price(mark.price, mark.quality, mark.event_time, ValuedBy.MARK, mark.accrued_interest)

    def bond_price(self, instrument: str, terms: Terms) -> Price:
        """A bond's own mark, with its accrued interest of that day where its terms tell it."""
        price = self.price(instrument)
        if price.price is None or price.accrued is not None:
            return price
        accrued = accrued_interest(terms.fields, day_of(price.event_time))
        if accrued is None:
            return price._replace(reason="the terms tell no accrued interest of that day: valued clean")
        return price._replace(accrued=accrued)

    def _take_marks(self, options: Options) -> None:
        """Give a block the own marks of its instruments, and what they implied when they came."""
        for instrument in options.terms:
            if instrument in self.marks:
                volatility = self.table.get(VOLATILITY + instrument.encode())
                options.take_mark(instrument, self.price(instrument), float(volatility or nan))

    def imply(self, options: Options, instrument: str) -> None:
        """An option has a new mark of its own: what it implies at the spot of now."""
        self._stale = True
        now = self.now.get(options.underlying, 0)
        terms, price = options.terms[instrument], self.price(instrument)
        rate = self.definitions.rate_of(terms, day_of(now))
        volatility = implied(terms, price, self.price(options.driver), rate, now)
        options.take_mark(instrument, price, volatility)
        self.table.put(VOLATILITY + instrument.encode(), repr(volatility).encode())

    # -- the engine --------------------------------------------------------------------------------------------

    def talk(self, instrument: str) -> Asked:
        """The talk with the engine about an instrument."""
        found = self.asked.get(instrument)
        if found is None:
            found = self.asked[instrument] = Asked(instrument)
        return found

    @property
    def prices_waited_for(self) -> int:
        """Instruments that the engine has been asked for and not answered."""
        return sum(bool(asked.waiting) for asked in self.asked.values())

    def keep_talk(self, asked: Asked) -> None:
        """Keep what was asked or answered."""
        self._stale = True
        self.table.put(ENGINE + asked.instrument.encode(), _encode(asked))

    def note_conflated(self) -> None:
        """A mark was replaced before it was used."""
        self._stale = True
        self.tallies.conflated += 1

    def note_passed_over(self) -> None:
        """A mark was older than the one that is known."""
        self._stale = True
        self.tallies.passed_over += 1

    def rates_wait(self) -> None:
        """Rates moved more rows than are told at once."""
        self._stale = self.rates_waiting = True
        self.table.put(RATES_WAITING, b"")

    def rates_told(self) -> None:
        """The rows that hang on rates are touched."""
        if self.rates_waiting:
            self._stale, self.rates_waiting = True, False
            self.table.delete(RATES_WAITING)

    # -- the step ----------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """The clock, as it stands in the log."""
        self._stale = True
        self.clock_before, self.clock = self.clock, max(self.clock, now)
        self.table.put(CLOCK, str(self.clock).encode())

    def before_commit(self) -> None:
        """Write counts and tallies."""
        super().before_commit()
        if self._stale:
            self.table.put(TALLIES, msgspec.msgpack.encode(self.tallies))
