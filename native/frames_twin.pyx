# cython: language_level=3, boundscheck=False, wraparound=False
"""A frame's events read from JSON as `schemas.frames` writes it, compiled: the twin of `FrameCodec.decode`.

Owns nothing but names: a text that comes again and again (a book, an instrument) is one object.
Assumes: events of one class, in the order of its fields, without blanks, defaults left out, as the encoder writes them.
Of an event that is read in part (`schemas.passing.PartialCodec`), the other fields are passed over.
Guarantees: what it returns is what msgspec returns; where anything is not as it assumes it returns None, and msgspec
has the word. A value that is not usual (fees, a text with an escape) is read by msgspec, by itself.
"""

import enum
from decimal import Decimal
from typing import Union, get_args, get_origin

import msgspec

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "decimals.h":
    int pks_layout_fits(object, object)
cdef extern from "slots.h":
    Py_ssize_t pks_offset(object) except -1
    void fill "pks_fill" (object, Py_ssize_t, PyObject *)
cdef extern from "reading.h":
    const char *pks_text_end(const char *, const char *)
    const char *pks_integer_end(const char *, int64_t *)
    const char *pks_decimal_end(const char *, PyObject **) except? NULL
    const char *pks_value_end(const char *, const char *)
cdef extern from "exacts.h":
    uint64_t pks_fnv(uint64_t, const char *, Py_ssize_t)
cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t, Py_UCS4)
    void *PyUnicode_1BYTE_DATA(object)
    object new_of "PyType_GenericAlloc" (PyTypeObject *, Py_ssize_t)

_SEVEN = Decimal(7)
if not pks_layout_fits(Decimal, _SEVEN):
    raise ImportError("expected the decimals of CPython 3.11 to 3.14, found them laid out otherwise")

cdef enum:
    FIELDS_MAX = 64
    NAMES = 1024
    OTHER = 0
    TEXT = 1
    NAME = 2
    INTEGER = 3
    DECIMAL = 4
    CHOICE = 5

_MISSING = msgspec.NODEFAULT


cdef struct _Field:
    # What the field begins with, its first four bytes as a word, and what it has where it is left out (NULL: it must be
    # there); both are held by the reader's lists.
    const char *key
    Py_ssize_t size
    uint32_t begins
    PyObject *default
    Py_ssize_t offset
    int kind
    bint skipped


