/* Attributes of slotted classes and msgspec Structs, read and set where they stand in the object.

   To ask for an attribute by name costs 20 ns and more; where it stands is known once the class is there. */
#ifndef PKS_SLOTS_H
#define PKS_SLOTS_H

#include <Python.h>
#include <structmember.h>

/* Where a member descriptor says that its attribute stands; -1 with an exception for any other object. */
static inline Py_ssize_t pks_offset(PyObject *descriptor) {
    if (Py_TYPE(descriptor) != &PyMemberDescr_Type) {
        PyErr_Format(PyExc_ImportError, "expected a slot, found %R", descriptor);
        return -1;
    }
    return ((PyMemberDescrObject *)descriptor)->d_member->offset;
}

/* A new reference to the attribute at a place. */
static inline PyObject *pks_get(PyObject *owner, Py_ssize_t offset) {
    PyObject *found = *(PyObject **)((char *)owner + offset);
    if (found == NULL) {
        PyErr_Format(PyExc_AttributeError, "expected every attribute of %.100s set, found one that is not",
                     Py_TYPE(owner)->tp_name);
        return NULL;
    }
    Py_INCREF(found);
    return found;
}

static inline void pks_put(PyObject *owner, Py_ssize_t offset, PyObject *value) {
    PyObject **place = (PyObject **)((char *)owner + offset);
    PyObject *before = *place;
    Py_INCREF(value);
    *place = value;
    Py_XDECREF(before);
}

/* Set an attribute of a new object, which has none there yet. */
static inline void pks_fill(PyObject *owner, Py_ssize_t offset, PyObject *value) {
    Py_INCREF(value);
    *(PyObject **)((char *)owner + offset) = value;
}

/* A borrowed reference to the attribute at a place; NULL where it is not set. */
static inline PyObject *pks_slot(PyObject *owner, Py_ssize_t offset) {
    return *(PyObject **)((char *)owner + offset);
}

/* Let the processor fetch the first two lines of an object (NULL: of none) while it does something else. */
static inline void pks_ask_for(PyObject *object) {
    __builtin_prefetch(object);
    __builtin_prefetch((char *)object + 64);
}

/* The same for what stands in the slots of an object. */
static inline void pks_ask_for_slots(PyObject *owner, const Py_ssize_t *offsets, int number) {
    if (owner == NULL) return;
    for (int place = 0; place < number; place++) {
        PyObject *found = pks_slot(owner, offsets[place]);
        if (found != NULL) pks_ask_for(found);
    }
}

#endif
