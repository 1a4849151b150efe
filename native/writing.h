/* Bytes written one after another, as msgspec writes JSON and MessagePack: the same bytes for the same content.

   Every function returns 0, or -1 with an exception set. */
#ifndef PKS_WRITING_H
#define PKS_WRITING_H

#include "decimals.h"

typedef struct {
    char *data;
    Py_ssize_t size, room;
} pks_bytes;

/* Make room for `more` bytes. */
static inline int pks_reserve(pks_bytes *out, Py_ssize_t more) {
    if (out->room - out->size < more) {
        Py_ssize_t room = 2 * out->room + more;
        char *data = PyMem_Realloc(out->data, (size_t)room);
        if (data == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        out->data = data;
        out->room = room;
    }
    return 0;
}

static inline int pks_write(pks_bytes *out, const char *data, Py_ssize_t size) {
    if (pks_reserve(out, size) < 0) return -1;
    memcpy(out->data + out->size, data, (size_t)size);
    out->size += size;
    return 0;
}

/* The UTF-8 of a text. */
static inline const char *pks_utf8(PyObject *text, Py_ssize_t *size) {
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *size = PyUnicode_GET_LENGTH(text);
        return (const char *)PyUnicode_1BYTE_DATA(text);
    }
    return PyUnicode_AsUTF8AndSize(text, size);
}

static inline int pks_write_text(pks_bytes *out, PyObject *text) {
    Py_ssize_t size;
    const char *data = pks_utf8(text, &size);
    return data == NULL ? -1 : pks_write(out, data, size);
}

/* Numbers as bytes that sort as they do: big-endian, of 64 bits. */
static inline int pks_write_word(pks_bytes *out, uint64_t word) {
    char data[8];
    for (int place = 7; place >= 0; place--, word >>= 8) data[place] = (char)(word & 255);
    return pks_write(out, data, 8);
}

/* -- JSON ------------------------------------------------------------------------------------------------------- */

/* How many bytes a text begins with that are written as they are, told eight at a time. */
static inline Py_ssize_t pks_plain_size(const char *data, Py_ssize_t size) {
    const uint64_t ones = ~(uint64_t)0 / 255, tops = ones << 7;
    Py_ssize_t place = 0;
    for (; place + 8 <= size; place += 8) {
        uint64_t eight, quotes, slashes;
        memcpy(&eight, data + place, 8);
        quotes = eight ^ ones * '"';
        slashes = eight ^ ones * '\\';
        /* The top bit of a byte that is below 32, or zero; a byte above 127 has none of its own. */
        if (((eight - ones * ' ') | (quotes - ones) | (slashes - ones)) & ~eight & tops) break;
    }
    for (; place < size; place++) {
        unsigned char found = (unsigned char)data[place];
        if (found < ' ' || found == '"' || found == '\\') break;
    }
    return place;
}

static inline int pks_json_text(pks_bytes *out, PyObject *text) {
    static const char hex[] = "0123456789abcdef";
    Py_ssize_t size;
    const char *data = pks_utf8(text, &size);
    if (data == NULL || pks_reserve(out, 6 * size + 2) < 0) return -1;
    char *to = out->data + out->size;
    *to++ = '"';
    Py_ssize_t plain = pks_plain_size(data, size);
    memcpy(to, data, (size_t)plain);
    to += plain;
    for (const char *end = data + size, *rest = data + plain; rest < end; rest++) {
        unsigned char found = (unsigned char)*rest;
        if (found >= ' ' && found != '"' && found != '\\') {
            *to++ = (char)found;
            continue;
        }
        /* Pairs: what is escaped, and the letter that says so. */
        const char *escaped = found ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", found) : NULL;
        *to++ = '\\';
        if (escaped) {
            *to++ = escaped[1];
        } else {
            memcpy(to, "u00", 3);
            to[3] = hex[found >> 4];
            to[4] = hex[found & 15];
            to += 5;
        }
    }
    *to++ = '"';
    out->size = to - out->data;
    return 0;
}

static inline int pks_json_integer(pks_bytes *out, int64_t number) {
    char text[24], *from = text + 24;
    uint64_t amount = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do *--from = (char)('0' + amount % 10);
    while (amount /= 10);
    if (number < 0) *--from = '-';
    return pks_write(out, from, text + 24 - from);
}

