# cython: language_level=3, boundscheck=False, wraparound=False
"""The positions stage's usual case, compiled: a trade in order, FIFO, fees in no lot, on a position in memory.

Owns nothing: it reads and changes the same objects as the plain code (`agents.positions`, `agents.open_position`,
`agents.journal_chunks`, `agents.position_updates`, `domain.lots.matching`) and writes the same bytes, so that either
may go on where the other stopped. Arithmetic is that of `decimal`, in the same order.
Guarantees: what is not the usual case is left untouched for the plain code, before anything of it is changed.
"""

from collections import deque
from itertools import islice

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.unicode cimport PyUnicode_Compare
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from agents import journal as journals, open_position, position_state
from agents.corrections import terms_of
from domain.lots.matching import _reduced
from domain.lots.outcomes import Closed
from domain.lots.position import Lot, Position, Terms, Trade, average_price
from schemas import events, topics
from schemas.frames import encode_event, wire
from schemas.numbers import ONE, ZERO
from schemas.units import FeePolicy, LotMethod

include "common.pxi"

cdef extern from "slots.h":
    void fill "pks_fill" (object, Py_ssize_t, PyObject *)
cdef extern from "Python.h":
    object new_of "PyType_GenericAlloc" (PyTypeObject *, Py_ssize_t)

TradeBooked = wire(events.TradeBooked)
if topics.POSITIONS.merged:
    raise ImportError("expected updated positions to be written as they come, found their topic merged")

_POSITIONS = topics.POSITIONS
_POSITIONS_NAME = topics.POSITIONS.name
Journal = journals.Journal
_FIFO, _EXCLUDED = LotMethod.FIFO, FeePolicy.EXCLUDED
_append, _appendleft, _popleft = deque.append, deque.appendleft, deque.popleft
_check_position, _CHECKED_LOTS_MAX = open_position.check_position, position_state.CHECKED_LOTS_MAX

