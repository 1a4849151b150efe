/* Decimals read where they stand in memory: their sign, their order, their spelling, and an average price.

   CPython has no C interface to `decimal`, so this knows how Modules/_decimal of CPython 3.11 to 3.14 lays a number
   out; `native.positions_twin` holds that against the running one when it is loaded, and is not used where it differs.
   Numbers that are not simple (an exponent above 0, more than four words, so small that they are spelled with an
   exponent, infinities) are left to `decimal`: the functions say so. */
#ifndef PKS_DECIMALS_H
#define PKS_DECIMALS_H

#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    Py_hash_t hash;
    uint8_t flags;
    Py_ssize_t exponent, digits, length, room;
    uint64_t *words; /* base 10^19, the lowest first */
    uint64_t own[4];
} pks_decimal;

enum { PKS_NEGATIVE = 1, PKS_SPECIAL = 14 };
enum { PKS_WORD_DIGITS = 19, PKS_SPELLED_MAX = 96, PKS_PRICE_DECIMALS = 24 };

typedef unsigned __int128 pks_wide;

static PyTypeObject *pks_decimal_type;

/* Take `decimal.Decimal`, and 7 as one; 0 where numbers are laid out otherwise, so that nothing here may be used. */
static inline int pks_layout_fits(PyObject *type, PyObject *seven) {
    const pks_decimal *number = (const pks_decimal *)seven;
    if (((PyTypeObject *)type)->tp_basicsize != sizeof(pks_decimal) || Py_TYPE(seven) != (PyTypeObject *)type ||
        number->words != number->own || number->own[0] != 7 || number->length != 1 || number->digits != 1 ||
        number->exponent != 0 || number->room != 4)
        return 0;
    pks_decimal_type = (PyTypeObject *)type;
    return 1;
}

/* Whether an object is a finite decimal. */
static inline int pks_finite(PyObject *object) {
    return Py_TYPE(object) == pks_decimal_type && !(((const pks_decimal *)object)->flags & PKS_SPECIAL);
}

static inline int pks_simple(PyObject *object) {
    const pks_decimal *number = (const pks_decimal *)object;
    return pks_finite(object) && number->exponent <= 0 && number->length <= 4;
}

/* -1, 0 or 1; -2 of what is no number. */
static inline int pks_sign(PyObject *object) {
    const pks_decimal *number = (const pks_decimal *)object;
    if (!pks_finite(object)) return -2;
    if (number->words[number->length - 1] == 0) return 0;
    return number->flags & PKS_NEGATIVE ? -1 : 1;
}

/* Whether two numbers are written alike in memory: then they are equal. */
static inline int pks_alike(PyObject *left, PyObject *right) {
    const pks_decimal *one = (const pks_decimal *)left, *other = (const pks_decimal *)right;
    return pks_finite(left) && pks_finite(right) && one->flags == other->flags && one->exponent == other->exponent &&
           one->length == 1 && other->length == 1 && one->words[0] == other->words[0];
}

/* The order (-1, 0, 1) of the amounts of two numbers of one sign; 2 where that is not simple. */
static inline int pks_compare_amounts(PyObject *left, PyObject *right) {
    const pks_decimal *one = (const pks_decimal *)left, *other = (const pks_decimal *)right;
    if (!pks_finite(left) || !pks_finite(right) || one->exponent != other->exponent || one->length != 1 ||
        other->length != 1)
        return 2;
    return (one->words[0] > other->words[0]) - (one->words[0] < other->words[0]);
}

/* Whether a number is finite, and has this exponent. */
static inline int pks_has_exponent(PyObject *object, Py_ssize_t exponent) {
    return pks_finite(object) && ((const pks_decimal *)object)->exponent == exponent;
}

/* Whether a number has this exponent, and at most so many of its units, whatever its sign. */
static inline int pks_within(PyObject *object, Py_ssize_t exponent, uint64_t units) {
    const pks_decimal *number = (const pks_decimal *)object;
    return pks_has_exponent(object, exponent) && number->length == 1 && number->words[0] <= units;
}

/* Write the lowest `count` digits of a number that ends before `end`. */
static inline void pks_digits(char *end, uint64_t word, Py_ssize_t count) {
    while (count-- > 0) {
        *--end = (char)('0' + word % 10);
        word /= 10;
    }
}

/* Put the point into `count` digits, and the sign before them; returns the length, 0 where an exponent is due. */
static inline Py_ssize_t pks_pointed(char *text, int negative, const char *digits, Py_ssize_t count,
                                     Py_ssize_t exponent) {
    char *to = text;
    Py_ssize_t whole = count + exponent; /* digits before the point */
    if (whole <= -6) return 0;
    if (negative) *to++ = '-';
    if (whole > 0) {
        memcpy(to, digits, (size_t)whole);
        to += whole;
        digits += whole;
        count -= whole;
    } else {
        *to++ = '0';
    }
    if (exponent < 0) {
        *to++ = '.';
        for (; whole < 0; whole++) *to++ = '0';
        memcpy(to, digits, (size_t)count);
        to += count;
    }
    return to - text;
}

