/* A decimal as shared memory has it: a 128-bit mantissa, an exponent and flags, beside the nearest float64. */
#ifndef PKS_EXACTS_H
#define PKS_EXACTS_H

#include "decimals.h"

typedef struct {
    uint64_t low;
    int64_t high;
    int32_t exponent;
    uint32_t flags;
} pks_exact;

enum { PKS_DOUBLE_EXACT_POWER = 22 };
static const uint64_t pks_double_exact = (uint64_t)1 << 53;

/* 1 with both set; 0 where the number is not simple or has more than 38 digits; -2 with an exception. */
static inline int pks_exact_of(PyObject *object, double *nearest, pks_exact *exact) {
    static const double powers[PKS_DOUBLE_EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const pks_decimal *number = (const pks_decimal *)object;
    if (!pks_simple(object) || number->length > 2 || number->exponent < INT32_MIN) return 0;
    int negative = number->flags & PKS_NEGATIVE;
    pks_wide mantissa = number->words[0];
    if (number->length == 2) mantissa += number->words[1] * pks_power_of_ten(PKS_WORD_DIGITS);
    if (number->length == 1 && number->words[0] <= pks_double_exact && -number->exponent <= PKS_DOUBLE_EXACT_POWER) {
        /* Both are exact as floats, so that one division rounds once: the nearest. */
        *nearest = (double)number->words[0] / powers[-number->exponent];
        if (negative) *nearest = -*nearest;
    } else {
        char text[PKS_SPELLED_MAX + 1];
        Py_ssize_t size = pks_spell(object, text);
        if (size == 0) return 0;
        text[size] = 0;
        *nearest = PyOS_string_to_double(text, NULL, NULL);
        if (*nearest == -1.0 && PyErr_Occurred()) return -2;
    }
    pks_wide bits = negative ? -mantissa : mantissa;
    exact->low = (uint64_t)bits;
    exact->high = (int64_t)(uint64_t)(bits >> 64);
    exact->exponent = (int32_t)number->exponent;
    exact->flags = 0;
    return 1;
}

/* FNV-1a, 64 bits, gone on with. */
static inline uint64_t pks_fnv(uint64_t hashed, const char *text, Py_ssize_t size) {
    for (Py_ssize_t place = 0; place < size; place++) hashed = (hashed ^ (unsigned char)text[place]) * 0x100000001B3u;
    return hashed;
}

#endif