# Where attributes stand in the objects that are read and changed here.
cdef Py_ssize_t EVENT_ID = offset_of(TradeBooked, "event_id")
cdef Py_ssize_t EVENT_CORRELATION_ID = offset_of(TradeBooked, "correlation_id")
cdef Py_ssize_t EVENT_SOURCE = offset_of(TradeBooked, "source")
cdef Py_ssize_t EVENT_TRADE_ID = offset_of(TradeBooked, "trade_id")
cdef Py_ssize_t EVENT_BOOK = offset_of(TradeBooked, "book")
cdef Py_ssize_t EVENT_INSTRUMENT = offset_of(TradeBooked, "instrument")
cdef Py_ssize_t EVENT_QUANTITY = offset_of(TradeBooked, "quantity")
cdef Py_ssize_t EVENT_PRICE = offset_of(TradeBooked, "price")
cdef Py_ssize_t EVENT_EXECUTED_AT = offset_of(TradeBooked, "executed_at")
cdef Py_ssize_t EVENT_SEQUENCE = offset_of(TradeBooked, "source_sequence")
cdef Py_ssize_t EVENT_FEES = offset_of(TradeBooked, "fees")
cdef Py_ssize_t EVENT_MULTIPLIER = offset_of(TradeBooked, "multiplier")
cdef Py_ssize_t EVENT_INVERSE = offset_of(TradeBooked, "inverse")
cdef Py_ssize_t EVENT_CURRENCY = offset_of(TradeBooked, "settlement_currency")
cdef Py_ssize_t EVENT_LOT_METHOD = offset_of(TradeBooked, "lot_method")
cdef Py_ssize_t EVENT_FEE_POLICY = offset_of(TradeBooked, "fee_policy")
cdef Py_ssize_t EVENT_ACCRUED = offset_of(TradeBooked, "accrued_interest")
cdef Py_ssize_t EVENT_BUSINESS_DATE = offset_of(TradeBooked, "business_date")
cdef Py_ssize_t EVENT_SETTLEMENT_DATE = offset_of(TradeBooked, "settlement_date")
cdef Py_ssize_t EVENT_ENTITY = offset_of(TradeBooked, "entity")
cdef Py_ssize_t EVENT_ACCOUNT = offset_of(TradeBooked, "account")
cdef Py_ssize_t EVENT_UNDERLYING = offset_of(TradeBooked, "underlying")
cdef Py_ssize_t EVENT_CLASS = offset_of(TradeBooked, "instrument_class")
cdef Py_ssize_t EVENT_POSTING_RULES = offset_of(TradeBooked, "posting_rules")
cdef Py_ssize_t TERMS_LOT_METHOD = offset_of(Terms, "lot_method")
cdef Py_ssize_t TERMS_FEE_POLICY = offset_of(Terms, "fee_policy")
cdef Py_ssize_t TERMS_MULTIPLIER = offset_of(Terms, "multiplier")
cdef Py_ssize_t TERMS_INVERSE = offset_of(Terms, "inverse")
cdef Py_ssize_t TERMS_CURRENCY = offset_of(Terms, "currency")
cdef Py_ssize_t TRADE_ID = offset_of(Trade, "trade_id")
cdef Py_ssize_t TRADE_EXECUTED_AT = offset_of(Trade, "executed_at")
cdef Py_ssize_t TRADE_SEQUENCE = offset_of(Trade, "source_sequence")
cdef Py_ssize_t TRADE_QUANTITY = offset_of(Trade, "quantity")
cdef Py_ssize_t TRADE_PRICE = offset_of(Trade, "price")
cdef Py_ssize_t TRADE_FEE = offset_of(Trade, "fee")
cdef Py_ssize_t LOT_TRADE_ID = offset_of(Lot, "trade_id")
cdef Py_ssize_t LOT_EXECUTED_AT = offset_of(Lot, "executed_at")
cdef Py_ssize_t LOT_SEQUENCE = offset_of(Lot, "source_sequence")
cdef Py_ssize_t LOT_QUANTITY = offset_of(Lot, "quantity")
cdef Py_ssize_t LOT_PRICE = offset_of(Lot, "price")
cdef Py_ssize_t LOT_VALUE = offset_of(Lot, "value")
cdef Py_ssize_t LOT_FEE = offset_of(Lot, "fee")
cdef Py_ssize_t CLOSED_REALISED_PNL = offset_of(Closed, "realised_pnl")
cdef Py_ssize_t CLOSED_CONSUMED = offset_of(Closed, "consumed")
cdef Py_ssize_t CLOSED_LEFT = offset_of(Closed, "left")
cdef Py_ssize_t POSITION_TERMS = offset_of(Position, "terms")
cdef Py_ssize_t POSITION_QUANTITY = offset_of(Position, "quantity")
cdef Py_ssize_t POSITION_VALUE = offset_of(Position, "value")
cdef Py_ssize_t POSITION_REALISED_PNL = offset_of(Position, "realised_pnl")
cdef Py_ssize_t POSITION_NET_REALISED_PNL = offset_of(Position, "net_realised_pnl")
cdef Py_ssize_t POSITION_FEES = offset_of(Position, "fees")
cdef Py_ssize_t POSITION_HELD_FEES = offset_of(Position, "held_fees")
cdef Py_ssize_t POSITION_LOTS = offset_of(Position, "lots")
OpenPosition = open_position.OpenPosition
cdef Py_ssize_t OPENED_POSITION = offset_of(OpenPosition, "position")
cdef Py_ssize_t OPENED_KEY = offset_of(OpenPosition, "key")
cdef Py_ssize_t OPENED_TERMS = offset_of(OpenPosition, "encoded_terms")
cdef Py_ssize_t OPENED_REVISION = offset_of(OpenPosition, "revision")
cdef Py_ssize_t OPENED_LAST = offset_of(OpenPosition, "last")
cdef Py_ssize_t OPENED_JOURNAL = offset_of(OpenPosition, "_journal")
cdef Py_ssize_t OPENED_STORED_LOTS = offset_of(OpenPosition, "stored_lots")
cdef Py_ssize_t OPENED_KEPT_LOTS = offset_of(OpenPosition, "kept_lots")
cdef Py_ssize_t OPENED_GONE = offset_of(OpenPosition, "gone")
cdef Py_ssize_t OPENED_PART = offset_of(OpenPosition, "part")
cdef Py_ssize_t OPENED_LOT_CHANGES = offset_of(OpenPosition, "lot_changes")
cdef Py_ssize_t OPENED_DIRTY = offset_of(OpenPosition, "dirty")
if set(Journal.__slots__) != {"_chunks", "_dropped", "_end", "_key", "_outcomes", "_trades"}:
    raise ImportError("expected a journal of other attributes")
_new_journal = Journal.__new__
cdef Py_ssize_t JOURNAL_KEY = offset_of(Journal, "_key")
cdef Py_ssize_t JOURNAL_END = offset_of(Journal, "_end")
cdef Py_ssize_t JOURNAL_CHUNKS = offset_of(Journal, "_chunks")
cdef Py_ssize_t JOURNAL_DROPPED = offset_of(Journal, "_dropped")
cdef Py_ssize_t JOURNAL_TRADES = offset_of(Journal, "_trades")
cdef Py_ssize_t JOURNAL_OUTCOMES = offset_of(Journal, "_outcomes")

cdef Py_ssize_t[3] OPENED_SLOTS
OPENED_SLOTS[0], OPENED_SLOTS[1], OPENED_SLOTS[2] = OPENED_POSITION, OPENED_JOURNAL, OPENED_LAST
cdef Py_ssize_t[5] POSITION_SLOTS
POSITION_SLOTS[0], POSITION_SLOTS[1] = POSITION_QUANTITY, POSITION_VALUE
POSITION_SLOTS[2], POSITION_SLOTS[3], POSITION_SLOTS[4] = POSITION_REALISED_PNL, POSITION_LOTS, POSITION_NET_REALISED_PNL

cdef enum:
    AHEAD = 8
    FAR = 6
    NEAR = 4
    NEXT = 2


cdef struct _Ahead:
    Py_ssize_t place
    PyObject *found[AHEAD]


cdef uint64_t SIGN = <uint64_t>1 << 63
cdef int NOTHING = 0, REST = 1, OPENED_A_LOT = 2, FURTHER = 4


