# cython: language_level=3, boundscheck=False, wraparound=False
"""The cash stage's usual case, compiled: a transfer that moves a balance in memory, and settles no earlier one.

Owns nothing: it reads and changes the same objects as the plain code (`agents.cash`, `domain.cash.balances`) and writes the
same bytes, so that either may go on where the other stopped. Arithmetic is that of `decimal`.
Guarantees: what is not the usual case is left untouched for the plain code, before anything of it is changed. Every balance
that the ledger tells is held against the identities of the plain code.
"""

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from agents import cash
from domain.cash import balances
from domain.cash.balances import horizon
from domain.ledger.rules import CASH
from schemas import topics
from schemas.numbers import ZERO
from schemas.units import EntryStatus

include "common.pxi"

cdef extern from "checks.h":
    bint pks_take_integer(object, int64_t *)

Entry, Balance = cash.ENTRY, balances.Balance
if topics.CASH_BALANCES.merged or topics.CASH_BALANCES.compact:
    raise ImportError("expected balances to be written as they come, found their topic merged or compact")

_BALANCES = topics.CASH_BALANCES
_PENDING = EntryStatus.PENDING
_check = cash.check

# Where attributes stand in the objects that are read and changed here.
cdef Py_ssize_t ENTRY_ID = offset_of(Entry, "event_id")
cdef Py_ssize_t ENTRY_CORRELATION_ID = offset_of(Entry, "correlation_id")
cdef Py_ssize_t ENTRY_SOURCE = offset_of(Entry, "source")
cdef Py_ssize_t ENTRY_ENTITY = offset_of(Entry, "entity")
cdef Py_ssize_t ENTRY_ACCOUNT = offset_of(Entry, "account")
cdef Py_ssize_t ENTRY_CURRENCY = offset_of(Entry, "currency")
cdef Py_ssize_t ENTRY_DEBIT = offset_of(Entry, "debit_account")
cdef Py_ssize_t ENTRY_CREDIT = offset_of(Entry, "credit_account")
cdef Py_ssize_t ENTRY_AMOUNT = offset_of(Entry, "amount")
cdef Py_ssize_t ENTRY_STATUS = offset_of(Entry, "status")
cdef Py_ssize_t ENTRY_EXECUTED_AT = offset_of(Entry, "executed_at")
cdef Py_ssize_t ENTRY_TRADE_DATE = offset_of(Entry, "trade_date")
cdef Py_ssize_t ENTRY_SETTLEMENT_DATE = offset_of(Entry, "settlement_date")
cdef Py_ssize_t ENTRY_VALUE_DATE = offset_of(Entry, "value_date")
cdef Py_ssize_t ENTRY_POSTING_DATE = offset_of(Entry, "posting_date")
cdef Py_ssize_t ENTRY_PENDING_ID = offset_of(Entry, "pending_id")
cdef Py_ssize_t ENTRY_CASH_BALANCE = offset_of(Entry, "cash_balance")
cdef Py_ssize_t BALANCE_TOTAL = offset_of(Balance, "total")
cdef Py_ssize_t BALANCE_SETTLED = offset_of(Balance, "settled")
cdef Py_ssize_t BALANCE_ENTRIES = offset_of(Balance, "entries")
cdef Py_ssize_t BALANCE_PENDING = offset_of(Balance, "pending")
cdef Py_ssize_t BALANCE_VALUES = offset_of(Balance, "values")
cdef Py_ssize_t BALANCE_CHANGED_PENDING = offset_of(Balance, "changed_pending")
cdef Py_ssize_t BALANCE_CHANGED_VALUES = offset_of(Balance, "changed_values")


cdef class _Place:
    """The balance that the last transfer moved, and the ladder's end of the last business date."""

    cdef object entity, account, currency, balance
    cdef object business_date, last_day
    cdef list output


def take(state, events, Py_ssize_t place, step):
    """Take in the transfers from `place` on, while each is the usual case.

    Returns the place of the first that is not; all before it are taken in, as `agents.cash` would have.
    """
    cdef _Writer writer = _Writer()
    cdef _Place at = _Place()
    cdef list waiting = events if type(events) is list else list(events)
    cdef Py_ssize_t count = PyList_GET_SIZE(waiting)
    cdef bint silent = step.silent, debited
    cdef int64_t executed_at
    while place < count:
        entry = <object>PyList_GET_ITEM(waiting, place)
        if type(entry) is not Entry:
            break
        debited = _same_text(get(entry, ENTRY_DEBIT), CASH)
        if not debited and not _same_text(get(entry, ENTRY_CREDIT), CASH):
            place += 1
            continue
        if (
            get(entry, ENTRY_PENDING_ID)
            or pks_sign(get(entry, ENTRY_AMOUNT)) == -2
            or not pks_take_integer(get(entry, ENTRY_EXECUTED_AT), &executed_at)
            or not _find(state, entry, at)
        ):
            break
        _move(at.balance, entry, not _same_text(get(entry, ENTRY_CREDIT), CASH))
        told = get(entry, ENTRY_CASH_BALANCE)
        if told is not None:
            if not _adds_up(at.balance, told):
                _check((at.entity, at.account, at.currency), at.balance, entry)
            if not silent:
                if at.output is None:
                    at.output = step.bucket(_BALANCES, at.entity).encoded
                _write_balance(&writer.out, entry, at, executed_at)
                at.output.append(writer.taken())
        place += 1
    return place


