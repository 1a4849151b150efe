/* JSON as `schemas.frames` writes it, read where it stands: texts in plain ASCII, whole numbers, decimals of one word.

   Every function is given a place in a `bytes` object, which ends with a zero byte, and returns where it got to; NULL
   where what stands there is not usual, so that msgspec has the word. */
#ifndef PKS_READING_H
#define PKS_READING_H

#include "decimals.h"

enum { PKS_READ_DIGITS_MAX = 18 };

/* Behind the closing quote of a text that is written as it is. */
static inline const char *pks_text_end(const char *at, const char *end) {
    const uint64_t ones = ~(uint64_t)0 / 255, tops = ones << 7;
    if (*at++ != '"') return NULL;
    for (; at + 8 <= end; at += 8) {
        uint64_t eight, quotes, slashes;
        memcpy(&eight, at, 8);
        quotes = eight ^ ones * '"';
        slashes = eight ^ ones * '\\';
        /* The top bit of a byte that is above 127, below 32, or one of the two. */
        if ((eight | (eight - ones * ' ') | (quotes - ones) | (slashes - ones)) & tops) break;
    }
    for (; *at != '"'; at++)
        if ((signed char)*at < ' ' || *at == '\\') return NULL;
    return at + 1;
}

static inline const char *pks_integer_end(const char *at, int64_t *number) {
    int negative = *at == '-';
    uint64_t amount = 0;
    at += negative;
    const char *start = at;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (at - start == PKS_READ_DIGITS_MAX) return NULL;
        amount = 10 * amount + (uint64_t)(*at - '0');
    }
    /* No digit, a leading zero, -0, a fraction or an exponent. */
    if (at == start || (*start == '0' && (at - start > 1 || negative)) || (*at != ',' && *at != '}')) return NULL;
    *number = negative ? -(int64_t)amount : (int64_t)amount;
    return at;
}

static inline const char *pks_decimal_end(const char *at, PyObject **number) {
    uint64_t word = 0;
    Py_ssize_t digits = 0, whole = -1;
    if (*at++ != '"') return NULL;
    int negative = *at == '-';
    for (at += negative; *at != '"'; at++) {
        if (*at == '.' && whole < 0 && digits > 0) {
            whole = digits;
        } else if (*at >= '0' && *at <= '9' && digits < PKS_READ_DIGITS_MAX) {
            word = 10 * word + (uint64_t)(*at - '0');
            digits++;
        } else {
            return NULL;
        }
    }
    if (digits == 0 || whole == digits) return NULL;
    *number = pks_decimal_of(negative, word, whole < 0 ? 0 : whole - digits);
    return *number == NULL ? NULL : at + 1;
}

/* Where any value of a field ends, as far as brackets and quotes tell: before the comma or bracket that follows it. */
static inline const char *pks_value_end(const char *at, const char *end) {
    int depth = 0;
    for (; at < end; at++) {
        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++) at += *at == '\\';
        } else if (*at == '[' || *at == '{') {
            depth++;
        } else if (*at == ']' || *at == '}') {
            if (depth-- == 0) return at;
        } else if (*at == ',' && depth == 0) {
            return at;
        }
    }
    return NULL;
}

#endif
