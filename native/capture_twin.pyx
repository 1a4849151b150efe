# cython: language_level=3, boundscheck=False, wraparound=False
"""The capture stage's usual case, compiled: a sound new trade that names its book, of a trade id never seen.

Owns nothing: it reads and changes the same objects as the plain code (`agents.trade_capture`, `agents.capture_state`,
`domain.capture`) and writes the same bytes, so that either may go on where the other stopped.
Guarantees: what is not the usual case is left untouched for the plain code, before anything of it is changed.
"""

from hashlib import blake2b

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_GET_LENGTH
from libc.stdint cimport int64_t, uint64_t

from agents.capture_state import TRADE
from domain.capture import validation
from domain.capture.business_date import BusinessDays, settlement_date
from schemas import events as schemas_events, reference as schemas_reference, topics
from schemas.frames import wire
from schemas.numbers import DIGITS_MAX, ONE, ZERO
from schemas.units import IDENTIFIER_CHARACTERS_MAX, Action, FeePolicy, LotMethod, Regime, Side

include "common.pxi"

cdef extern from "checks.h":
    enum:
        PKS_NAME_MAX
    bint pks_take_integer(object, int64_t *)
    bint pks_plain_name(object)


FillEvent = wire(schemas_events.FillEvent)
Instrument = wire(schemas_reference.Instrument)
if not topics.BOOKINGS.merged:
    raise ImportError("expected bookings to be merged in the order of matching, found them written as they come")
if PKS_NAME_MAX != IDENTIFIER_CHARACTERS_MAX:
    raise ImportError("expected names of another length")

_BOOKINGS = topics.BOOKINGS
_BOOKINGS_NAME = topics.BOOKINGS.name
_NEW, _EXCHANGE, _BUY, _SELL = Action.NEW, Regime.EXCHANGE, Side.BUY, Side.SELL
_FIFO, _EXCLUDED = LotMethod.FIFO, FeePolicy.EXCLUDED
_begin_digest = blake2b(digest_size=16).copy

cdef int64_t EXECUTED_AT_MIN = validation.EXECUTED_AT_MIN, EXECUTED_AT_MAX = validation.EXECUTED_AT_MAX
cdef Py_ssize_t SPELLED_MAX = DIGITS_MAX, CHARACTERS_MAX = validation.TEXT_CHARACTERS_MAX
cdef bytes FAMILY = TRADE

