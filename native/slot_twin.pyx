# cython: language_level=3, boundscheck=False, wraparound=False
"""A slot of shared memory packed, and its key hashed, compiled: the twin of `connectors.shm.packing`.

Guarantees: the same bytes as the plain code. A number that is not simple (an exponent above 0, more than 38 digits) is
left to it, number by number.
"""

from decimal import Decimal

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "exacts.h":
    ctypedef struct pks_exact:
        uint64_t low
        int64_t high
        int32_t exponent
        uint32_t flags
    int pks_layout_fits(object, object)
    int pks_exact_of(object, double *, pks_exact *) except -2
    uint64_t pks_fnv(uint64_t, const char *, Py_ssize_t) nogil
cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object, Py_ssize_t *) except NULL

_SEVEN = Decimal(7)
if not pks_layout_fits(Decimal, _SEVEN):
    raise ImportError("expected the decimals of CPython 3.11 to 3.14, found them laid out otherwise")

cdef enum:
    FIGURES = 6
    COUNTS = 2
    TIMES = 2
    TEXTS = 3
    BODY_MAX = 512


cdef struct Head:
    uint64_t key_hash
    double figures[FIGURES]
    uint64_t owner_epoch
    uint64_t counts[COUNTS]
    int64_t times[TIMES]
    uint32_t texts[TEXTS]
    uint32_t partition


cdef Py_ssize_t EXACTS = sizeof(Head)
cdef uint64_t FNV_OFFSET = 0xCBF29CE484222325
cdef uint32_t NULL_FLAG = 0
cdef Py_ssize_t BODY = 0
_not_a_number = float("nan")
_encode_exacts = None


def begin(layout, encode_exacts):
    """Take the layout of slots, and what encodes other numbers. Raises ImportError where slots are laid out otherwise."""
    global EXACTS, NULL_FLAG, BODY, _encode_exacts
    EXACTS, NULL_FLAG = layout.SLOT[layout.DECIMALS[0] + "_exact"].offset - 8, layout.EXACT_NULL
    BODY, _encode_exacts = layout.SLOT_BODY.size, encode_exacts
    found = (len(layout.DECIMALS), len(layout.COUNTS), len(layout.TIMES), len(layout.TEXTS), layout.EXACT_SIZE,
             layout.SLOT["partition"].offset - 8)
    if found != (FIGURES, COUNTS, TIMES, TEXTS, sizeof(pks_exact), sizeof(Head) - 4) or BODY > BODY_MAX:
        raise ImportError("expected the slots that this was compiled for, found another catalogue of fields")


def key_hash(str book, str instrument):
    """`connectors.shm.layout.key_hash`."""
    cdef Py_ssize_t size
    cdef const char *text = PyUnicode_AsUTF8AndSize(book, &size)
    cdef uint64_t hashed = pks_fnv(FNV_OFFSET, text, size)
    hashed = pks_fnv(hashed, b"\0", 1)
    text = PyUnicode_AsUTF8AndSize(instrument, &size)
    return pks_fnv(hashed, text, size)


def pack_slot(uint64_t hashed, decimals, uint64_t epoch, counts, times, uint32_t book, uint32_t instrument,
              uint32_t currency, uint32_t partition):
    """`connectors.shm.packing.pack_slot`."""
    cdef char body[BODY_MAX]
    cdef Head *head = <Head *>body
    cdef pks_exact exact
    cdef Py_ssize_t place = 0
    cdef int fits
    if len(decimals) != FIGURES:
        raise ValueError(f"expected {FIGURES} decimals, found {len(decimals)}")
    memset(body, 0, BODY)
    head.key_hash, head.owner_epoch, head.partition = hashed, epoch, partition
    head.counts[0], head.counts[1] = counts
    head.times[0], head.times[1] = times
    head.texts[0], head.texts[1], head.texts[2] = book, instrument, currency
    for number in decimals:
        if number is None:
            head.figures[place] = _not_a_number
            memset(&exact, 0, sizeof(pks_exact))
            exact.flags = NULL_FLAG
        else:
            fits = pks_exact_of(number, &head.figures[place], &exact)
            if not fits:
                [head.figures[place]], [low, exact.high, exact.exponent, exact.flags] = _encode_exacts((number,))
                exact.low = low & 0xFFFFFFFFFFFFFFFF
        memcpy(body + EXACTS + place * sizeof(pks_exact), &exact, sizeof(pks_exact))
        place += 1
    return PyBytes_FromStringAndSize(body, BODY)