cdef class _Done:
    """What a trade did, as `domain.lots.matching.Applied` has it; `consumed` is None where it only opened a lot."""

    cdef object value
    cdef object realised_pnl
    cdef tuple consumed
    cdef object rest
    cdef int left


for _made in (Trade, Lot, Closed):
    if _made.__basicsize__ != object.__basicsize__ + 8 * len(_made.__struct_fields__):
        raise ImportError(f"expected nothing but its fields in {_made}")
for _same in ("trade_id", "executed_at", "source_sequence"):
    if offset_of(Trade, _same) != offset_of(Lot, _same):
        raise ImportError(f"expected {_same} of a trade and of a lot to stand at one place")


# -- booking ------------------------------------------------------------------------------------------------------


def book(state, events, Py_ssize_t place, step):
    """Book the events from `place` on, while each is the usual case and of the source of the first.

    Returns the place of the first that is not; all before it are booked, as `agents.positions` would have.
    """
    cdef _Writer writer = _Writer()
    cdef _Done done = _Done()
    cdef dict cache = state.cache, changes = state.table.changes, outputs = step._outputs_by_key
    cdef list waiting = events if type(events) is list else list(events)
    cdef Py_ssize_t count = PyList_GET_SIZE(waiting)
    cdef list dirty = state._dirty
    cdef bint silent = step.silent, new
    cdef _Ahead ahead
    ahead.place = place
    known = state.known_trades
    source = None
    while place < count:
        event = <object>PyList_GET_ITEM(waiting, place)
        if type(event) is not TradeBooked:
            break
        if source is None:
            source = get(event, EVENT_SOURCE)
        elif not _same_text(source, get(event, EVENT_SOURCE)):
            break
        book_name, instrument = get(event, EVENT_BOOK), get(event, EVENT_INSTRUMENT)
        pks_write(&writer.out, b"t", 1)
        pks_write_text(&writer.out, book_name)
        pks_write(&writer.out, b"\x00", 1)
        pks_write_text(&writer.out, get(event, EVENT_TRADE_ID))
        key = writer.taken()
        new = _is_new(known, key)
        if not new and state.table.get(key) is not None:
            break
        found = _ahead(&ahead, cache, waiting, place, count)
        if found == NULL:
            found = PyDict_GetItemWithError(cache, (book_name, instrument))
        opened = state.find_or_make(book_name, instrument, terms_of(event)) if found == NULL else <object>found
        order = _usual(opened, event)
        if order is None:
            break
        if new:
            _note(known, key)
        else:
            known.seen(key)
        if not get(opened, OPENED_DIRTY):
            put(opened, OPENED_DIRTY, True)
            dirty.append(opened)
            step.touched[book_name, instrument] = opened
        trade = _trade(event, <tuple>order)
        _match(opened, trade, done)
        put(opened, OPENED_LAST, order)
        revision = get(opened, OPENED_REVISION) + 1
        put(opened, OPENED_REVISION, revision)
        if not silent:
            found = PyDict_GetItemWithError(outputs, (_POSITIONS_NAME, book_name))
            output = step.bucket(_POSITIONS, book_name) if found == NULL else <object>found
            _write_updated(writer, opened, event, trade, done, revision)
            output.encoded.append(writer.taken())
        pks_write(&writer.out, b"\x01", 1)
        pks_write_word(&writer.out, <uint64_t><int64_t>order[0])
        pks_write_word(&writer.out, <uint64_t><int64_t>order[1])
        pks_write_text(&writer.out, instrument)
        PyDict_SetItem(changes, key, writer.taken())
        place += 1
    return place


cdef PyObject *_ahead(_Ahead *ahead, dict cache, list waiting, Py_ssize_t place, Py_ssize_t count) except? NULL:
    """The position of the event at a place, where it is in memory; those of the events behind it begin to be fetched.

    An event's position is looked for `FAR` events before its turn, what it points to some events later: each look finds
    in the processor's caches what the one before it has asked for. Nothing leaves the cache while events are booked.
    """
    cdef PyObject *found
    while ahead.place < count and ahead.place <= place + FAR:
        event = <object>PyList_GET_ITEM(waiting, ahead.place)
        found = NULL
        if type(event) is TradeBooked:
            found = PyDict_GetItemWithError(cache, (get(event, EVENT_BOOK), get(event, EVENT_INSTRUMENT)))
        pks_ask_for(found)
        ahead.found[ahead.place % AHEAD] = found
        ahead.place += 1
    if place + NEAR < ahead.place:
        pks_ask_for_slots(ahead.found[(place + NEAR) % AHEAD], OPENED_SLOTS, 3)
    if place + NEXT < ahead.place:
        found = ahead.found[(place + NEXT) % AHEAD]
        if found != NULL:
            pks_ask_for_slots(pks_slot(found, OPENED_POSITION), POSITION_SLOTS, 5)
    return ahead.found[place % AHEAD]


