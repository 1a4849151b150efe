# cython: language_level=3, boundscheck=False, wraparound=False
"""The ledger stage's usual case, compiled: a new trade in order, of a position that is in memory, without accrued interest.

Owns nothing: it reads and changes the same objects as the plain code (`agents.ledger`, `agents.ledger_entries`,
`domain.ledger.posting`) and writes the same bytes, so that either may go on where the other stopped. Arithmetic is that of
`decimal`.
Guarantees: what is not the usual case is left untouched for the plain code, before anything of it is changed.
"""

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Compare
from libc.stdint cimport int64_t, uint64_t

from agents import ledger_accounts, ledger_entries, ledger_state
from agents.ledger import UPDATED, plan_of
from domain.ledger import posting
from domain.ledger.currencies import Money
from domain.ledger.posting import note_residue
from domain.ledger.rules import CASH, EXCHANGE, REALISED, ROUNDING, Model
from schemas import events, topics
from schemas.frames import wire
from schemas.numbers import ONE, ZERO

include "common.pxi"

cdef extern from "decimals.h":
    bint pks_has_exponent(object, Py_ssize_t)
    bint pks_within(object, Py_ssize_t, uint64_t)
cdef extern from "checks.h":
    bint pks_take_integer(object, int64_t *)

PositionUpdated, Fee = UPDATED, wire(events.Fee)
LedgerPosition, Dates = ledger_state.LedgerPosition, ledger_entries.Dates
LedgerAccount, Scope = ledger_accounts.LedgerAccount, ledger_accounts.Scope
Posted, Terms = posting.Posted, posting.Terms
if topics.LEDGER_ENTRIES.merged or topics.LEDGER_ENTRIES.compact:
    raise ImportError("expected transfers to be written as they come, found their topic merged or compact")

_ENTRIES, _ENTRIES_NAME = topics.LEDGER_ENTRIES, topics.LEDGER_ENTRIES.name
_MARGINED = Model.MARGINED
_PNL, _PRINCIPAL, _BASE = posting.PNL, posting.PRINCIPAL, posting.BASE
_BASE_RESIDUE = f"{posting.RESIDUE}:{posting.BASE}"
_BELOW_ZERO = ledger_entries.BELOW_ZERO
cdef bytes FAMILY = ledger_state.TRADE
cdef uint64_t ROUNDING_UNITS_MAX = posting._ROUNDING_UNITS_MAX