cdef bint _find(object state, object entry, _Place at) except -1:
    """Find the balance of a transfer in memory; False where it is not there."""
    entity, account, currency = get(entry, ENTRY_ENTITY), get(entry, ENTRY_ACCOUNT), get(entry, ENTRY_CURRENCY)
    if (
        at.balance is not None
        and _same_text(at.entity, entity)
        and _same_text(at.account, account)
        and _same_text(at.currency, currency)
    ):
        return True
    names = entity, account, currency
    found = PyDict_GetItemWithError(state.balances, names)
    if found == NULL:
        return False
    at.entity, at.account, at.currency, at.balance = entity, account, currency, <object>found
    at.output = None
    PyDict_SetItem(state.dirty, names, at.balance)
    return True


cdef int _move(object balance, object entry, bint debited) except -1:
    """`domain.cash.balances.move`."""
    amount, day = get(entry, ENTRY_AMOUNT), get(entry, ENTRY_SETTLEMENT_DATE)
    value_date = get(entry, ENTRY_VALUE_DATE) or day
    if not debited:
        amount = -amount
    put(balance, BALANCE_ENTRIES, get(balance, BALANCE_ENTRIES) + 1)
    put(balance, BALANCE_TOTAL, get(balance, BALANCE_TOTAL) + amount)
    _add(get(balance, BALANCE_VALUES), value_date, amount)
    (<set>get(balance, BALANCE_CHANGED_VALUES)).add(value_date)
    if get(entry, ENTRY_STATUS) is _PENDING:
        _add(get(balance, BALANCE_PENDING), day, amount)
        (<set>get(balance, BALANCE_CHANGED_PENDING)).add(day)
    else:
        put(balance, BALANCE_SETTLED, get(balance, BALANCE_SETTLED) + amount)
    return 0


cdef inline int _add(dict amounts, object day, object amount) except -1:
    found = PyDict_GetItemWithError(amounts, day)
    if found == NULL:
        PyDict_SetItem(amounts, day, amount)
    else:
        before = <object>found
        PyDict_SetItem(amounts, day, before + amount)
    return 0


cdef bint _adds_up(object balance, object told) except -1:
    """Whether a balance is what the ledger tells, and what has settled and what is pending add up to it."""
    total, settled = get(balance, BALANCE_TOTAL), get(balance, BALANCE_SETTLED)
    if not pks_alike(told, total) and told != total:
        return False
    pending = ZERO
    for amount in (<dict>get(balance, BALANCE_PENDING)).values():
        pending = pending + amount
    pending = settled + pending
    return pks_alike(pending, total) or pending == total


cdef int _write_balance(pks_bytes *out, object entry, _Place at, int64_t executed_at) except -1:
    """What a balance is after a transfer, in the order of the fields of `CashBalance`."""
    balance = at.balance
    business_date = get(entry, ENTRY_POSTING_DATE) or get(entry, ENTRY_TRADE_DATE)
    if at.business_date is None or not _same_text(at.business_date, business_date):
        at.business_date, at.last_day = business_date, horizon(business_date)
    total = get(balance, BALANCE_TOTAL)
    pks_write(out, b'{"type":"CashBalance","event_id":', 33)
    pks_json_text(out, get(entry, ENTRY_ID))
    out.size -= 1  # the quote: the id goes on
    pks_write(out, b'.b"', 3)
    _text(out, b',"correlation_id":', 18, get(entry, ENTRY_CORRELATION_ID))
    _text(out, b',"causation_id":', 16, get(entry, ENTRY_ID))
    _text(out, b',"source":', 10, get(entry, ENTRY_SOURCE))
    pks_write(out, b',"entity":', 10)
    pks_json_text(out, at.entity)
    pks_write(out, b',"account":', 11)
    pks_json_text(out, at.account)
    pks_write(out, b',"currency":', 12)
    pks_json_text(out, at.currency)
    pks_write(out, b',"trade_date_balance":', 22)
    pks_json_decimal(out, total)
    pks_write(out, b',"settled_balance":', 19)
    pks_json_decimal(out, get(balance, BALANCE_SETTLED))
    pks_write(out, b',"projected_balance":', 21)
    pks_json_decimal(out, _projected(get(balance, BALANCE_PENDING), total, at.last_day))
    pks_write(out, b',"business_date":', 17)
    pks_json_text(out, business_date)
    pks_write(out, b',"event_time":', 14)
    pks_json_integer(out, executed_at)
    if pks_sign(total) < 0:
        pks_write(out, b',"overdrawn":true', 17)
    return pks_write(out, b"}", 1)


cdef object _projected(dict pending, object total, object last_day):
    """`domain.cash.balances.projected`."""
    later = None
    for day, amount in pending.items():
        if day > last_day:
            later = ZERO + amount if later is None else later + amount
    return total if later is None else total - later