cdef tuple _usual(object opened, object event):
    """The place in the order of matching of a trade that is the usual case for its position; None where it is not."""
    cdef int64_t executed_at, sequence, last_executed_at, last_sequence
    cdef int sign
    position = get(opened, OPENED_POSITION)
    terms = get(position, POSITION_TERMS)
    if (
        get(event, EVENT_LOT_METHOD) is not _FIFO
        or get(terms, TERMS_LOT_METHOD) is not _FIFO
        or get(event, EVENT_FEE_POLICY) is not _EXCLUDED
        or get(terms, TERMS_FEE_POLICY) is not _EXCLUDED
        or get(event, EVENT_INVERSE) is not False
        or get(terms, TERMS_INVERSE) is not False
        or get(opened, OPENED_LOT_CHANGES) is not None
        or get(position, POSITION_HELD_FEES) is not ZERO
        or not _same_text(get(event, EVENT_CURRENCY), get(terms, TERMS_CURRENCY))
    ):
        return None
    multiplier = get(event, EVENT_MULTIPLIER)
    if multiplier is not get(terms, TERMS_MULTIPLIER) and multiplier != get(terms, TERMS_MULTIPLIER):
        return None
    sign = pks_sign(get(event, EVENT_QUANTITY))
    if sign == 0 or sign == -2 or pks_sign(get(event, EVENT_PRICE)) == -2:
        return None
    order = (get(event, EVENT_EXECUTED_AT), get(event, EVENT_SEQUENCE), get(event, EVENT_TRADE_ID))
    last = <tuple>get(opened, OPENED_LAST)
    try:
        executed_at, sequence, last_executed_at, last_sequence = order[0], order[1], last[0], last[1]
    except OverflowError:
        return None
    if executed_at != last_executed_at:
        return order if executed_at > last_executed_at else None
    if sequence != last_sequence:
        return order if sequence > last_sequence else None
    return order if PyUnicode_Compare(order[2], last[2]) > 0 else None


cdef object _fee(object event):
    fees = get(event, EVENT_FEES)
    return position_state.settlement_fee(event) if fees else ZERO


cdef int _match(object opened, object trade, _Done done) except -1:
    """Match a trade, and note what it did in the position, its lots and its journal."""
    position = get(opened, OPENED_POSITION)
    quantity = get(trade, TRADE_QUANTITY)
    held = get(position, POSITION_QUANTITY)
    cdef int sign = pks_sign(held)
    if sign == 0 or sign == pks_sign(quantity):
        _open(position, trade, quantity, done)
    else:
        _close(position, trade, quantity, sign > 0, done)
        _note_consumed(opened, done)
    put(position, POSITION_QUANTITY, plus(held, quantity))
    put(position, POSITION_VALUE, plus(get(position, POSITION_VALUE), done.value))
    if done.consumed is not None:
        realised, net = get(position, POSITION_REALISED_PNL), get(position, POSITION_NET_REALISED_PNL)
        total = plus(realised, done.realised_pnl)
        put(position, POSITION_REALISED_PNL, total)
        put(position, POSITION_NET_REALISED_PNL, total if net is realised else plus(net, done.realised_pnl))
    fee = get(trade, TRADE_FEE)
    if fee is not ZERO:
        put(position, POSITION_FEES, plus(get(position, POSITION_FEES), fee))
    journal = get(opened, OPENED_JOURNAL)
    if journal is None:
        journal = _new_journal(Journal)
        put(journal, JOURNAL_KEY, get(opened, OPENED_KEY))
        put(journal, JOURNAL_CHUNKS, [])
        put(journal, JOURNAL_TRADES, [])
        put(journal, JOURNAL_OUTCOMES, [])
        put(journal, JOURNAL_DROPPED, [])
        put(journal, JOURNAL_END, None)
        put(opened, OPENED_JOURNAL, journal)
    (<list>get(journal, JOURNAL_TRADES)).append(trade)
    (<list>get(journal, JOURNAL_OUTCOMES)).append(None if done.consumed is None else _closed(done))
    return 0


cdef inline object _lot(object source, object quantity, object price, object value, object fee):
    """A lot of a trade, or what is left of one: both say alike who opened it and when."""
    made = new_of(<PyTypeObject *>Lot, 0)
    fill(made, LOT_TRADE_ID, pks_slot(<PyObject *>source, LOT_TRADE_ID))
    fill(made, LOT_EXECUTED_AT, pks_slot(<PyObject *>source, LOT_EXECUTED_AT))
    fill(made, LOT_SEQUENCE, pks_slot(<PyObject *>source, LOT_SEQUENCE))
    fill(made, LOT_QUANTITY, <PyObject *>quantity)
    fill(made, LOT_PRICE, <PyObject *>price)
    fill(made, LOT_VALUE, <PyObject *>value)
    fill(made, LOT_FEE, <PyObject *>fee)
    return made


cdef inline object _trade(object event, tuple order):
    made, fee = new_of(<PyTypeObject *>Trade, 0), _fee(event)
    executed_at, sequence, trade_id = order
    fill(made, TRADE_ID, <PyObject *>trade_id)
    fill(made, TRADE_EXECUTED_AT, <PyObject *>executed_at)
    fill(made, TRADE_SEQUENCE, <PyObject *>sequence)
    fill(made, TRADE_QUANTITY, pks_slot(<PyObject *>event, EVENT_QUANTITY))
    fill(made, TRADE_PRICE, pks_slot(<PyObject *>event, EVENT_PRICE))
    fill(made, TRADE_FEE, <PyObject *>fee)
    return made