# Where attributes stand in the objects that are read here.
cdef Py_ssize_t FILL_EVENT_ID = offset_of(FillEvent, "event_id")
cdef Py_ssize_t FILL_CORRELATION_ID = offset_of(FillEvent, "correlation_id")
cdef Py_ssize_t FILL_SOURCE = offset_of(FillEvent, "source")
cdef Py_ssize_t FILL_TRADE_ID = offset_of(FillEvent, "trade_id")
cdef Py_ssize_t FILL_INSTRUMENT = offset_of(FillEvent, "instrument")
cdef Py_ssize_t FILL_SIDE = offset_of(FillEvent, "side")
cdef Py_ssize_t FILL_QUANTITY = offset_of(FillEvent, "quantity")
cdef Py_ssize_t FILL_PRICE = offset_of(FillEvent, "price")
cdef Py_ssize_t FILL_EXECUTED_AT = offset_of(FillEvent, "executed_at")
cdef Py_ssize_t FILL_ACTION = offset_of(FillEvent, "action")
cdef Py_ssize_t FILL_KIND = offset_of(FillEvent, "kind")
cdef Py_ssize_t FILL_ORIGINAL_TRADE_ID = offset_of(FillEvent, "original_trade_id")
cdef Py_ssize_t FILL_BOOK = offset_of(FillEvent, "book")
cdef Py_ssize_t FILL_FEES = offset_of(FillEvent, "fees")
cdef Py_ssize_t FILL_RECORDED_AT = offset_of(FillEvent, "recorded_at")
cdef Py_ssize_t FILL_SEQUENCE = offset_of(FillEvent, "source_sequence")
cdef Py_ssize_t FILL_REGIME = offset_of(FillEvent, "regime")
cdef Py_ssize_t FILL_SCHEME = offset_of(FillEvent, "instrument_scheme")
cdef Py_ssize_t FILL_VENUE = offset_of(FillEvent, "venue")
cdef Py_ssize_t FILL_ACCOUNT = offset_of(FillEvent, "account")
cdef Py_ssize_t FILL_ENTITY = offset_of(FillEvent, "entity")
cdef Py_ssize_t FILL_STRATEGY = offset_of(FillEvent, "strategy")
cdef Py_ssize_t FILL_TRADER = offset_of(FillEvent, "trader")
cdef Py_ssize_t FILL_COUNTERPARTY = offset_of(FillEvent, "counterparty")
cdef Py_ssize_t FILL_UNDERLYING = offset_of(FillEvent, "underlying")
cdef Py_ssize_t FILL_CLASS = offset_of(FillEvent, "instrument_class")
cdef Py_ssize_t FILL_MULTIPLIER = offset_of(FillEvent, "multiplier")
cdef Py_ssize_t FILL_INVERSE = offset_of(FillEvent, "inverse")
cdef Py_ssize_t FILL_CURRENCY = offset_of(FillEvent, "currency")
cdef Py_ssize_t FILL_ACCRUED = offset_of(FillEvent, "accrued_interest")
cdef Py_ssize_t FILL_SETTLEMENT_DATE = offset_of(FillEvent, "settlement_date")
cdef Py_ssize_t FILL_GROUP_ID = offset_of(FillEvent, "group_id")
cdef Py_ssize_t FILL_LEG = offset_of(FillEvent, "leg")
cdef Py_ssize_t FILL_HASH = offset_of(FillEvent, "idempotency_hash")
cdef Py_ssize_t DEFINED_CLASS = offset_of(Instrument, "instrument_class")
cdef Py_ssize_t DEFINED_CURRENCY = offset_of(Instrument, "currency")
cdef Py_ssize_t DEFINED_MULTIPLIER = offset_of(Instrument, "multiplier")
cdef Py_ssize_t DEFINED_INVERSE = offset_of(Instrument, "inverse")
cdef Py_ssize_t DEFINED_UNDERLYING = offset_of(Instrument, "underlying")
cdef Py_ssize_t DEFINED_SETTLEMENT_DAYS = offset_of(Instrument, "settlement_days")
cdef Py_ssize_t DAYS_START = offset_of(BusinessDays, "_start")
cdef Py_ssize_t DAYS_END = offset_of(BusinessDays, "_end")
cdef Py_ssize_t DAYS_DATE = offset_of(BusinessDays, "_date")

cdef Py_ssize_t TEXTS[16]
cdef int TEXTS_REQUIRED = 0, TEXTS_ALL = 16
for _name in validation.TEXTS:
    if _name not in ("group_id", "idempotency_hash", "currency"):
        TEXTS[TEXTS_REQUIRED] = offset_of(FillEvent, _name)
        TEXTS_REQUIRED += 1
TEXTS[TEXTS_REQUIRED] = FILL_GROUP_ID
TEXTS[TEXTS_REQUIRED + 1] = FILL_HASH
TEXTS[TEXTS_REQUIRED + 2] = FILL_CURRENCY
if TEXTS_REQUIRED + 3 != TEXTS_ALL or len(validation.TEXTS) != TEXTS_ALL:
    raise ImportError("expected other texts in a fill")


cdef class _Booking:
    """What a fill is booked with, beside what it says itself: the terms, the days, the numbers and their spelling."""

    cdef object booker, reference
    cdef dict instruments, books, days
    cdef object multiplier, currency, instrument_class, underlying
    cdef object lot_method, fee_policy, entity, day, settles
    cdef int64_t posting_rules
    cdef int64_t executed_at, recorded_at, sequence, leg
    cdef char quantity[PKS_SPELLED_MAX]
    cdef char price[PKS_SPELLED_MAX]
    cdef Py_ssize_t quantity_size, price_size

    def __init__(self, booker):
        self.booker, self.reference = booker, booker.reference
        self.instruments, self.books, self.days = self.reference.instruments, self.reference.books, booker.days()
        self.posting_rules = self.reference.posting_rules


# -- capturing ----------------------------------------------------------------------------------------------------