# Where attributes stand in the objects that are read and changed here.
cdef Py_ssize_t EVENT_ID = offset_of(PositionUpdated, "event_id")
cdef Py_ssize_t EVENT_CORRELATION_ID = offset_of(PositionUpdated, "correlation_id")
cdef Py_ssize_t EVENT_SOURCE = offset_of(PositionUpdated, "source")
cdef Py_ssize_t EVENT_BOOK = offset_of(PositionUpdated, "book")
cdef Py_ssize_t EVENT_INSTRUMENT = offset_of(PositionUpdated, "instrument")
cdef Py_ssize_t EVENT_TRADE_ID = offset_of(PositionUpdated, "trade_id")
cdef Py_ssize_t EVENT_REVISION = offset_of(PositionUpdated, "revision")
cdef Py_ssize_t EVENT_EXECUTED_AT = offset_of(PositionUpdated, "executed_at")
cdef Py_ssize_t EVENT_QUANTITY = offset_of(PositionUpdated, "quantity")
cdef Py_ssize_t EVENT_COST_BASIS = offset_of(PositionUpdated, "cost_basis")
cdef Py_ssize_t EVENT_REALISED_PNL = offset_of(PositionUpdated, "realised_pnl")
cdef Py_ssize_t EVENT_CURRENCY = offset_of(PositionUpdated, "currency")
cdef Py_ssize_t EVENT_QUANTITY_DELTA = offset_of(PositionUpdated, "quantity_delta")
cdef Py_ssize_t EVENT_KIND = offset_of(PositionUpdated, "kind")
cdef Py_ssize_t EVENT_TRADE_QUANTITY = offset_of(PositionUpdated, "trade_quantity")
cdef Py_ssize_t EVENT_TRADE_PRICE = offset_of(PositionUpdated, "trade_price")
cdef Py_ssize_t EVENT_TRADE_FEES = offset_of(PositionUpdated, "trade_fees")
cdef Py_ssize_t EVENT_ACCRUED = offset_of(PositionUpdated, "accrued_interest")
cdef Py_ssize_t EVENT_BUSINESS_DATE = offset_of(PositionUpdated, "business_date")
cdef Py_ssize_t EVENT_SETTLEMENT_DATE = offset_of(PositionUpdated, "settlement_date")
cdef Py_ssize_t EVENT_ACCOUNT = offset_of(PositionUpdated, "account")
cdef Py_ssize_t EVENT_UNDERLYING = offset_of(PositionUpdated, "underlying")
cdef Py_ssize_t EVENT_CLASS = offset_of(PositionUpdated, "instrument_class")
cdef Py_ssize_t EVENT_MULTIPLIER = offset_of(PositionUpdated, "multiplier")
cdef Py_ssize_t EVENT_INVERSE = offset_of(PositionUpdated, "inverse")
cdef Py_ssize_t EVENT_POSTING_RULES = offset_of(PositionUpdated, "posting_rules")
cdef Py_ssize_t EVENT_HELD_FEES = offset_of(PositionUpdated, "held_fees")
cdef Py_ssize_t FEE_AMOUNT = offset_of(Fee, "amount")
cdef Py_ssize_t FEE_KIND = offset_of(Fee, "kind")
cdef Py_ssize_t FEE_CURRENCY = offset_of(Fee, "currency")
cdef Py_ssize_t POSITION_KEY = offset_of(LedgerPosition, "key")
cdef Py_ssize_t POSITION_POSTED = offset_of(LedgerPosition, "posted")
cdef Py_ssize_t POSITION_DIRTY = offset_of(LedgerPosition, "dirty")
cdef Py_ssize_t POSITION_PLAN = offset_of(LedgerPosition, "plan")
cdef Py_ssize_t POSTED_REVISION = offset_of(Posted, "revision")
cdef Py_ssize_t POSTED_CURRENCY = offset_of(Posted, "currency")
cdef Py_ssize_t POSTED_INVENTORY = offset_of(Posted, "inventory")
cdef Py_ssize_t POSTED_REALISED = offset_of(Posted, "realised")
cdef Py_ssize_t POSTED_QUANTITY = offset_of(Posted, "quantity")
cdef Py_ssize_t POSTED_HELD_FEES = offset_of(Posted, "held_fees")
cdef Py_ssize_t POSTED_ENTITY = offset_of(Posted, "entity")
cdef Py_ssize_t POSTED_CLASS = offset_of(Posted, "instrument_class")
cdef Py_ssize_t POSTED_UNDERLYING = offset_of(Posted, "underlying")
cdef Py_ssize_t POSTED_RULES = offset_of(Posted, "posting_rules")
cdef Py_ssize_t POSTED_REFUSED = offset_of(Posted, "refused")
cdef Py_ssize_t MONEY_ROUND = offset_of(Money, "_round")
cdef Py_ssize_t MONEY_QUANTUM = offset_of(Money, "quantum")
cdef Py_ssize_t MONEY_SCALE = offset_of(Money, "scale")
cdef Py_ssize_t ACCOUNT_TOTAL = offset_of(LedgerAccount, "total")
cdef Py_ssize_t ACCOUNT_SETTLED = offset_of(LedgerAccount, "settled")
cdef Py_ssize_t ACCOUNT_DIRTY = offset_of(LedgerAccount, "dirty")
cdef Py_ssize_t ACCOUNT_WARNS = offset_of(LedgerAccount, "warns")


cdef class _Plan:
    """How the trades of a position are posted, as long as they say the same beside their numbers.

    `pending` and `output` belong to the call of `book` with the number `call`.
    """

    # What an event must say for it.
    cdef object account, business_date, settlement_date, currency, underlying, instrument_class, inverse
    cdef int64_t posting_rules
    # What follows from that.
    cdef object epoch, rules, terms, money, base, base_currency, inventory, scope, dates, warning
    cdef object residue_leg, key
    cdef dict accounts, fees
    cdef bint margined, pending_until
    cdef Py_ssize_t scale
    cdef bytes before_trade, after_time
    cdef int64_t call
    cdef dict pending
    cdef list output


