/* What must hold of an object before it is read where it stands: its type, and that a name is a plain one. */
#ifndef PKS_CHECKS_H
#define PKS_CHECKS_H

#include <Python.h>
#include <stdint.h>

enum { PKS_NAME_MAX = 128 };

/* Take a whole number of 64 bits; 0 for anything else. */
static inline int pks_take_integer(PyObject *object, int64_t *number) {
    int overflow;
    if (!PyLong_CheckExact(object)) return 0;
    *number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

/* Whether a name surely has no fault (`schemas.units.identifier_fault`): printable ASCII, not blank, no formula. */
static inline int pks_plain_name(PyObject *object) {
    if (!PyUnicode_CheckExact(object) || !PyUnicode_IS_COMPACT_ASCII(object)) return 0;
    Py_ssize_t size = PyUnicode_GET_LENGTH(object);
    const unsigned char *text = PyUnicode_1BYTE_DATA(object);
    int blank = 1;
    if (size < 1 || size > PKS_NAME_MAX || text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@')
        return 0;
    for (Py_ssize_t place = 0; place < size; place++) {
        if (text[place] < ' ' || text[place] > '~') return 0;
        blank &= text[place] == ' ';
    }
    return !blank;
}

#endif
