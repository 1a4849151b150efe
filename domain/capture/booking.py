"""From a valid fill to what is booked: instrument, terms, book, dates, and the `TradeBooked` itself."""

from typing import Any

from domain.capture.business_date import BusinessDays, settlement_date
from domain.capture.faults import Fault
from domain.capture.instruments import resolve
from domain.capture.reference import ReferenceData
from domain.capture.routing import route
from schemas import events
from schemas.frames import positional
from schemas.numbers import ONE
from schemas.units import Side

_trade_booked = positional(events.TradeBooked)
_BUY = Side.BUY


class Booker:
    """Builds bookings with the reference data at hand; remembers each book's days."""

    def __init__(self, reference: ReferenceData) -> None:
        self.reference = reference
        self._days: dict[str, BusinessDays] = {}
        self._version = reference.version

    def days(self) -> dict[str, BusinessDays]:
        """The business dates of the books that were asked for since the last definition, by book."""
        if self._version != self.reference.version:
            self._days.clear()
            self._version = self.reference.version
        return self._days

    def days_of(self, book: str) -> BusinessDays:
        """The business days of a book."""
        known_days = self.days()
        days = known_days.get(book)
        if days is None:
            known = self.reference.books.get(book)
            days = known_days[book] = (
                BusinessDays()
                if known is None
                else BusinessDays(known.time_zone, known.cut_off, known.calendar)
            )
        return days

    def business_date(self, book: str, executed_at: int) -> str:
        """The business date of an execution in a book."""
        return self.days_of(book).of(executed_at)

    def book(
        self, fill: Any, event_id: str, trade_id: str, source_sequence: int, book_before: str | None = None
    ) -> Any | Fault:
        """The `TradeBooked` (its wire twin) of a fill, as `trade_id`; or why it cannot be booked.

        An amend that names no book stays in `book_before`.
        """
        reference = self.reference
        instrument = resolve(fill, reference)
        if isinstance(instrument, Fault):
            return instrument
        defined = reference.instruments.get(instrument)
        if defined is None:
            multiplier = ONE if fill.multiplier is None else fill.multiplier
            inverse, currency = bool(fill.inverse), fill.currency or ""
            instrument_class, underlying = fill.instrument_class, fill.underlying
        else:
            fault = _terms_fault(fill, defined)
            if fault is not None:
                return fault
            multiplier, inverse, currency = defined.multiplier, defined.inverse, defined.currency
            instrument_class, underlying = defined.instrument_class, defined.underlying
        if inverse and fill.price <= 0:
            return Fault(
                "price is not valid", "price", "a number above 0 for an inverse contract", str(fill.price)
            )
        stays = fill.book is None and book_before is not None
        book = book_before if stays else route(fill, instrument_class, reference)
        if not isinstance(book, str):
            return book
        known_book = reference.books.get(book)
        entity = "" if known_book is None else known_book.entity
        if fill.entity and entity and fill.entity != entity:
            return Fault(
                "entity contradicts the book's definition",
                "entity",
                f"{entity}, to which book {book} belongs, or none",
                fill.entity,
            )
        day = self.business_date(book, fill.executed_at)
        settles = fill.settlement_date
        if settles is None and defined is not None and defined.settlement_days:
            calendar = "weekdays" if known_book is None else known_book.calendar
            settles = settlement_date(day, defined.settlement_days, calendar)
        # In the order of the fields of `TradeBooked`.
        return _trade_booked(
            event_id,
            fill.correlation_id or fill.event_id,
            fill.event_id,
            1,
            fill.source,
            trade_id,
            book,
            instrument,
            fill.quantity if fill.side is _BUY else -fill.quantity,
            fill.price,
            fill.executed_at,
            fill.recorded_at,
            source_sequence,
            fill.fees,
            multiplier,
            inverse,
            currency,
            reference.lot_method(book, instrument_class),
            reference.fee_policy(book),
            day,
            settles,
            fill.accrued_interest,
            fill.entity or entity,
            fill.account,
            fill.strategy,
            fill.trader,
            fill.counterparty,
            fill.venue,
            underlying,
            instrument_class,
            fill.group_id,
            fill.leg,
            reference.posting_rules,
        )


def _terms_fault(fill: Any, defined: Any) -> Fault | None:
    """A fill may repeat the terms of a defined instrument, not contradict them."""
    for name in ("multiplier", "inverse", "currency"):
        found, expected = getattr(fill, name), getattr(defined, name)
        if found is not None and found != expected and not (name == "currency" and not expected):
            return Fault(
                f"{name} contradicts the instrument's definition", name, f"{expected}, as defined", str(found)
            )
    return None