cdef class _Posting:
    """The transfers of a trade, and what the position has afterwards; `own` of them are the trade's content."""

    cdef list transfers, residues
    cdef Py_ssize_t own, fees
    cdef object moved, base_moved, realised, inventory, quantity


cdef int64_t _calls = 0


# -- posting ------------------------------------------------------------------------------------------------------


def book(state, events, Py_ssize_t place, step):
    """Post the events from `place` on, while each is the usual case.

    Returns the place of the first that is not; all before it are posted, as `agents.ledger` would have.
    """
    global _calls
    cdef _Writer writer = _Writer()
    cdef _Writer heads = _Writer()
    cdef _Posting posted_now = _Posting()
    cdef dict positions = state.positions, changes = state.table.changes
    cdef list waiting = events if type(events) is list else list(events)
    cdef Py_ssize_t count = PyList_GET_SIZE(waiting)
    cdef bint silent = step.silent
    cdef _Plan plan
    accounts, epoch = state.accounts, state.epoch
    _calls += 1
    while place < count:
        event = <object>PyList_GET_ITEM(waiting, place)
        if type(event) is not PositionUpdated or get(event, EVENT_KIND) is not None:
            break
        found = PyDict_GetItemWithError(positions, (get(event, EVENT_BOOK), get(event, EVENT_INSTRUMENT)))
        if found == NULL:
            break
        position = <object>found
        if not _follows(get(position, POSITION_POSTED), event):
            break
        plan = _plan(state, position, event, epoch)
        if plan is None or not _transfers(plan, get(position, POSITION_POSTED), event, posted_now):
            break
        if plan.call != _calls:
            plan.call, plan.pending, plan.output = _calls, None, None
        if posted_now.residues:
            _note_residues(plan, accounts, posted_now)
        _put_posted(state, position, plan, event, posted_now)
        if posted_now.own or posted_now.residues:
            _write_content(&writer.out, plan, event, posted_now)
            content = writer.taken()
            pks_write(&writer.out, FAMILY, 1)
            pks_write(&writer.out, plan.key, len(plan.key))
            pks_write_text(&writer.out, get(event, EVENT_TRADE_ID))
            PyDict_SetItem(changes, writer.taken(), content)
        _apply(plan, accounts, event, posted_now.transfers, writer, heads, step, silent)
        place += 1
    return place


cdef bint _follows(object posted, object event) except -1:
    """Whether an event is the next one of its position, whose terms and fees are as they were."""
    cdef int64_t revision, executed_at
    return (
        pks_take_integer(get(event, EVENT_REVISION), &revision)
        and pks_take_integer(get(event, EVENT_EXECUTED_AT), &executed_at)
        and get(posted, POSTED_REVISION)
        and revision == get(posted, POSTED_REVISION) + 1
        and not get(posted, POSTED_REFUSED)
        and _same_text(get(posted, POSTED_CURRENCY), get(event, EVENT_CURRENCY))
        and pks_sign(get(posted, POSTED_HELD_FEES)) == 0
        and pks_sign(get(event, EVENT_HELD_FEES)) == 0
        and pks_sign(get(event, EVENT_ACCRUED)) == 0
    )