cdef class FrameReader:
    """Reads frames of events of one class, the wire twin of an event, or the part of the class `whole` that `owner` has.

    Raises ImportError where its fields are not what this can read.
    """

    cdef object owner
    cdef bytes head
    cdef int count
    cdef list keys, defaults, decoders, choices, names
    cdef _Field fields[FIELDS_MAX]

    def __init__(self, owner, whole=None):
        fields = msgspec.structs.fields(owner if whole is None else whole)
        read = owner.__struct_fields__
        if len(fields) > FIELDS_MAX or owner.__basicsize__ != object.__basicsize__ + 8 * len(read):
            raise ImportError(f"expected an event of at most {FIELDS_MAX} fields and nothing else, found {owner}")
        self.owner, self.count = owner, len(fields)
        self.head = b'{"type":"%b"' % owner.__name__.encode()
        self.keys = [b',"%b":' % field.encode_name.encode() for field in fields]
        self.defaults = [field.default for field in fields]
        self.decoders = [msgspec.json.Decoder(field.type) for field in fields]
        self.choices = [_choices(field.type) for field in fields]
        self.names = [""] * NAMES
        for place, field in enumerate(fields):
            if field.default_factory is not _MISSING:
                raise ImportError(f"expected no default of {owner} made anew, found that of {field.name}")
            self._note(place, self.keys[place], field.default)
            self.fields[place].skipped = field.name not in read
            if not self.fields[place].skipped:
                self.fields[place].offset = pks_offset(getattr(owner, field.name))
            self.fields[place].kind = _kind(field)

    cdef int _note(self, int place, bytes key, object default) except -1:
        cdef _Field *field = &self.fields[place]
        field.key, field.size = PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)
        memcpy(&field.begins, field.key, 4)
        field.default = NULL if default is _MISSING else <PyObject *>default
        return 0

    def read(self, bytes frame):
        """The events of a frame; None where something is not as it is usually written."""
        cdef const char *at = PyBytes_AS_STRING(frame)
        cdef const char *end = at + PyBytes_GET_SIZE(frame)
        cdef list events = []
        if at[0] != b"[":
            return None
        while True:
            at += 1
            event = new_of(<PyTypeObject *>self.owner, 0)
            at = self._fill(event, at, end)
            if at == NULL:
                return None
            events.append(event)
            if at[0] == b"]":
                return events if at + 1 == end else None
            if at[0] != b",":
                return None

    cdef const char *_fill(self, object event, const char *at, const char *end) except? NULL:
        """Read the fields of an event; returns where it ends."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.head)
        cdef _Field *field
        cdef uint32_t begins
        cdef int place
        if end - at <= size or memcmp(at, PyBytes_AS_STRING(self.head), size):
            return NULL
        at += size
        for place in range(self.count):
            field = &self.fields[place]
            begins = 0
            if end - at > field.size:
                memcpy(&begins, at, 4)
            if begins == field.begins and not memcmp(at, field.key, field.size):
                at += field.size
                at = self._skip(place, at, end) if field.skipped else self._value(event, place, at, end)
                if at == NULL:
                    return NULL
            elif field.skipped:
                continue
            elif field.default != NULL:
                fill(event, field.offset, field.default)
            else:
                return NULL
        return at + 1 if at[0] == b"}" else NULL

    cdef const char *_value(self, object event, int place, const char *at, const char *end) except? NULL:
        """Read the value of a field; returns where it ends."""
        cdef int kind = self.fields[place].kind
        cdef const char *after = NULL
        cdef int64_t number
        cdef PyObject *made = NULL
        if kind == TEXT or kind == NAME:
            after = pks_text_end(at, end)
            if after != NULL:
                value = (
                    _text(at + 1, after - at - 2) if kind == TEXT else self._name(at + 1, after - at - 2)
                )
        elif kind == INTEGER:
            after = pks_integer_end(at, &number)
            if after != NULL:
                value = number
        elif kind == DECIMAL:
            after = pks_decimal_end(at, &made)
            if after != NULL:
                value = <object>made
                Py_DECREF(value)
        if after == NULL:
            after = pks_value_end(at, end)
            if after == NULL:
                return NULL
            spelled = PyBytes_FromStringAndSize(at, after - at)
            value = (<dict>self.choices[place]).get(spelled) if kind == CHOICE else None
            if value is None:
                try:
                    value = self.decoders[place].decode(spelled)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    return NULL
        fill(event, self.fields[place].offset, <PyObject *>value)
        return after

    cdef const char *_skip(self, int place, const char *at, const char *end) except? NULL:
        """Pass over the value of a field that is not read; returns where it ends."""
        cdef int kind = self.fields[place].kind
        cdef const char *after = NULL
        cdef int64_t number
        if kind == INTEGER:
            after = pks_integer_end(at, &number)
        elif kind != OTHER:
            after = pks_text_end(at, end)
        if after == NULL:
            after = pks_value_end(at, end)
            if after == NULL:
                return NULL
            try:
                self.decoders[place].decode(PyBytes_FromStringAndSize(at, after - at))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return NULL
        return after

    cdef object _name(self, const char *data, Py_ssize_t size):
        """A text that is likely to come again."""
        cdef Py_ssize_t place = pks_fnv(0xCBF29CE484222325, data, size) & (NAMES - 1)
        known = <object>PyList_GET_ITEM(self.names, place)
        if PyUnicode_GET_LENGTH(known) == size and not memcmp(PyUnicode_1BYTE_DATA(known), data, size):
            return known
        known = self.names[place] = _text(data, size)
        return known


cdef inline object _text(const char *data, Py_ssize_t size):
    made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_1BYTE_DATA(made), data, size)
    return made


cdef dict _choices(type_of):
    """The members of an enumeration by what they are written as."""
    if not (isinstance(type_of, type) and issubclass(type_of, enum.Enum)):
        return {}
    return {msgspec.json.encode(member): member for member in type_of}


cdef int _kind(field) except -1:
    cdef str name = field.name
    found = field.type
    if get_origin(found) is Union:
        usual = [each for each in get_args(found) if each is not type(None)]
        found = usual[0] if len(usual) == 1 else None
    found = getattr(found, "__supertype__", found)
    if found is str:
        return TEXT if name.endswith(("_id", "_hash")) else NAME
    if found is int:
        return INTEGER
    if found is Decimal:
        return DECIMAL
    return CHOICE if _choices(found) else OTHER
