# What the compiled twins of stages share: how they read attributes and decimals where they stand, write bytes, and know
# keys.

from decimal import Decimal

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from cpython.object cimport Py_EQ, PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_RichCompare
from libc.stdint cimport int64_t, uint64_t

from tables import known_keys

cdef extern from "decimals.h":
    enum:
        PKS_SPELLED_MAX
    int pks_layout_fits(object, object)
    object plus "pks_plus" (object, object)
    object less "pks_less" (object, object)
    object times "pks_times" (object, object)
    object negative "pks_negative" (object)
    int pks_sign(object)
    bint pks_alike(object, object)
    int pks_compare_amounts(object, object)
    Py_ssize_t pks_spell(object, char *)
    Py_ssize_t pks_spell_normal(object, char *)
    Py_ssize_t pks_spell_price(object, object, char *)
cdef extern from "slots.h":
    Py_ssize_t pks_offset(object) except -1
    object get "pks_get" (object, Py_ssize_t)
    void put "pks_put" (object, Py_ssize_t, object)
    PyObject *pks_slot(PyObject *, Py_ssize_t)
    void pks_ask_for(PyObject *)
    void pks_ask_for_slots(PyObject *, const Py_ssize_t *, int)
cdef extern from "writing.h":
    ctypedef struct pks_bytes:
        char *data
        Py_ssize_t size
        Py_ssize_t room
    int pks_write(pks_bytes *, const char *, Py_ssize_t) except -1
    int pks_write_text(pks_bytes *, object) except -1
    int pks_write_word(pks_bytes *, uint64_t) except -1
    int pks_json_text(pks_bytes *, object) except -1
    int pks_json_integer(pks_bytes *, int64_t) except -1
    int pks_json_spelled(pks_bytes *, const char *, Py_ssize_t) except -1
    int pks_json_decimal(pks_bytes *, object) except -1
    int pks_pack_nil(pks_bytes *) except -1
    int pks_pack_bool(pks_bytes *, bint) except -1
    int pks_pack_integer(pks_bytes *, int64_t) except -1
    int pks_pack_array(pks_bytes *, Py_ssize_t) except -1
    int pks_pack_text(pks_bytes *, object) except -1
    int pks_pack_decimal(pks_bytes *, object) except -1


_SEVEN = Decimal(7)
if not pks_layout_fits(Decimal, _SEVEN) or negative(times(plus(_SEVEN, Decimal("0.50")), _SEVEN)) != Decimal("-52.50"):
    raise ImportError("expected the decimals of CPython 3.11 to 3.14, found them laid out otherwise")


def offset_of(owner, name):
    """Where an attribute stands in the instances of a class. Raises ImportError where it is no slot."""
    return pks_offset(getattr(owner, name))


cdef Py_ssize_t KNOWN_BITS = offset_of(known_keys.KnownKeys, "_bits")
cdef Py_ssize_t KNOWN_MASK = offset_of(known_keys.KnownKeys, "_mask")
cdef Py_ssize_t KNOWN_OLDER = offset_of(known_keys.KnownKeys, "_older")
cdef Py_ssize_t KNOWN_ROOM = offset_of(known_keys.KnownKeys, "_room")
cdef Py_ssize_t KNOWN_UNREAD = offset_of(known_keys.KnownKeys, "_unread")
cdef Py_ssize_t LEVEL_BITS = offset_of(known_keys._Level, "bits")
cdef Py_ssize_t LEVEL_MASK = offset_of(known_keys._Level, "mask")


cdef class _Writer:
    """Bytes to be; each object that is written is taken out before the next is begun."""

    cdef pks_bytes out

    def __dealloc__(self):
        PyMem_Free(self.out.data)

    cdef bytes taken(self):
        found = PyBytes_FromStringAndSize(self.out.data, self.out.size)
        self.out.size = 0
        return found


cdef inline bint _same_text(object one, object other):
    return one is other or PyUnicode_RichCompare(one, other, Py_EQ) is True


cdef inline int _text(pks_bytes *out, const char *name, Py_ssize_t size, object text) except -1:
    """A field that is left out where it is empty."""
    if text is not None and PyUnicode_GET_LENGTH(text):
        pks_write(out, name, size)
        pks_json_text(out, text)
    return 0


cdef bint _is_new(object known, bytes key) except -1:
    """Whether a key was surely never seen (`tables.known_keys.KnownKeys`)."""
    cdef uint64_t hashed
    if get(known, KNOWN_UNREAD) is not None:
        return False
    hashed = <uint64_t><Py_hash_t>hash(key)
    if _bit(get(known, KNOWN_BITS), hashed & <uint64_t>get(known, KNOWN_MASK)):
        return False
    for level in get(known, KNOWN_OLDER):
        if _bit(get(level, LEVEL_BITS), hashed & <uint64_t>get(level, LEVEL_MASK)):
            return False
    return True


cdef int _note(object known, bytes key) except -1:
    """A new key is seen from now on (`KnownKeys.seen`)."""
    cdef uint64_t place = <uint64_t><Py_hash_t>hash(key) & <uint64_t>get(known, KNOWN_MASK)
    PyByteArray_AS_STRING(get(known, KNOWN_BITS))[place >> 3] |= 1 << (place & 7)
    cdef Py_ssize_t room = <Py_ssize_t>get(known, KNOWN_ROOM) - 1
    put(known, KNOWN_ROOM, room)
    if not room:
        known._grow()
    return 0


cdef inline bint _bit(object bits, uint64_t place):
    return (PyByteArray_AS_STRING(bits)[place >> 3] >> (place & 7)) & 1