cdef _Plan _plan(object state, object position, object event, object epoch):
    """The plan for a trade: that of the one before it where it says the same, else a new one; None where it has none."""
    cdef _Plan plan = <_Plan?>get(position, POSITION_PLAN) if get(position, POSITION_PLAN) is not None else None
    if (
        plan is not None
        and plan.epoch is epoch
        and _same_text(plan.account, get(event, EVENT_ACCOUNT))
        and _same_text(plan.business_date, get(event, EVENT_BUSINESS_DATE))
        and _same_or_none(plan.settlement_date, get(event, EVENT_SETTLEMENT_DATE))
        and _same_text(plan.currency, get(event, EVENT_CURRENCY))
        and _same_text(plan.underlying, get(event, EVENT_UNDERLYING))
        and _same_text(plan.instrument_class, get(event, EVENT_CLASS))
        and plan.inverse is get(event, EVENT_INVERSE)
        and plan.posting_rules == get(event, EVENT_POSTING_RULES)
    ):
        return plan
    if not get(event, EVENT_BUSINESS_DATE):
        return None
    found = plan_of(state, position, event)
    if found is None:
        return None
    plan = _Plan()
    plan.epoch = epoch
    plan.account, plan.business_date = get(event, EVENT_ACCOUNT), get(event, EVENT_BUSINESS_DATE)
    plan.settlement_date, plan.currency = get(event, EVENT_SETTLEMENT_DATE), get(event, EVENT_CURRENCY)
    plan.underlying, plan.instrument_class = get(event, EVENT_UNDERLYING), get(event, EVENT_CLASS)
    plan.inverse, plan.posting_rules = get(event, EVENT_INVERSE), get(event, EVENT_POSTING_RULES)
    plan.rules, plan.terms, plan.scope, plan.dates, plan.warning = found
    terms, dates, scope = plan.terms, plan.dates, plan.scope
    plan.money, plan.base, plan.base_currency = terms.money, terms.base, terms.base_currency
    plan.inventory, plan.margined = terms.inventory, terms.model is _MARGINED
    plan.residue_leg = f"{posting.RESIDUE}:{terms.inventory}"
    plan.scale = plan.money.scale
    plan.accounts, plan.fees = scope.accounts, {}
    plan.key = position.key[1:] + b"\x00"
    _write_fixed(plan, scope, dates, get(event, EVENT_INSTRUMENT))
    put(position, POSITION_PLAN, plan)
    return plan


cdef int _write_fixed(_Plan plan, object scope, object dates, object instrument) except -1:
    """The parts of each transfer's text that do not change."""
    cdef _Writer writer = _Writer()
    _write_place(&writer.out, scope, plan.currency)
    plan.before_trade = writer.taken()
    cdef pks_bytes *out = &writer.out
    pks_write(out, b',"trade_date":', 14)
    pks_json_text(out, dates.trade_date)
    pks_write(out, b',"settlement_date":', 19)
    pks_json_text(out, dates.settlement_date)
    _text(out, b',"instrument":', 14, instrument)
    _text(out, b',"value_date":', 14, dates.value_date)
    _text(out, b',"posting_date":', 16, dates.posting_date)
    plan.after_time = writer.taken()
    plan.pending_until = dates.pending
    return 0


cdef int _write_place(pks_bytes *out, object scope, object currency) except -1:
    pks_write(out, b',"entity":', 10)
    pks_json_text(out, scope.entity)
    pks_write(out, b',"account":', 11)
    pks_json_text(out, scope.name)
    pks_write(out, b',"book":', 8)
    pks_json_text(out, scope.book)
    pks_write(out, b',"currency":', 12)
    pks_json_text(out, currency)
    return pks_write(out, b',"trade_id":', 12)


cdef inline bint _same_or_none(object one, object other):
    return one is other or (one is not None and other is not None and _same_text(one, other))


cdef inline object _round(object money, object amount):
    """`Money.round`; an amount that has the decimals of the minor unit already stays as it is."""
    if pks_has_exponent(amount, -<Py_ssize_t>get(money, MONEY_SCALE)):
        return amount
    return get(money, MONEY_ROUND)(amount, get(money, MONEY_QUANTUM))


cdef inline int _add(list transfers, object leg, object debit, object credit, object currency, object amount) except -1:
    """A transfer of a signed amount (`domain.ledger.posting.transfer`)."""
    if pks_sign(amount) < 0:
        transfers.append((leg, credit, debit, currency, -amount))
    else:
        transfers.append((leg, debit, credit, currency, amount))
    return 0


cdef bint _transfers(_Plan plan, object posted, object event, _Posting into) except -1:
    """Find what a trade moves and what brings the position to its totals; False where that is not the usual case.

    As `domain.ledger.posting.trade_content` and `post_totals` do; nothing is changed yet.
    """
    cdef list transfers = []
    into.transfers, into.residues = transfers, None
    into.moved = into.base_moved = ZERO
    into.realised = None
    into.fees = 0
    if not plan.margined and not _trade_moves(plan, event, into):
        return False
    for fee in <tuple>get(event, EVENT_TRADE_FEES):
        if not _fee_moves(plan, fee, into):
            return False
    into.own = len(transfers)
    total, before = get(event, EVENT_REALISED_PNL), get(posted, POSTED_REALISED)
    if pks_sign(total) == -2:
        return False
    moved = into.moved
    if pks_sign(total) or pks_sign(before):
        realised = _round(plan.money, total)
        change = realised - before
        if pks_sign(change):
            _add(transfers, _PNL, plan.inventory, REALISED, plan.currency, change)
            into.realised = realised
            moved = moved + change
    return plan.margined or _reaches_totals(plan, posted, event, into, moved)