cdef inline object _closed(_Done done):
    cdef object left = done.left
    made = new_of(<PyTypeObject *>Closed, 0)
    fill(made, CLOSED_REALISED_PNL, <PyObject *>done.realised_pnl)
    fill(made, CLOSED_CONSUMED, <PyObject *>done.consumed)
    fill(made, CLOSED_LEFT, <PyObject *>left)
    return made


cdef int _open(object position, object trade, object quantity, _Done done) except -1:
    price = get(trade, TRADE_PRICE)
    done.value = times(quantity, price)
    done.realised_pnl, done.consumed, done.rest, done.left = ZERO, None, None, OPENED_A_LOT
    _append(get(position, POSITION_LOTS), _lot(trade, quantity, price, done.value, ZERO))
    return 0


cdef int _close(object position, object trade, object quantity, bint long, _Done done) except -1:
    terms, lots, price = get(position, POSITION_TERMS), get(position, POSITION_LOTS), get(trade, TRADE_PRICE)
    multiplier = get(terms, TERMS_MULTIPLIER)
    remaining = negative(quantity)
    relieved_value, realised = ZERO, ZERO
    cdef list consumed = []
    done.rest, done.left = None, NOTHING
    while pks_sign(remaining) and len(lots):
        lot = _popleft(lots)
        consumed.append(lot)
        closed = get(lot, LOT_QUANTITY)
        if _reaches(closed, remaining, long):
            remaining = less(remaining, closed)
            relieved = get(lot, LOT_VALUE)
        else:
            left = less(closed, remaining)
            value = times(left, get(lot, LOT_PRICE))
            if pks_sign(get(lot, LOT_FEE)):
                done.rest = _reduced(lot, remaining, terms)
            else:
                done.rest = _lot(lot, left, get(lot, LOT_PRICE), value, get(lot, LOT_FEE))
            done.left = REST
            _appendleft(lots, done.rest)
            closed, remaining = remaining, ZERO
            relieved = less(get(lot, LOT_VALUE), value)
        relieved_value = plus(relieved_value, relieved)
        gained = less(times(closed, price), relieved)
        realised = plus(realised, gained if multiplier is ONE else times(multiplier, gained))
    done.value = negative(relieved_value)
    if pks_sign(remaining):
        quantity = negative(remaining)
        value = times(quantity, price)
        _append(lots, _lot(trade, quantity, price, value, ZERO))
        done.value = plus(done.value, value)
        done.left = OPENED_A_LOT
    done.realised_pnl, done.consumed = realised, tuple(consumed)
    return 0


cdef inline bint _reaches(object closed, object remaining, bint long) except -1:
    """Whether a whole lot is closed: it is no larger than what remains to be closed, which has the same sign."""
    cdef int order = pks_compare_amounts(closed, remaining)
    if order != 2:
        return order <= 0
    return closed <= remaining if long else closed >= remaining


cdef int _note_consumed(object opened, _Done done) except -1:
    """Which stored lots are gone (`OpenPosition.note_lots`)."""
    cdef Py_ssize_t stored = get(opened, OPENED_STORED_LOTS), whole = len(done.consumed)
    if not stored:
        return 0
    if done.rest is not None:
        whole -= 1
    if whole >= stored:
        put(opened, OPENED_GONE, (<tuple>get(opened, OPENED_GONE)) + done.consumed[:stored])
        put(opened, OPENED_STORED_LOTS, 0)
        put(opened, OPENED_PART, False)
        return 0
    if whole:
        put(opened, OPENED_GONE, (<tuple>get(opened, OPENED_GONE)) + done.consumed[:whole])
        put(opened, OPENED_STORED_LOTS, stored - whole)
    put(opened, OPENED_PART, done.rest is not None)
    return 0


# -- what changed, as JSON ----------------------------------------------------------------------------------------