/* What `str` makes of a number that is not simple. */
static inline int pks_write_str(pks_bytes *out, PyObject *number, int (*write)(pks_bytes *, PyObject *)) {
    PyObject *text = PyObject_Str(number);
    int failed = text == NULL || write(out, text) < 0;
    Py_XDECREF(text);
    return failed ? -1 : 0;
}

static inline int pks_json_spelled(pks_bytes *out, const char *spelled, Py_ssize_t size) {
    if (pks_reserve(out, size + 2) < 0) return -1;
    char *to = out->data + out->size;
    *to = '"';
    memcpy(to + 1, spelled, (size_t)size);
    to[size + 1] = '"';
    out->size += size + 2;
    return 0;
}

static inline int pks_json_decimal(pks_bytes *out, PyObject *number) {
    char spelled[PKS_SPELLED_MAX];
    Py_ssize_t size = pks_spell(number, spelled);
    return size ? pks_json_spelled(out, spelled, size) : pks_write_str(out, number, pks_json_text);
}

/* -- MessagePack ------------------------------------------------------------------------------------------------ */

/* `size` bytes of a number after their mark. */
static inline int pks_pack_marked(pks_bytes *out, int mark, uint64_t number, int size) {
    char data[9];
    data[0] = (char)mark;
    for (int place = size; place > 0; place--, number >>= 8) data[place] = (char)(number & 255);
    return pks_write(out, data, size + 1);
}

static inline int pks_pack_nil(pks_bytes *out) { return pks_write(out, "\xc0", 1); }

static inline int pks_pack_bool(pks_bytes *out, int found) { return pks_write(out, found ? "\xc3" : "\xc2", 1); }

static inline int pks_pack_integer(pks_bytes *out, int64_t number) {
    if (number >= 0) {
        if (number < 128) return pks_pack_marked(out, (int)number, 0, 0);
        if (number < 256) return pks_pack_marked(out, 0xcc, (uint64_t)number, 1);
        if (number < 65536) return pks_pack_marked(out, 0xcd, (uint64_t)number, 2);
        if (number < 4294967296) return pks_pack_marked(out, 0xce, (uint64_t)number, 4);
        return pks_pack_marked(out, 0xcf, (uint64_t)number, 8);
    }
    if (number >= -32) return pks_pack_marked(out, (int)number, 0, 0);
    if (number >= -128) return pks_pack_marked(out, 0xd0, (uint64_t)number, 1);
    if (number >= -32768) return pks_pack_marked(out, 0xd1, (uint64_t)number, 2);
    if (number >= -2147483648LL) return pks_pack_marked(out, 0xd2, (uint64_t)number, 4);
    return pks_pack_marked(out, 0xd3, (uint64_t)number, 8);
}

static inline int pks_pack_array(pks_bytes *out, Py_ssize_t length) {
    if (length < 16) return pks_pack_marked(out, 0x90 | (int)length, 0, 0);
    if (length < 65536) return pks_pack_marked(out, 0xdc, (uint64_t)length, 2);
    return pks_pack_marked(out, 0xdd, (uint64_t)length, 4);
}

static inline int pks_pack_spelled(pks_bytes *out, const char *data, Py_ssize_t size) {
    int failed;
    if (size < 32) failed = pks_pack_marked(out, 0xa0 | (int)size, 0, 0);
    else if (size < 256) failed = pks_pack_marked(out, 0xd9, (uint64_t)size, 1);
    else if (size < 65536) failed = pks_pack_marked(out, 0xda, (uint64_t)size, 2);
    else failed = pks_pack_marked(out, 0xdb, (uint64_t)size, 4);
    return failed < 0 ? -1 : pks_write(out, data, size);
}

static inline int pks_pack_text(pks_bytes *out, PyObject *text) {
    Py_ssize_t size;
    const char *data = pks_utf8(text, &size);
    return data == NULL ? -1 : pks_pack_spelled(out, data, size);
}

static inline int pks_pack_decimal(pks_bytes *out, PyObject *number) {
    char spelled[PKS_SPELLED_MAX];
    Py_ssize_t size = pks_spell(number, spelled);
    return size ? pks_pack_spelled(out, spelled, size) : pks_write_str(out, number, pks_pack_text);
}

#endif