cdef bint _trade_moves(_Plan plan, object event, _Posting into) except -1:
    """The price, and the other currency of an exchange."""
    quantity, price = get(event, EVENT_TRADE_QUANTITY), get(event, EVENT_TRADE_PRICE)
    multiplier = get(event, EVENT_MULTIPLIER)
    if quantity is None:
        quantity = get(event, EVENT_QUANTITY_DELTA)
    if price is None or pks_sign(quantity) == -2 or pks_sign(price) == -2 or pks_sign(multiplier) == -2:
        return False
    exact = quantity * price
    into.moved = _round(plan.money, exact if multiplier is ONE else exact * multiplier)
    if pks_sign(into.moved):
        _add(into.transfers, _PRINCIPAL, plan.inventory, CASH, plan.currency, into.moved)
    if plan.base is not None:
        into.base_moved = _round(plan.base, quantity)
        if pks_sign(into.base_moved):
            _add(into.transfers, _BASE, CASH, EXCHANGE, plan.base_currency, into.base_moved)
    return True


cdef bint _fee_moves(_Plan plan, object fee, _Posting into) except -1:
    currency, kind, exact = get(fee, FEE_CURRENCY) or plan.currency, get(fee, FEE_KIND), get(fee, FEE_AMOUNT)
    if pks_sign(exact) == -2:
        return False
    money = plan.money if _same_text(currency, plan.currency) else plan.rules.money(currency)
    found = PyDict_GetItemWithError(plan.fees, kind)
    if found == NULL:
        known = plan.rules.fee_account(kind), f"{posting.FEE}:{kind}"
        plan.fees[kind] = known
    else:
        known = <object>found
    account, leg = <tuple>known
    amount = _round(money, exact)
    if pks_sign(amount):
        number = into.fees
        _add(into.transfers, f"{leg}:{number}" if number else leg, account, CASH, currency, amount)
    if amount is not exact and amount != exact:
        if into.residues is None:
            into.residues = []
        into.residues.append((account, currency, exact - amount))
    into.fees += 1
    return True


cdef bint _reaches_totals(_Plan plan, object posted, object event, _Posting into, object moved) except -1:
    inventory, cost_basis = get(posted, POSTED_INVENTORY), get(event, EVENT_COST_BASIS)
    if pks_sign(cost_basis) == -2 or pks_sign(get(event, EVENT_QUANTITY)) == -2:
        return False
    into.inventory = _round(plan.money, cost_basis)
    left = into.inventory - inventory - moved
    if pks_sign(left):
        # More than rounding leaves over, or a minor unit that was coarser before, is the plain code's.
        if pks_sign(inventory) and not pks_has_exponent(inventory, -plan.scale):
            return False
        if not pks_within(left, -plan.scale, ROUNDING_UNITS_MAX):
            return False
        _add(into.transfers, plan.residue_leg, plan.inventory, ROUNDING, plan.currency, left)
    if plan.base is not None:
        into.quantity = _round(plan.base, get(event, EVENT_QUANTITY))
        left = into.quantity - get(posted, POSTED_QUANTITY) - into.base_moved
        if pks_sign(left):
            _add(into.transfers, _BASE_RESIDUE, ROUNDING, EXCHANGE, plan.base_currency, left)
    return True


cdef int _note_residues(_Plan plan, object accounts, _Posting into) except -1:
    """What rounding of fees has left over (`domain.ledger.posting.note_residue`)."""
    cdef Py_ssize_t place = into.own
    for account, currency, residue in into.residues:
        residues = accounts.residues(plan.scope)
        found = note_residue(residues, account, plan.rules.money(currency), currency, residue)
        if found is not None:
            into.transfers.insert(place, found)
            place += 1
    return 0


