/* Decimals read where they stand in memory: their sign, order, spelling, sums and products, and an average price.

   CPython has no C interface to `decimal`, so this knows how Modules/_decimal of CPython 3.11 to 3.14 lays a number
   out; `native.positions_twin` holds that against the running one when it is loaded, and is not used where it differs.
   Numbers that are not simple (an exponent above 0, more than four words, so small that they are spelled with an
   exponent, infinities) are left to `decimal`: the functions say so. Sums and products are exact, as under
   `schemas.numbers.exact_arithmetic`; what is not of one word each is left to `decimal` as well. */
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

enum { PKS_NEGATIVE = 1, PKS_SPECIAL = 14, PKS_OWN_WORDS = 48 };
enum { PKS_WORD_DIGITS = 19, PKS_SPELLED_MAX = 96, PKS_PRICE_DECIMALS = 24, PKS_SUM_DECIMALS = 100 };

typedef unsigned __int128 pks_wide;

static PyTypeObject *pks_decimal_type;

/* 10^0 to 10^19. */
static const uint64_t pks_powers[PKS_WORD_DIGITS + 1] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u, 100000000000u,
    1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
    1000000000000000000u, 10000000000000000000u};

/* Take `decimal.Decimal`, and 7 as one; 0 where numbers are laid out otherwise, so that nothing here may be used. */
static inline int pks_layout_fits(PyObject *type, PyObject *seven) {
    const pks_decimal *number = (const pks_decimal *)seven;
    if (((PyTypeObject *)type)->tp_basicsize != sizeof(pks_decimal) || Py_TYPE(seven) != (PyTypeObject *)type ||
        number->words != number->own || number->own[0] != 7 || number->length != 1 || number->digits != 1 ||
        number->exponent != 0 || number->room != 4 || number->flags != PKS_OWN_WORDS)
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

static const char pks_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
    "5556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
    "99";

/* Write the lowest `count` digits of a number that ends before `end`. */
static inline void pks_digits(char *end, uint64_t word, Py_ssize_t count) {
    for (; count > 1; count -= 2, word /= 100) memcpy(end -= 2, pks_pairs + 2 * (word % 100), 2);
    if (count) *--end = (char)('0' + word % 10);
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

/* Up to 10^38. */
static inline pks_wide pks_power_of_ten(Py_ssize_t exponent) {
    pks_wide power = pks_powers[exponent < PKS_WORD_DIGITS ? exponent : PKS_WORD_DIGITS];
    return exponent > PKS_WORD_DIGITS ? power * pks_powers[exponent - PKS_WORD_DIGITS] : power;
}

/* A new decimal of one word below 10^19. */
static inline PyObject *pks_decimal_of(int negative, uint64_t word, Py_ssize_t exponent) {
    pks_decimal *number = (pks_decimal *)pks_decimal_type->tp_alloc(pks_decimal_type, 0);
    Py_ssize_t digits = 1;
    if (number == NULL) return NULL;
    while (digits < PKS_WORD_DIGITS && word >= pks_powers[digits]) digits++;
    number->hash = -1;
    number->flags = (uint8_t)(PKS_OWN_WORDS | (negative ? PKS_NEGATIVE : 0));
    number->exponent = exponent;
    number->digits = digits;
    number->length = 1;
    number->room = 4;
    number->words = number->own;
    number->own[0] = word;
    return (PyObject *)number;
}

static inline int pks_of_one_word(PyObject *object) {
    const pks_decimal *number = (const pks_decimal *)object;
    return pks_finite(object) && number->length == 1 && number->exponent <= 0 && number->exponent >= -PKS_SUM_DECIMALS;
}

/* `left + right`, or `left - right`: with the exponent of the finer one, and 0 without a sign where they cancel out. */
static inline PyObject *pks_sum(PyObject *left, PyObject *right, int minus) {
    const pks_decimal *one = (const pks_decimal *)left, *other = (const pks_decimal *)right;
    if (pks_of_one_word(left) && pks_of_one_word(right)) {
        Py_ssize_t shift = one->exponent - other->exponent;
        if (shift <= PKS_WORD_DIGITS && -shift <= PKS_WORD_DIGITS) {
            pks_wide first = one->words[0], second = other->words[0], total;
            if (shift > 0) first *= pks_powers[shift];
            if (shift < 0) second *= pks_powers[-shift];
            int negative = one->flags & PKS_NEGATIVE, opposed = (other->flags & PKS_NEGATIVE) ^ (minus ? 1 : 0);
            if (negative == opposed) {
                total = first + second;
            } else if (first >= second) {
                total = first - second;
                negative = total ? negative : 0;
            } else {
                total = second - first;
                negative = opposed;
            }
            if (total < pks_powers[PKS_WORD_DIGITS])
                return pks_decimal_of(negative, (uint64_t)total, shift > 0 ? other->exponent : one->exponent);
        }
    }
    return minus ? PyNumber_Subtract(left, right) : PyNumber_Add(left, right);
}

static inline PyObject *pks_plus(PyObject *left, PyObject *right) { return pks_sum(left, right, 0); }

static inline PyObject *pks_less(PyObject *left, PyObject *right) { return pks_sum(left, right, 1); }

static inline PyObject *pks_times(PyObject *left, PyObject *right) {
    const pks_decimal *one = (const pks_decimal *)left, *other = (const pks_decimal *)right;
    if (pks_of_one_word(left) && pks_of_one_word(right)) {
        pks_wide product = (pks_wide)one->words[0] * other->words[0];
        if (product < pks_powers[PKS_WORD_DIGITS])
            return pks_decimal_of((one->flags ^ other->flags) & PKS_NEGATIVE, (uint64_t)product,
                                  one->exponent + other->exponent);
    }
    return PyNumber_Multiply(left, right);
}

/* `-number`, where 0 has no sign. */
static inline PyObject *pks_negative(PyObject *object) {
    const pks_decimal *number = (const pks_decimal *)object;
    if (!pks_of_one_word(object)) return PyNumber_Negative(object);
    return pks_decimal_of(number->words[0] && !(number->flags & PKS_NEGATIVE), number->words[0], number->exponent);
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