def capture(state, events, Py_ssize_t place, step):
    """Capture the events from `place` on, while each is the usual case and of the source of the first.

    Returns the place of the first that is not; all before it are booked, as `agents.trade_capture` would have.
    """
    cdef _Writer writer = _Writer()
    cdef _Booking booking = _Booking(state.booker)
    cdef dict changes = state.table.changes, outputs = step._outputs_by_key, waiting = state.waiting
    cdef list fills = events if type(events) is list else list(events)
    cdef Py_ssize_t count = PyList_GET_SIZE(fills)
    known = state.known_trades
    source = None
    while place < count:
        fill = <object>PyList_GET_ITEM(fills, place)
        if type(fill) is not FillEvent or not _is_sound(fill, booking):
            break
        if source is None:
            source = get(fill, FILL_SOURCE)
        elif not _same_text(source, get(fill, FILL_SOURCE)):
            break
        trade_id = get(fill, FILL_TRADE_ID)
        pks_write(&writer.out, FAMILY, 1)
        pks_write_text(&writer.out, trade_id)
        key = writer.taken()
        new = _is_new(known, key)
        if (not new and state.table.get(key) is not None) or (waiting and trade_id in waiting):
            break
        if not _resolve(fill, booking):
            break
        if new:
            _note(known, key)
        else:
            known.seen(key)
        content = _digest(writer, fill, booking)
        book = get(fill, FILL_BOOK)
        _pack_record(&writer.out, content, book, booking.sequence)
        PyDict_SetItem(changes, key, writer.taken())
        found = PyDict_GetItemWithError(outputs, (_BOOKINGS_NAME, book))
        output = step.bucket(_BOOKINGS, book) if found == NULL else <object>found
        _write_booked(&writer.out, fill, get(fill, FILL_EVENT_ID) or content.hex(), booking)
        (<list>output.encoded).append(writer.taken())
        (<list>output.orders).append((get(fill, FILL_EXECUTED_AT), get(fill, FILL_SEQUENCE)))
        place += 1
    return place


cdef bint _is_sound(object fill, _Booking booking) except -1:
    """Whether a fill surely passes all checks (`domain.capture.validation._sound`), and is plain beside that."""
    if (
        get(fill, FILL_ACTION) is not _NEW
        or get(fill, FILL_REGIME) is not _EXCHANGE
        or get(fill, FILL_ORIGINAL_TRADE_ID) is not None
        or get(fill, FILL_KIND) is not None
        or get(fill, FILL_MULTIPLIER) is not None
        or get(fill, FILL_SETTLEMENT_DATE) is not None
        or get(fill, FILL_FEES) is not ()
        or get(fill, FILL_ACCRUED) is not ZERO
        or get(fill, FILL_HASH)
        or not pks_take_integer(get(fill, FILL_EXECUTED_AT), &booking.executed_at)
        or not EXECUTED_AT_MIN <= booking.executed_at < EXECUTED_AT_MAX
        or not pks_take_integer(get(fill, FILL_RECORDED_AT), &booking.recorded_at)
        or not 0 <= booking.recorded_at < EXECUTED_AT_MAX
        or not pks_take_integer(get(fill, FILL_SEQUENCE), &booking.sequence)
        or not pks_take_integer(get(fill, FILL_LEG), &booking.leg)
        or not pks_plain_name(get(fill, FILL_TRADE_ID))
        or not pks_plain_name(get(fill, FILL_INSTRUMENT))
        or not pks_plain_name(get(fill, FILL_BOOK))
    ):
        return False
    side, quantity, price = get(fill, FILL_SIDE), get(fill, FILL_QUANTITY), get(fill, FILL_PRICE)
    if (side is not _BUY and side is not _SELL) or pks_sign(quantity) != 1 or pks_sign(price) == -2:
        return False
    booking.quantity_size = pks_spell(quantity, booking.quantity)
    booking.price_size = pks_spell(price, booking.price)
    # What is spelled without an exponent has no digit beyond the sixth zero behind the point.
    if not 0 < booking.quantity_size <= SPELLED_MAX or not 0 < booking.price_size <= SPELLED_MAX:
        return False
    return _texts_are_short(fill)


cdef bint _texts_are_short(object fill) except -1:
    """Whether the free texts of a fill are texts, and short all together."""
    cdef Py_ssize_t characters = 0
    cdef int place
    for place in range(TEXTS_ALL):
        text = get(fill, TEXTS[place])
        if text is None and place >= TEXTS_REQUIRED:
            continue
        if not PyUnicode_CheckExact(text):
            return False
        characters += PyUnicode_GET_LENGTH(text)
    return characters <= CHARACTERS_MAX