cdef int _put_posted(object state, object position, _Plan plan, object event, _Posting into) except -1:
    posted = get(position, POSITION_POSTED)
    if not get(position, POSITION_DIRTY):
        state.touch(position)
    put(posted, POSTED_CLASS, plan.instrument_class)
    put(posted, POSTED_UNDERLYING, plan.underlying)
    put(posted, POSTED_RULES, get(event, EVENT_POSTING_RULES))
    put(posted, POSTED_REVISION, get(event, EVENT_REVISION))
    if into.realised is not None:
        put(posted, POSTED_REALISED, into.realised)
    if not plan.margined:
        put(posted, POSTED_INVENTORY, into.inventory)
        if plan.base is not None:
            put(posted, POSTED_QUANTITY, into.quantity)
    return 0


cdef int _write_content(pks_bytes *out, _Plan plan, object event, _Posting into) except -1:
    """`domain.ledger.posting.Content`."""
    cdef Py_ssize_t number
    pks_write(out, b"[", 1)
    pks_json_text(out, plan.account)
    pks_write(out, b",", 1)
    pks_json_text(out, plan.dates.trade_date)
    pks_write(out, b",", 1)
    pks_json_text(out, plan.dates.settlement_date)
    pks_write(out, b",[", 2)
    for number in range(into.own):
        leg, debit, credit, currency, amount = <tuple>into.transfers[number]
        pks_write(out, b",[" if number else b"[", 2 if number else 1)
        pks_json_text(out, leg)
        pks_write(out, b",", 1)
        pks_json_text(out, debit)
        pks_write(out, b",", 1)
        pks_json_text(out, credit)
        _write_amount(out, currency, amount)
    pks_write(out, b"],[", 3)
    if into.residues is not None:
        number = 0
        for account, currency, residue in into.residues:
            pks_write(out, b",[" if number else b"[", 2 if number else 1)
            pks_json_text(out, account)
            _write_amount(out, currency, residue)
            number += 1
    pks_write(out, b"],", 2)
    pks_json_decimal(out, into.moved)
    pks_write(out, b",", 1)
    pks_json_decimal(out, into.base_moved)
    pks_write(out, b",", 1)
    pks_json_text(out, get(event, EVENT_ID))
    return pks_write(out, b",0]", 3)


cdef inline int _write_amount(pks_bytes *out, object currency, object amount) except -1:
    pks_write(out, b",", 1)
    pks_json_text(out, currency)
    pks_write(out, b",", 1)
    pks_json_decimal(out, amount)
    return pks_write(out, b"]", 1)


# -- accounts, and what is told of them ---------------------------------------------------------------------------


cdef object _account(_Plan plan, object code, object currency):
    found = PyDict_GetItemWithError(plan.accounts, (code, currency))
    return plan.scope.account(code, currency, plan.rules) if found == NULL else <object>found


cdef inline int _move(object accounts, object account, object amount, bint settled, bint debit) except -1:
    total = get(account, ACCOUNT_TOTAL)
    put(account, ACCOUNT_TOTAL, total + amount if debit else total - amount)
    if settled:
        total = get(account, ACCOUNT_SETTLED)
        put(account, ACCOUNT_SETTLED, total + amount if debit else total - amount)
    if not get(account, ACCOUNT_DIRTY):
        accounts.touch(account)
    return 0


cdef int _wait(dict pending, object debit, object credit, object currency, object amount) except -1:
    """Add to what is pending between two accounts."""
    cdef bint forward = PyUnicode_Compare(debit, credit) < 0
    pair = (debit, credit, currency) if forward else (credit, debit, currency)
    found = PyDict_GetItemWithError(pending, pair)
    if found == NULL:
        PyDict_SetItem(pending, pair, amount if forward else -amount)
    else:
        before = <object>found
        PyDict_SetItem(pending, pair, before + amount if forward else before - amount)
    return 0