cdef int _write_updated(
    _Writer writer, object opened, object event, object trade, _Done done, object revision
) except -1:
    """The `PositionUpdated` of a trade, as `agents.position_updates.emit_in_order` has it encoded."""
    cdef pks_bytes *out = &writer.out
    position = get(opened, OPENED_POSITION)
    terms, lots = get(position, POSITION_TERMS), get(position, POSITION_LOTS)
    multiplier = get(terms, TERMS_MULTIPLIER)
    value, event_id = get(position, POSITION_VALUE), get(event, EVENT_ID)
    cost_basis = value if multiplier is ONE else times(value, multiplier)
    cost_basis_delta = done.value if multiplier is ONE else times(done.value, multiplier)
    cdef Py_ssize_t number = len(lots)
    pks_write(out, b'{"type":"PositionUpdated","event_id":', 37)
    pks_json_text(out, event_id)
    out.size -= 1  # the quote: the id goes on
    pks_write(out, b'.p0"', 4)
    _text(out, b',"correlation_id":', 18, get(event, EVENT_CORRELATION_ID))
    _text(out, b',"causation_id":', 16, event_id)
    _text(out, b',"source":', 10, get(event, EVENT_SOURCE))
    pks_write(out, b',"book":', 8)
    pks_json_text(out, get(event, EVENT_BOOK))
    pks_write(out, b',"instrument":', 14)
    pks_json_text(out, get(event, EVENT_INSTRUMENT))
    pks_write(out, b',"trade_id":', 12)
    pks_json_text(out, get(event, EVENT_TRADE_ID))
    pks_write(out, b',"revision":', 12)
    pks_json_integer(out, revision)
    pks_write(out, b',"executed_at":', 15)
    pks_json_integer(out, get(event, EVENT_EXECUTED_AT))
    pks_write(out, b',"quantity":', 12)
    pks_json_decimal(out, get(position, POSITION_QUANTITY))
    if number:
        pks_write(out, b',"average_price":', 17)
        if number == 1:
            pks_json_decimal(out, get(lots[0], LOT_PRICE))
        else:
            _write_average_price(out, value, get(position, POSITION_QUANTITY))
    _figure(out, b',"cost_basis":', 14, cost_basis)
    _figure(out, b',"realised_pnl":', 16, get(position, POSITION_REALISED_PNL))
    _figure(out, b',"net_realised_pnl":', 20, get(position, POSITION_NET_REALISED_PNL))
    _figure(out, b',"fees":', 8, get(position, POSITION_FEES))
    _text(out, b',"currency":', 12, get(terms, TERMS_CURRENCY))
    if number:
        pks_write(out, b',"lots_open":', 13)
        pks_json_integer(out, number)
    _figure(out, b',"quantity_delta":', 18, get(trade, TRADE_QUANTITY))
    _figure(out, b',"cost_basis_delta":', 20, cost_basis_delta)
    _figure(out, b',"realised_pnl_delta":', 22, done.realised_pnl)
    _figure(out, b',"net_realised_pnl_delta":', 26, done.realised_pnl)
    _figure(out, b',"fees_delta":', 14, get(trade, TRADE_FEE))
    return _write_trade(out, event, multiplier)


cdef int _write_trade(pks_bytes *out, object event, object multiplier) except -1:
    """What the trade was: the fields of `PositionUpdated` from `trade_price` on, whose position holds no fees."""
    cdef bytes fee
    cdef bint first = True
    pks_write(out, b',"trade_price":', 15)
    pks_json_decimal(out, get(event, EVENT_PRICE))
    fees = get(event, EVENT_FEES)
    if fees:
        pks_write(out, b',"trade_fees":', 14)
        for found in <tuple>fees:
            fee = encode_event(found)
            pks_write(out, b"[" if first else b",", 1)
            pks_write(out, fee, len(fee))
            first = False
        pks_write(out, b"]", 1)
    _figure(out, b',"accrued_interest":', 20, get(event, EVENT_ACCRUED))
    _text(out, b',"business_date":', 17, get(event, EVENT_BUSINESS_DATE))
    settles = get(event, EVENT_SETTLEMENT_DATE)
    if settles is not None:
        pks_write(out, b',"settlement_date":', 19)
        pks_json_text(out, settles)
    _text(out, b',"entity":', 10, get(event, EVENT_ENTITY))
    _text(out, b',"account":', 11, get(event, EVENT_ACCOUNT))
    _text(out, b',"underlying":', 14, get(event, EVENT_UNDERLYING))
    _text(out, b',"instrument_class":', 20, get(event, EVENT_CLASS))
    if multiplier is not ONE and multiplier != ONE:
        pks_write(out, b',"multiplier":', 14)
        pks_json_decimal(out, multiplier)
    rules = get(event, EVENT_POSTING_RULES)
    if rules:
        pks_write(out, b',"posting_rules":', 17)
        pks_json_integer(out, rules)
    return pks_write(out, b"}", 1)


cdef inline int _figure(pks_bytes *out, const char *name, Py_ssize_t size, object number) except -1:
    """A field that is left out where it is zero."""
    if pks_sign(number):
        pks_write(out, name, size)
        pks_json_decimal(out, number)
    return 0


cdef int _write_average_price(pks_bytes *out, object value, object quantity) except -1:
    cdef char spelled[PKS_SPELLED_MAX]
    cdef Py_ssize_t size = pks_spell_price(value, quantity, spelled)
    if size:
        return pks_json_spelled(out, spelled, size)
    return pks_json_decimal(out, average_price(quantity, value, False))


# -- what is stored, as MessagePack -------------------------------------------------------------------------------


def flush(state, list dirty):
    """Write what a step has changed of positions into the table partition, each held against its invariants.

    As `agents.position_state.PositionsState.flush` does for one, which takes those that are not the usual case.
    """
    cdef _Writer writer = _Writer()
    cdef dict changes = state.table.changes
    cdef set written = state._written
    cdef Py_ssize_t more_lots = 0, lots, entries_max = journals.CHUNK_ENTRIES_MAX
    cdef Py_ssize_t place, count = PyList_GET_SIZE(dirty)
    for place in range(count):
        opened = <object>PyList_GET_ITEM(dirty, place)
        if place + FAR < count:
            pks_ask_for(PyList_GET_ITEM(dirty, place + FAR))
        if place + NEAR < count:
            pks_ask_for_slots(PyList_GET_ITEM(dirty, place + NEAR), OPENED_SLOTS, 3)
        if place + NEXT < count:
            pks_ask_for_slots(pks_slot(PyList_GET_ITEM(dirty, place + NEXT), OPENED_POSITION), POSITION_SLOTS, 5)
        if not _stored_as_usual(opened):
            state.flush(opened)
            continue
        _check(opened)
        key = get(opened, OPENED_KEY)
        written.add(key)
        _write_position(writer, opened, key, entries_max, changes)
        lots = get(opened, OPENED_STORED_LOTS)
        more_lots += lots - <Py_ssize_t>get(opened, OPENED_KEPT_LOTS)
        put(opened, OPENED_KEPT_LOTS, lots)
    state._cached_lots += more_lots