cdef bint _resolve(object fill, _Booking booking) except -1:
    """Find the terms and days of a fill (`domain.capture.booking.Booker.book`); False where that is not usual."""
    if get(fill, FILL_SCHEME) != "id":
        return False
    book, currency, inverse = get(fill, FILL_BOOK), get(fill, FILL_CURRENCY), get(fill, FILL_INVERSE)
    found = PyDict_GetItemWithError(booking.instruments, get(fill, FILL_INSTRUMENT))
    settlement_days = 0
    if inverse is not None and inverse is not False:
        return False
    if found == NULL:
        booking.multiplier, booking.currency = ONE, "" if currency is None else currency
        booking.instrument_class, booking.underlying = get(fill, FILL_CLASS), get(fill, FILL_UNDERLYING)
    else:
        defined = <object>found
        booking.multiplier, booking.currency = get(defined, DEFINED_MULTIPLIER), get(defined, DEFINED_CURRENCY)
        booking.instrument_class, booking.underlying = get(defined, DEFINED_CLASS), get(defined, DEFINED_UNDERLYING)
        settlement_days = get(defined, DEFINED_SETTLEMENT_DAYS)
        if get(defined, DEFINED_INVERSE) is not False:
            return False
        if currency is not None and booking.currency and currency != booking.currency:
            return False
    known_book = None
    found = PyDict_GetItemWithError(booking.books, book)
    booking.entity = get(fill, FILL_ENTITY)
    if found == NULL:
        booking.lot_method, booking.fee_policy = _FIFO, _EXCLUDED
    else:
        known_book = <object>found
        booking.lot_method = booking.reference.lot_method(book, booking.instrument_class)
        booking.fee_policy = booking.reference.fee_policy(book)
        if booking.entity and known_book.entity and booking.entity != known_book.entity:
            return False
        booking.entity = booking.entity or known_book.entity
    booking.day = _business_date(booking, book, get(fill, FILL_EXECUTED_AT))
    booking.settles = None
    if settlement_days:
        calendar = "weekdays" if known_book is None else known_book.calendar
        booking.settles = settlement_date(booking.day, settlement_days, calendar)
    return True


cdef object _business_date(_Booking booking, object book, object executed_at):
    found = PyDict_GetItemWithError(booking.days, book)
    if found != NULL:
        days = <object>found
        if <int64_t>get(days, DAYS_START) <= booking.executed_at < <int64_t>get(days, DAYS_END):
            return get(days, DAYS_DATE)
    return booking.booker.business_date(book, executed_at)


# -- what is written ----------------------------------------------------------------------------------------------


cdef bytes _digest(_Writer writer, object fill, _Booking booking):
    """`domain.capture.lifecycle.content_digest` of a sound fill."""
    cdef pks_bytes *out = &writer.out
    inverse, currency = get(fill, FILL_INVERSE), get(fill, FILL_CURRENCY)
    pks_write_text(out, get(fill, FILL_TRADE_ID))
    pks_write(out, b"\x00NEW\x00\x00", 6)
    _part(out, get(fill, FILL_BOOK))
    _part(out, get(fill, FILL_SCHEME))
    _part(out, get(fill, FILL_INSTRUMENT))
    if get(fill, FILL_SIDE) is _BUY:
        pks_write(out, b"BUY\x00", 4)
    else:
        pks_write(out, b"SELL\x00", 5)
    _normal_part(out, get(fill, FILL_QUANTITY))
    _normal_part(out, get(fill, FILL_PRICE))
    pks_write(out, b"\x00", 1)
    pks_json_integer(out, booking.executed_at)
    pks_write(out, b"\x00\x00", 2)
    if inverse is not None:
        pks_write(out, b"False", 5)
    pks_write(out, b"\x00", 1)
    if currency is None:
        pks_write(out, b"-", 1)
    else:
        pks_write(out, b"=", 1)
        pks_write_text(out, currency)
    pks_write(out, b"\x000\x00\x00", 4)
    _part(out, get(fill, FILL_VENUE))
    _part(out, get(fill, FILL_ACCOUNT))
    _part(out, get(fill, FILL_STRATEGY))
    pks_write_text(out, get(fill, FILL_COUNTERPARTY))
    digest = _begin_digest()
    digest.update(writer.taken())
    return digest.digest()


cdef int _part(pks_bytes *out, object text) except -1:
    pks_write_text(out, text)
    return pks_write(out, b"\x00", 1)