cdef int _apply(
    _Plan plan, object accounts, object event, list transfers, _Writer writer, _Writer heads, object step, bint silent
) except -1:
    """Apply transfers to accounts, and write an entry for each (`agents.ledger_entries.post`)."""
    cdef Py_ssize_t number, count = PyList_GET_SIZE(transfers)
    cdef bint settled = not plan.pending_until
    cdef list lines = []
    cdef dict last = {}
    if not count:
        return 0
    if not settled and plan.pending is None:
        plan.pending = accounts.pending(plan.scope, plan.dates.settlement_date)
    for number in range(count):
        _, debit, credit, currency, amount = <tuple>transfers[number]
        debited, credited = _account(plan, debit, currency), _account(plan, credit, currency)
        _move(accounts, debited, amount, settled, True)
        _move(accounts, credited, amount, settled, False)
        if not settled:
            _wait(plan.pending, debit, credit, currency, amount)
        if _same_text(debit, CASH):
            cash = debited
            PyDict_SetItem(last, currency, number)
        elif _same_text(credit, CASH):
            cash = credited
            PyDict_SetItem(last, currency, number)
        else:
            cash = None
        lines.append((cash, credited))
    if not silent:
        _tell(plan, event, transfers, lines, last, writer, heads, step)
    return 0


cdef int _tell(
    _Plan plan, object event, list transfers, list lines, dict last, _Writer writer, _Writer heads, object step
) except -1:
    """An entry for each transfer, in the order of the fields of `CashLedgerEntry`."""
    cdef pks_bytes *out = &writer.out
    cdef pks_bytes *head = &heads.out
    cdef Py_ssize_t number, count = PyList_GET_SIZE(transfers)
    cdef bint plain_currency, told
    _write_head(head, event)
    for number in range(count):
        leg, debit, credit, currency, amount = <tuple>transfers[number]
        cash, credited = <tuple>lines[number]
        plain_currency = currency is plan.currency or _same_text(currency, plan.currency)
        told = cash is not None and last[currency] == number
        pks_write(out, b'{"type":"CashLedgerEntry","event_id":', 37)
        pks_json_text(out, get(event, EVENT_ID))
        out.size -= 1  # the quote: the id goes on
        pks_write(out, b".l", 2)
        pks_json_integer(out, number)
        pks_write(out, head.data, head.size)
        if plain_currency:
            pks_write(out, <const char *>plan.before_trade, len(plan.before_trade))
        else:
            _write_place(out, plan.scope, currency)
        pks_json_text(out, get(event, EVENT_TRADE_ID))
        pks_write(out, b',"leg":', 7)
        pks_json_text(out, leg)
        pks_write(out, b',"revision":', 12)
        pks_json_integer(out, get(event, EVENT_REVISION))
        pks_write(out, b',"debit_account":', 17)
        pks_json_text(out, debit)
        pks_write(out, b',"credit_account":', 18)
        pks_json_text(out, credit)
        pks_write(out, b',"amount":', 10)
        pks_json_decimal(out, amount)
        if plan.pending_until:
            pks_write(out, b',"status":"pending","executed_at":', 34)
        else:
            pks_write(out, b',"status":"posted","executed_at":', 33)
        pks_json_integer(out, get(event, EVENT_EXECUTED_AT))
        pks_write(out, <const char *>plan.after_time, len(plan.after_time))
        if told:
            pks_write(out, b',"cash_balance":', 16)
            pks_json_decimal(out, get(cash, ACCOUNT_TOTAL))
        warning = plan.warning
        if get(credited, ACCOUNT_WARNS) and pks_sign(get(credited, ACCOUNT_TOTAL)) < 0 and (told or not _same_text(credit, CASH)):
            warning = _BELOW_ZERO
        _text(out, b',"warning":', 11, warning)
        _text(out, b',"reference":', 13, plan.dates.reference)
        if plan.posting_rules:
            pks_write(out, b',"posting_rules":', 17)
            pks_json_integer(out, plan.posting_rules)
        pks_write(out, b"}", 1)
        if plain_currency:
            if plan.output is None:
                plan.output = step.bucket(_ENTRIES, plan.scope.keys[currency]).encoded
            plan.output.append(writer.taken())
        else:
            step.bucket(_ENTRIES, plan.scope.keys[currency]).encoded.append(writer.taken())
    head.size = 0
    return 0


cdef int _write_head(pks_bytes *out, object event) except -1:
    """From the end of a transfer's id on: what all transfers of an event say before their place."""
    pks_write(out, b'"', 1)
    _text(out, b',"correlation_id":', 18, get(event, EVENT_CORRELATION_ID))
    _text(out, b',"causation_id":', 16, get(event, EVENT_ID))
    return _text(out, b',"source":', 10, get(event, EVENT_SOURCE))