cdef bint _stored_as_usual(object opened) except -1:
    journal = get(opened, OPENED_JOURNAL)
    if (
        get(opened, OPENED_LOT_CHANGES) is not None
        or not get(opened, OPENED_REVISION)
        or get(get(opened, OPENED_POSITION), POSITION_TERMS) is not get(opened, OPENED_TERMS)[0]
    ):
        return False
    if journal is None:
        return True
    if get(journal, JOURNAL_CHUNKS) or get(journal, JOURNAL_DROPPED):
        return False
    for found in <list>get(journal, JOURNAL_OUTCOMES):
        if found is not None and type(found) is not Closed:
            return False
    return True


cdef int _check(object opened) except -1:
    """The identities of a position with two lots or fewer; `check_position` has the others."""
    position = get(opened, OPENED_POSITION)
    lots = get(position, POSITION_LOTS)
    quantity, value, fees = (
        get(position, POSITION_QUANTITY),
        get(position, POSITION_VALUE),
        get(position, POSITION_HELD_FEES),
    )
    cdef Py_ssize_t number = len(lots)
    cdef int sign = pks_sign(quantity)
    if number > <Py_ssize_t>_CHECKED_LOTS_MAX and sign:
        return 0
    if number == 0 and sign == 0 and pks_sign(value) == 0 and pks_sign(fees) == 0:
        return 0
    if number == 1 or number == 2:
        lot = lots[0]
        held, worth, paid = get(lot, LOT_QUANTITY), get(lot, LOT_VALUE), get(lot, LOT_FEE)
        if number == 2:
            lot = lots[1]
            held, worth, paid = (
                plus(held, get(lot, LOT_QUANTITY)),
                plus(worth, get(lot, LOT_VALUE)),
                plus(paid, get(lot, LOT_FEE)),
            )
        if sign and pks_alike(held, quantity) and pks_alike(worth, value) and pks_alike(paid, fees):
            return 0
    _check_position(opened, _CHECKED_LOTS_MAX)
    return 0


cdef int _write_position(
    _Writer writer, object opened, bytes key, Py_ssize_t entries_max, dict changes
) except -1:
    """Lots, summary and journal of a position (`OpenPosition.write`)."""
    cdef pks_bytes *out = &writer.out
    position = get(opened, OPENED_POSITION)
    lots = get(position, POSITION_LOTS)
    cdef Py_ssize_t stored = get(opened, OPENED_STORED_LOTS), number = len(lots), place
    cdef bytes prefix = b"l" + key + b"\x00"
    for lot in get(opened, OPENED_GONE):
        PyDict_SetItem(changes, _place_key(writer, prefix, lot), None)
    if number - stored <= 16:
        # Near an end of a deque, which is quick to find.
        for place in range(stored, number):
            _write_new_lot(writer, prefix, lots[place], changes)
    else:
        for lot in islice(lots, stored, None):
            _write_new_lot(writer, prefix, lot, changes)
    put(opened, OPENED_GONE, ())
    put(opened, OPENED_STORED_LOTS, number)
    _write_summary(out, opened, position, lots, number)
    PyDict_SetItem(changes, b"s" + key, writer.taken())
    journal = get(opened, OPENED_JOURNAL)
    if journal is not None:
        trades, outcomes = get(journal, JOURNAL_TRADES), get(journal, JOURNAL_OUTCOMES)
        _write_journal(writer, b"j" + key + b"\x00", trades, outcomes, entries_max, changes)
        put(opened, OPENED_JOURNAL, None)
    return 0


cdef int _write_journal(
    _Writer writer, bytes prefix, list trades, list outcomes, Py_ssize_t entries_max, dict changes
) except -1:
    """Chunks of what was added to a journal (`Journal.flush`)."""
    cdef Py_ssize_t start, end, number = PyList_GET_SIZE(trades)
    for start in range(0, number, entries_max):
        end = min(start + entries_max, number)
        _write_chunk(&writer.out, trades, outcomes, start, end)
        chunk = writer.taken()
        PyDict_SetItem(changes, _place_key(writer, prefix, trades[start]), chunk)
    return 0


cdef int _write_new_lot(_Writer writer, bytes prefix, object lot, dict changes) except -1:
    _pack_lot(&writer.out, lot)
    stored = writer.taken()
    PyDict_SetItem(changes, _place_key(writer, prefix, lot), stored)
    return 0