/* Write all digits of a simple number; returns how many. */
static inline Py_ssize_t pks_all_digits(const pks_decimal *number, char *digits) {
    Py_ssize_t place = number->digits;
    for (Py_ssize_t word = 0; word < number->length; word++) {
        Py_ssize_t count = place < PKS_WORD_DIGITS ? place : PKS_WORD_DIGITS;
        pks_digits(digits + place, number->words[word], count);
        place -= count;
    }
    return number->digits;
}

/* Spell a number into `PKS_SPELLED_MAX` bytes as `str` does; returns the length, 0 where it is not simple. */
static inline Py_ssize_t pks_spell(PyObject *object, char *text) {
    const pks_decimal *number = (const pks_decimal *)object;
    char digits[4 * PKS_WORD_DIGITS];
    if (!pks_simple(object)) return 0;
    Py_ssize_t count = pks_all_digits(number, digits);
    return pks_pointed(text, number->flags & PKS_NEGATIVE, digits, count, number->exponent);
}

/* Spell a number as `str` spells it once it is `normalize`d (100.0 as 1E+2); 0 where it is not simple, or is zero. */
static inline Py_ssize_t pks_spell_normal(PyObject *object, char *text) {
    const pks_decimal *number = (const pks_decimal *)object;
    char digits[4 * PKS_WORD_DIGITS];
    if (!pks_simple(object) || number->words[number->length - 1] == 0) return 0;
    Py_ssize_t count = pks_all_digits(number, digits), exponent = number->exponent;
    int negative = number->flags & PKS_NEGATIVE;
    for (; count > 1 && digits[count - 1] == '0'; count--) exponent++;
    if (exponent <= 0) return pks_pointed(text, negative, digits, count, exponent);
    char *to = text;
    if (negative) *to++ = '-';
    *to++ = digits[0];
    if (count > 1) {
        *to++ = '.';
        memcpy(to, digits + 1, (size_t)(count - 1));
        to += count - 1;
    }
    return to - text + sprintf(to, "E+%d", (int)(exponent + count - 1));
}

static inline pks_wide pks_power_of_ten(Py_ssize_t exponent) {
    pks_wide power = 1;
    while (exponent-- > 0) power *= 10;
    return power;
}

/* Spell `numerator / denominator` as `schemas.numbers.divide_price` gives it; returns the length, 0 where the
   numbers are not simple: more than a word, or so many digits that the quotient takes more than 38. */
static inline Py_ssize_t pks_spell_price(PyObject *numerator, PyObject *denominator, char *text) {
    const pks_decimal *above = (const pks_decimal *)numerator, *below = (const pks_decimal *)denominator;
    if (!pks_simple(numerator) || !pks_simple(denominator)) return 0;
    Py_ssize_t ideal = above->exponent - below->exponent, shift = ideal + PKS_PRICE_DECIMALS;
    Py_ssize_t exponent = -PKS_PRICE_DECIMALS, first;
    char digits[40];
    if (above->length != 1 || below->length != 1 || above->words[0] == 0 || below->words[0] == 0 || ideal > 0 ||
        shift < 0 || above->digits + shift > 38)
        return 0;
    pks_wide shifted = above->words[0] * pks_power_of_ten(shift);
    pks_wide quotient = shifted / below->words[0];
    uint64_t rest = (uint64_t)(shifted - quotient * below->words[0]);
    if (rest == 0) { /* it ends: with as few decimals as it can, but not fewer than the numbers have */
        while (exponent < ideal && quotient % 10 == 0) {
            quotient /= 10;
            exponent++;
        }
    } else { /* half even */
        uint64_t other_half = below->words[0] - rest;
        if (rest > other_half || (rest == other_half && quotient & 1)) quotient++;
    }
    if (quotient == 0) return 0;
    const pks_wide word = pks_power_of_ten(PKS_WORD_DIGITS);
    pks_digits(digits + 40, (uint64_t)(quotient % word), PKS_WORD_DIGITS);
    pks_digits(digits + 40 - PKS_WORD_DIGITS, (uint64_t)(quotient / word), 40 - PKS_WORD_DIGITS);
    for (first = 0; digits[first] == '0'; first++) continue;
    return pks_pointed(text, (above->flags ^ below->flags) & PKS_NEGATIVE, digits + first, 40 - first, exponent);
}

#endif