cdef int _normal_part(pks_bytes *out, object number) except -1:
    cdef char spelled[PKS_SPELLED_MAX]
    cdef Py_ssize_t size = pks_spell_normal(number, spelled)
    if size:
        pks_write(out, spelled, size)
    else:
        pks_write_text(out, str(number.normalize()))
    return pks_write(out, b"\x00", 1)


cdef int _pack_record(pks_bytes *out, bytes content, object book, int64_t sequence) except -1:
    """`domain.capture.lifecycle.TradeRecord` of a trade that is booked."""
    pks_write(out, b"\x94\xa6booked\xc4\x10", 10)
    pks_write(out, content, 16)
    pks_pack_text(out, book)
    pks_pack_integer(out, sequence)
    return 0


cdef int _write_booked(pks_bytes *out, object fill, object fill_id, _Booking booking) except -1:
    """The `TradeBooked` of a fill, as `domain.capture.booking.Booker.book` has it encoded."""
    cause = get(fill, FILL_EVENT_ID)
    pks_write(out, b'{"type":"TradeBooked","event_id":', 33)
    pks_json_text(out, fill_id)
    out.size -= 1  # the quote: the id goes on
    pks_write(out, b'.c0"', 4)
    _text(out, b',"correlation_id":', 18, get(fill, FILL_CORRELATION_ID) or cause)
    _text(out, b',"causation_id":', 16, cause)
    _text(out, b',"source":', 10, get(fill, FILL_SOURCE))
    pks_write(out, b',"trade_id":', 12)
    pks_json_text(out, get(fill, FILL_TRADE_ID))
    pks_write(out, b',"book":', 8)
    pks_json_text(out, get(fill, FILL_BOOK))
    pks_write(out, b',"instrument":', 14)
    pks_json_text(out, get(fill, FILL_INSTRUMENT))
    if get(fill, FILL_SIDE) is _BUY:
        pks_write(out, b',"quantity":"', 13)
    else:
        pks_write(out, b',"quantity":"-', 14)
    pks_write(out, booking.quantity, booking.quantity_size)
    pks_write(out, b'","price":', 10)
    pks_json_spelled(out, booking.price, booking.price_size)
    pks_write(out, b',"executed_at":', 15)
    pks_json_integer(out, booking.executed_at)
    _integer(out, b',"recorded_at":', 15, booking.recorded_at)
    _integer(out, b',"source_sequence":', 19, booking.sequence)
    return _write_terms(out, fill, booking)


cdef int _write_terms(pks_bytes *out, object fill, _Booking booking) except -1:
    if booking.multiplier is not ONE:
        pks_write(out, b',"multiplier":', 14)
        pks_json_decimal(out, booking.multiplier)
    _text(out, b',"settlement_currency":', 23, booking.currency)
    if booking.lot_method is not _FIFO:
        pks_write(out, b',"lot_method":', 14)
        pks_json_text(out, booking.lot_method)
    if booking.fee_policy is not _EXCLUDED:
        pks_write(out, b',"fee_policy":', 14)
        pks_json_text(out, booking.fee_policy)
    _text(out, b',"business_date":', 17, booking.day)
    if booking.settles is not None:
        pks_write(out, b',"settlement_date":', 19)
        pks_json_text(out, booking.settles)
    _text(out, b',"entity":', 10, booking.entity)
    _text(out, b',"account":', 11, get(fill, FILL_ACCOUNT))
    _text(out, b',"strategy":', 12, get(fill, FILL_STRATEGY))
    _text(out, b',"trader":', 10, get(fill, FILL_TRADER))
    _text(out, b',"counterparty":', 16, get(fill, FILL_COUNTERPARTY))
    _text(out, b',"venue":', 9, get(fill, FILL_VENUE))
    _text(out, b',"underlying":', 14, booking.underlying)
    _text(out, b',"instrument_class":', 20, booking.instrument_class)
    group_id = get(fill, FILL_GROUP_ID)
    if group_id is not None:
        pks_write(out, b',"group_id":', 12)
        pks_json_text(out, group_id)
    _integer(out, b',"leg":', 7, booking.leg)
    _integer(out, b',"posting_rules":', 17, booking.posting_rules)
    return pks_write(out, b"}", 1)


cdef inline int _integer(pks_bytes *out, const char *name, Py_ssize_t size, int64_t number) except -1:
    """A field that is left out where it is zero."""
    if number:
        pks_write(out, name, size)
        pks_json_integer(out, number)
    return 0