cdef bytes _place_key(_Writer writer, bytes prefix, object lot):
    """A prefix, and the place of a lot or trade in the order of matching as bytes that sort alike."""
    cdef pks_bytes *out = &writer.out
    pks_write(out, prefix, len(prefix))
    pks_write_word(out, <uint64_t><int64_t>get(lot, LOT_EXECUTED_AT) ^ SIGN)
    pks_write_word(out, <uint64_t><int64_t>get(lot, LOT_SEQUENCE) ^ SIGN)
    pks_write_text(out, get(lot, LOT_TRADE_ID))
    return writer.taken()


cdef int _pack_lot(pks_bytes *out, object lot) except -1:
    pks_pack_array(out, 7)
    pks_pack_text(out, get(lot, LOT_TRADE_ID))
    pks_pack_integer(out, get(lot, LOT_EXECUTED_AT))
    pks_pack_integer(out, get(lot, LOT_SEQUENCE))
    pks_pack_decimal(out, get(lot, LOT_QUANTITY))
    pks_pack_decimal(out, get(lot, LOT_PRICE))
    pks_pack_decimal(out, get(lot, LOT_VALUE))
    pks_pack_decimal(out, get(lot, LOT_FEE))
    return 0


cdef int _pack_trade(pks_bytes *out, object trade) except -1:
    pks_pack_array(out, 6)
    pks_pack_text(out, get(trade, TRADE_ID))
    pks_pack_integer(out, get(trade, TRADE_EXECUTED_AT))
    pks_pack_integer(out, get(trade, TRADE_SEQUENCE))
    pks_pack_decimal(out, get(trade, TRADE_QUANTITY))
    pks_pack_decimal(out, get(trade, TRADE_PRICE))
    pks_pack_decimal(out, get(trade, TRADE_FEE))
    return 0


cdef int _write_summary(pks_bytes *out, object opened, object position, object lots, Py_ssize_t number) except -1:
    """`agents.open_position.Summary`."""
    cdef tuple last = get(opened, OPENED_LAST)
    cdef bytes terms = bytes(get(opened, OPENED_TERMS)[1])
    pks_pack_array(out, 12)
    pks_pack_integer(out, get(opened, OPENED_REVISION))
    pks_write(out, terms, len(terms))
    pks_pack_decimal(out, get(position, POSITION_QUANTITY))
    pks_pack_decimal(out, get(position, POSITION_VALUE))
    pks_pack_decimal(out, get(position, POSITION_REALISED_PNL))
    pks_pack_decimal(out, get(position, POSITION_NET_REALISED_PNL))
    pks_pack_decimal(out, get(position, POSITION_FEES))
    pks_pack_decimal(out, get(position, POSITION_HELD_FEES))
    pks_pack_array(out, 3)
    pks_pack_integer(out, last[0])
    pks_pack_integer(out, last[1])
    pks_pack_text(out, last[2])
    part = get(opened, OPENED_PART)
    if part:
        _pack_lot(out, lots[0])
    else:
        pks_pack_nil(out)
    pks_pack_integer(out, number)
    if number == 1 and not part:
        pks_pack_decimal(out, get(lots[0], LOT_PRICE))
    else:
        pks_pack_nil(out)
    return 0


cdef int _write_chunk(
    pks_bytes *out, list trades, list outcomes, Py_ssize_t start, Py_ssize_t end
) except -1:
    """`agents.journal_chunks.encoded_chunk` of trades that opened lots or closed them, nothing else."""
    cdef int64_t oldest = INT64_MAX
    cdef Py_ssize_t place, closings = 0
    pks_pack_array(out, 5)
    pks_pack_array(out, end - start)
    for place in range(start, end):
        _pack_trade(out, trades[place])
    pks_pack_array(out, end - start)
    for place in range(start, end):
        found = outcomes[place]
        if found is None:
            pks_pack_nil(out)
            continue
        closings += 1
        pks_pack_decimal(out, get(found, CLOSED_REALISED_PNL))
        consumed = <tuple>get(found, CLOSED_CONSUMED)
        # The oldest lot is at one end, by FIFO or LIFO.
        oldest = min(
            oldest,
            <int64_t>get(consumed[0], LOT_EXECUTED_AT),
            <int64_t>get(consumed[len(consumed) - 1], LOT_EXECUTED_AT),
        )
    pks_pack_array(out, closings)
    _write_closings(out, outcomes, start, end)
    pks_pack_bool(out, True)
    pks_pack_integer(out, oldest)
    return 0


cdef int _write_closings(pks_bytes *out, list outcomes, Py_ssize_t start, Py_ssize_t end) except -1:
    """What each close consumed, without a lot of which the close before it has told what it left."""
    cdef Py_ssize_t first, place, each, number
    cdef int left
    partial = None
    for place in range(start, end):
        found = outcomes[place]
        if found is None:
            continue
        consumed = <tuple>get(found, CLOSED_CONSUMED)
        number, left = len(consumed), get(found, CLOSED_LEFT)
        first = 1 if partial is not None and _same_text(get(consumed[0], LOT_TRADE_ID), partial) else 0
        pks_pack_array(out, 2)
        pks_pack_integer(out, left | FURTHER if first else left)
        pks_pack_array(out, number - first)
        for each in range(first, number):
            _pack_lot(out, consumed[each])
        partial = get(consumed[number - 1], LOT_TRADE_ID) if left == REST else None
    return 0
