/*
 * pks_positions.h - positions of PKS from shared memory, for programs on the same machine.
 *
 * Self-contained: C11 or C++11, GCC or Clang, Linux on x86-64. Link with nothing (older C libraries: -lrt). With a
 * strict `-std=c11` define _POSIX_C_SOURCE=200809L.
 *
 *     pks_reader reader;
 *     pks_handle handle;
 *     pks_position position;
 *     if (pks_open(&reader, "/pks-positions-v1") != PKS_OK) ...
 *     pks_handle_init(&handle, "MM-BOOK", "BTCUSDT");              // once
 *     if (pks_read(&reader, &handle, &position) == PKS_OK && position.status == PKS_LIVE)
 *         quote(position.slot.quantity, position.slot.average_price);
 *     pks_close(&reader);
 *
 * THE LAYOUT
 *   directory      /pks-positions-v1                            pks_directory, then pks_worker[64], then 1,024 words
 *   data segment   /pks-positions-v1.<worker>.<generation>      pks_segment, slots, index, strings
 *
 *   A book belongs to partition (murmur2(book) & 0x7fffffff) % partition_count. The partition's word in the directory
 *   is owner_epoch << 16 | (worker index + 1), 0 for no owner. The worker's entry names the generation to read.
 *   The directory as a whole is a seqlock: `version` is odd while it changes.
 *
 *   The index is open addressing with linear probing from key_hash & (index_count - 1); an entry is
 *   (key_hash >> 32) << 32 | (slot number + 1), 0 for none. key_hash is FNV-1a, 64 bits, of book, a zero byte,
 *   instrument. A text is a 2-byte length and UTF-8, at strings_offset + its place.
 *
 *   A slot is a seqlock: `sequence` is odd while the slot is written. A reader copies the slot between two loads of an
 *   equal, even sequence. The writer's stores, and the reader's loads, are seen in program order, as x86-64
 *   has it; the fences below keep the compiler to it as well.
 *
 *   All times of slots are nanoseconds since 1970 UTC; `heartbeat` is CLOCK_MONOTONIC nanoseconds.
 *
 * Readers map the memory read-only, take no lock, and cannot hold up the writer. One pks_reader a thread.
 */
#ifndef PKS_POSITIONS_H
#define PKS_POSITIONS_H

#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if !defined(__x86_64__) || !defined(__linux__)
#error "pks_positions.h: expected Linux on x86-64, whose order of loads and stores the protocol relies on"
#endif

#ifdef __cplusplus
#define PKS_STATIC_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define PKS_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define PKS_LAYOUT_VERSION 1u
#define PKS_DIRECTORY_MAGIC UINT64_C(0x3152494450534b50) /* "PKSPDIR1" */
#define PKS_SEGMENT_MAGIC UINT64_C(0x3147455350534b50)   /* "PKSPSEG1" */

#define PKS_WORKERS_MAX 64
#define PKS_PARTITIONS_MAX 1024
#define PKS_WORKER_NAME_BYTES 64
#define PKS_NAME_BYTES 256

/* States of a data segment. */
#define PKS_STATE_BUILDING 1u
#define PKS_STATE_ACTIVE 2u
#define PKS_STATE_CLOSED 3u
#define PKS_STATE_SUPERSEDED 4u

#define PKS_ALARM_FULL 1u /* the segment is full and cannot grow: some positions are not shown */

/* Flags of an exact decimal. */
#define PKS_EXACT_INEXACT 1u /* rounded to 38 digits */
#define PKS_EXACT_NULL 2u    /* no value, as the average price of a flat position */

/* mantissa x 10^exponent; the mantissa is high << 64 | low, two's complement. */
typedef struct {
    uint64_t low;
    int64_t high;
    int32_t exponent;
    uint32_t flags;
} pks_exact;

__extension__ typedef unsigned __int128 pks_wide;

typedef struct {
    uint64_t sequence;
    uint64_t key_hash;
    double quantity; /* float64 of the exact figures below: fast, never for books */
    double average_price; /* NaN when flat */
    double cost_basis;
    double realised_pnl;
    double net_realised_pnl;
    double fees;
    /* second cache line */
    uint64_t owner_epoch;
    uint64_t lots_open;
    uint64_t revision;
    int64_t executed_at;
    int64_t updated_at;
    uint32_t book; /* places of texts */
    uint32_t instrument;
    uint32_t currency;
    uint32_t partition;
    uint64_t reserved_1;
    /* third to fifth */
    pks_exact quantity_exact;
    pks_exact average_price_exact;
    pks_exact cost_basis_exact;
    pks_exact realised_pnl_exact;
    pks_exact net_realised_pnl_exact;
    pks_exact fees_exact;
    uint64_t reserved_2[6];
} pks_slot;

typedef struct {
    uint64_t magic;
    uint64_t layout_version;
    uint64_t catalogue_version;
    uint64_t header_size;
    uint64_t slot_size;
    uint64_t slot_count;
    uint64_t index_offset;
    uint64_t index_count;
    uint64_t strings_offset;
    uint64_t strings_size;
    uint64_t segment_size;
    uint64_t generation;
    uint64_t owner_epoch;
    uint64_t writer_pid;
    uint64_t started_at;
    uint64_t reserved_1;
    char worker[PKS_WORKER_NAME_BYTES];
    uint64_t state;
    uint64_t heartbeat;
    uint64_t committed_sequence; /* of the log: what the slots show */
    uint64_t durable_sequence;   /* of the log: what is synced to disk */
    uint64_t slots_used;
    uint64_t strings_used;
    uint64_t alarms;
    uint64_t waiting; /* positions without a slot */
    uint64_t growths;
    uint64_t reserved_2[31];
} pks_segment;

typedef struct {
    char name[PKS_WORKER_NAME_BYTES];
    uint64_t generation; /* 0: shows none */
    uint64_t building;
    uint64_t owner_epoch;
    uint64_t writer_pid;
    uint64_t reserved[4];
} pks_worker;

typedef struct {
    uint64_t magic;
    uint64_t layout_version;
    uint64_t catalogue_version;
    uint64_t header_size;
    uint64_t worker_size;
    uint64_t worker_count;
    uint64_t partition_count;
    uint64_t reserved_1;
    uint64_t version;
    uint64_t last_epoch;
    uint64_t reserved_2[22];
    pks_worker workers[PKS_WORKERS_MAX];
    uint64_t partitions[PKS_PARTITIONS_MAX];
} pks_directory;

PKS_STATIC_ASSERT(sizeof(pks_exact) == 24, "pks_exact");
PKS_STATIC_ASSERT(sizeof(pks_slot) == 320 && sizeof(pks_slot) % 64 == 0, "pks_slot");
PKS_STATIC_ASSERT(offsetof(pks_slot, quantity) == 16, "quantity");
PKS_STATIC_ASSERT(offsetof(pks_slot, owner_epoch) == 64, "owner_epoch");
PKS_STATIC_ASSERT(offsetof(pks_slot, lots_open) == 72, "lots_open");
PKS_STATIC_ASSERT(offsetof(pks_slot, executed_at) == 88, "executed_at");
PKS_STATIC_ASSERT(offsetof(pks_slot, book) == 104, "book");
PKS_STATIC_ASSERT(offsetof(pks_slot, partition) == 116, "partition");
PKS_STATIC_ASSERT(offsetof(pks_slot, quantity_exact) == 128, "quantity_exact");
PKS_STATIC_ASSERT(offsetof(pks_slot, fees_exact) == 248, "fees_exact");
PKS_STATIC_ASSERT(sizeof(pks_segment) == 512, "pks_segment");
PKS_STATIC_ASSERT(offsetof(pks_segment, worker) == 128, "worker");
PKS_STATIC_ASSERT(offsetof(pks_segment, state) == 192, "state");
PKS_STATIC_ASSERT(offsetof(pks_segment, growths) == 256, "growths");
PKS_STATIC_ASSERT(sizeof(pks_worker) == 128, "pks_worker");
PKS_STATIC_ASSERT(offsetof(pks_directory, version) == 64, "version");
PKS_STATIC_ASSERT(offsetof(pks_directory, workers) == 256, "workers");
PKS_STATIC_ASSERT(offsetof(pks_directory, partitions) == 8448, "partitions");
PKS_STATIC_ASSERT(sizeof(pks_directory) == 16640, "pks_directory");

typedef enum {
    PKS_OK = 0,
    PKS_NOT_FOUND,     /* no such position (yet) */
    PKS_NOT_AVAILABLE, /* no shared memory of that name: nothing runs */
    PKS_MISMATCH,      /* another layout than this header's */
    PKS_BUSY           /* half-written for too long: the writer stopped or died there */
} pks_result;

typedef enum {
    PKS_LIVE = 0,
    PKS_STALE,    /* no heartbeat: the writer hangs or died */
    PKS_CLOSED,   /* the writer stopped cleanly */
    PKS_NOT_OWNED /* the slot's writer owns the book no more */
} pks_status;

typedef struct {
    const pks_segment *header; /* NULL: none mapped */
    size_t size;
    uint64_t generation;
} pks_mapped;

typedef struct {
    char name[PKS_NAME_BYTES];
    const pks_directory *directory;
    ino_t inode;
    uint64_t stale_after;  /* nanoseconds without heartbeat; 1 s */
    uint64_t busy_yields;  /* how often to yield to a writer in the middle of a store; 10,000 */
    uint64_t mappings;     /* raised whenever something is mapped anew, so that handles look again */
    pks_mapped segments[PKS_WORKERS_MAX];
} pks_reader;

/* A position, found once. The texts must live as long as the handle. */
typedef struct {
    const char *book;
    const char *instrument;
    uint64_t key_hash;
    uint32_t book_hash;
    uint64_t version;  /* of the directory when it was found; odd: look again */
    uint64_t mappings; /* of the reader then */
    uint64_t owner_epoch;
    const pks_segment *header;
    const pks_slot *slot;
} pks_handle;

typedef struct {
    pks_slot slot; /* of one moment */
    pks_status status;
} pks_position;

static inline uint64_t pks_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static inline uint64_t pks_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* FNV-1a, 64 bits, of book, a zero byte, instrument. */
static inline uint64_t pks_key_hash(const char *book, const char *instrument) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const unsigned char *at;
    for (at = (const unsigned char *)book; *at; at++) hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    hash *= UINT64_C(0x100000001b3);
    for (at = (const unsigned char *)instrument; *at; at++) hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return hash;
}

/* Kafka's murmur2 of the book, made positive: modulo partition_count it is the partition. */
static inline uint32_t pks_book_hash(const char *book) {
    const unsigned char *data = (const unsigned char *)book;
    const uint32_t m = 0x5bd1e995u;
    size_t length = strlen(book), at = 0;
    uint32_t hash = 0x9747b28cu ^ (uint32_t)length;
    for (; at + 4 <= length; at += 4) {
        uint32_t k;
        memcpy(&k, data + at, 4);
        k *= m;
        k = (k ^ (k >> 24)) * m;
        hash = hash * m ^ k;
    }
    if (at < length) {
        uint32_t k = 0;
        memcpy(&k, data + at, length - at);
        hash = (hash ^ k) * m;
    }
    hash = (hash ^ (hash >> 13)) * m;
    return (hash ^ (hash >> 15)) & 0x7fffffffu;
}

static inline const void *pks_map(const char *name, size_t size_min, size_t *size, ino_t *inode) {
    struct stat facts;
    void *memory;
    int descriptor = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0) return NULL;
    if (fstat(descriptor, &facts) != 0 || (size_t)facts.st_size < size_min) {
        close(descriptor);
        return NULL;
    }
    memory = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED) return NULL;
    *size = (size_t)facts.st_size;
    if (inode != NULL) *inode = facts.st_ino;
    return memory;
}

static inline pks_result pks_open_directory(pks_reader *reader) {
    size_t size;
    const pks_directory *directory =
        (const pks_directory *)pks_map(reader->name, sizeof(pks_directory), &size, &reader->inode);
    if (directory == NULL) return PKS_NOT_AVAILABLE;
    if (directory->magic != PKS_DIRECTORY_MAGIC || directory->layout_version != PKS_LAYOUT_VERSION) {
        pks_result result = directory->magic == 0 ? PKS_NOT_AVAILABLE : PKS_MISMATCH;
        munmap((void *)(uintptr_t)directory, size);
        return result;
    }
    reader->directory = directory;
    reader->mappings++;
    return PKS_OK;
}

static inline pks_result pks_open(pks_reader *reader, const char *name) {
    memset(reader, 0, sizeof *reader);
    if (strlen(name) >= PKS_NAME_BYTES) return PKS_NOT_AVAILABLE;
    strcpy(reader->name, name);
    reader->stale_after = UINT64_C(1000000000);
    reader->busy_yields = 10000;
    return pks_open_directory(reader);
}

static inline void pks_unmap_segment(pks_mapped *mapped) {
    if (mapped->header != NULL) munmap((void *)(uintptr_t)mapped->header, mapped->size);
    mapped->header = NULL;
}

static inline void pks_close(pks_reader *reader) {
    int index;
    for (index = 0; index < PKS_WORKERS_MAX; index++) pks_unmap_segment(&reader->segments[index]);
    if (reader->directory != NULL) munmap((void *)(uintptr_t)reader->directory, sizeof(pks_directory));
    reader->directory = NULL;
}

/* The segment that a worker shows; NULL where there is none. The caller checks the directory's version. */
static inline const pks_segment *pks_worker_segment(pks_reader *reader, int index) {
    const pks_worker *worker = &reader->directory->workers[index];
    pks_mapped *mapped = &reader->segments[index];
    uint64_t generation = pks_load(&worker->generation);
    char name[PKS_NAME_BYTES + PKS_WORKER_NAME_BYTES + 32];
    if (generation == 0) return NULL;
    if (mapped->header != NULL && mapped->generation == generation) return mapped->header;
    pks_unmap_segment(mapped);
    reader->mappings++;
    snprintf(name, sizeof name, "%s.%.*s.%llu", reader->name, PKS_WORKER_NAME_BYTES, worker->name,
             (unsigned long long)generation);
    mapped->header = (const pks_segment *)pks_map(name, sizeof(pks_segment), &mapped->size, NULL);
    if (mapped->header == NULL) return NULL;
    if (mapped->header->magic != PKS_SEGMENT_MAGIC || mapped->header->layout_version != PKS_LAYOUT_VERSION ||
        mapped->header->segment_size > mapped->size) {
        pks_unmap_segment(mapped);
        return NULL;
    }
    mapped->generation = generation;
    return mapped->header;
}

/* A text of a segment: its first byte, and its length in bytes (there is no zero byte at its end). */
static inline const char *pks_text(const pks_segment *header, uint32_t place, size_t *length) {
    const char *start = (const char *)header + header->strings_offset + place;
    uint16_t bytes;
    memcpy(&bytes, start, 2);
    *length = bytes;
    return start + 2;
}

static inline int pks_text_is(const pks_segment *header, uint32_t place, const char *text) {
    size_t length;
    const char *found = pks_text(header, place, &length);
    return length == strlen(text) && memcmp(found, text, length) == 0;
}

static inline const pks_slot *pks_slot_at(const pks_segment *header, uint64_t number) {
    return (const pks_slot *)(const void *)((const char *)header + sizeof(pks_segment)) + number;
}

static inline const pks_slot *pks_find_slot(const pks_segment *header, const pks_handle *handle) {
    const uint64_t *index = (const uint64_t *)(const void *)((const char *)header + header->index_offset);
    uint64_t mask = header->index_count - 1, place = handle->key_hash & mask, entry;
    while ((entry = pks_load(&index[place])) != 0) {
        const pks_slot *slot = pks_slot_at(header, (entry & UINT64_C(0xffffffff)) - 1);
        /* Hash and texts of a slot never change once the index names it. */
        if (entry >> 32 == handle->key_hash >> 32 && slot->key_hash == handle->key_hash &&
            pks_text_is(header, slot->book, handle->book) && pks_text_is(header, slot->instrument, handle->instrument))
            return slot;
        place = (place + 1) & mask;
    }
    return NULL;
}

static inline void pks_handle_init(pks_handle *handle, const char *book, const char *instrument) {
    memset(handle, 0, sizeof *handle);
    handle->book = book;
    handle->instrument = instrument;
    handle->key_hash = pks_key_hash(book, instrument);
    handle->book_hash = pks_book_hash(book);
    handle->version = 1;
}

/* Find the slot of a handle: which worker owns the book, which generation it shows, where the position is there. */
static inline pks_result pks_find(pks_reader *reader, pks_handle *handle) {
    uint64_t yields;
    for (yields = 0; yields <= reader->busy_yields; yields++) {
        const pks_directory *directory = reader->directory;
        uint64_t version = pks_load(&directory->version), word;
        handle->version = 1;
        if ((version & 1) == 0 && directory->partition_count != 0) {
            const pks_segment *header = NULL;
            const pks_slot *slot = NULL;
            word = pks_load(&directory->partitions[handle->book_hash % directory->partition_count]);
            if ((word & 0xffff) != 0) header = pks_worker_segment(reader, (int)(word & 0xffff) - 1);
            if (header != NULL) slot = pks_find_slot(header, handle);
            if (pks_load(&directory->version) == version) {
                if (slot == NULL) return PKS_NOT_FOUND;
                handle->owner_epoch = word >> 16;
                handle->header = header;
                handle->slot = slot;
                handle->mappings = reader->mappings;
                handle->version = version;
                return PKS_OK;
            }
        }
        sched_yield();
    }
    return PKS_BUSY;
}

/* Copy a slot of one moment. */
static inline pks_result pks_copy_slot(const pks_reader *reader, const pks_slot *slot, pks_slot *copy) {
    const uint64_t *from = (const uint64_t *)(const void *)slot;
    uint64_t *to = (uint64_t *)(void *)copy, yields;
    for (yields = 0; yields <= reader->busy_yields; yields++) {
        int spins;
        for (spins = 0; spins < 100; spins++) {
            uint64_t sequence = pks_load(&slot->sequence);
            size_t word;
            if (sequence & 1) {
                __builtin_ia32_pause();
                continue;
            }
            for (word = 1; word < sizeof(pks_slot) / 8; word++)
                to[word] = __atomic_load_n(&from[word], __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (__atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) == sequence) {
                copy->sequence = sequence;
                return PKS_OK;
            }
        }
        sched_yield();
    }
    return PKS_BUSY;
}

static inline pks_status pks_status_of(const pks_reader *reader, const pks_segment *header, int owned) {
    uint64_t state = pks_load(&header->state);
    if (state == PKS_STATE_CLOSED) return PKS_CLOSED;
    if (state != PKS_STATE_ACTIVE) return PKS_NOT_OWNED;
    if ((int64_t)(pks_monotonic() - pks_load(&header->heartbeat)) > (int64_t)reader->stale_after) return PKS_STALE;
    return owned ? PKS_LIVE : PKS_NOT_OWNED;
}

/* Map the directory again if its name now stands for another; 1 where it did. */
static inline int pks_renew(pks_reader *reader) {
    struct stat facts;
    pks_reader renewed;
    int descriptor = shm_open(reader->name, O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0) return 0;
    if (fstat(descriptor, &facts) != 0 || facts.st_ino == reader->inode) {
        close(descriptor);
        return 0;
    }
    close(descriptor);
    renewed = *reader;
    memset(renewed.segments, 0, sizeof renewed.segments);
    if (pks_open_directory(&renewed) != PKS_OK) return 0;
    pks_close(reader);
    *reader = renewed;
    return 1;
}

/* Make sure that a handle stands on the slot that readers shall read now. */
static inline pks_result pks_locate(pks_reader *reader, pks_handle *handle) {
    if (pks_load(&reader->directory->version) == handle->version && handle->mappings == reader->mappings)
        return PKS_OK;
    return pks_find(reader, handle);
}

/*
 * The figures as float64, for a strategy's loop: quantity, average_price, cost_basis, realised_pnl, net_realised_pnl,
 * fees, of one moment, from one cache line. It does not look at the heartbeat: ask pks_read for the status as often
 * as a stale figure would matter.
 */
static inline pks_result pks_read_raw(pks_reader *reader, pks_handle *handle, double figures[6]) {
    pks_result result = pks_locate(reader, handle);
    pks_slot copy;
    uint64_t sequence;
    if (result != PKS_OK) return result;
    sequence = pks_load(&handle->slot->sequence);
    memcpy(figures, &handle->slot->quantity, 6 * sizeof(double));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((sequence & 1) == 0 && __atomic_load_n(&handle->slot->sequence, __ATOMIC_RELAXED) == sequence) return PKS_OK;
    result = pks_copy_slot(reader, handle->slot, &copy);
    if (result == PKS_OK) memcpy(figures, &copy.quantity, 6 * sizeof(double));
    return result;
}

/* A consistent copy of a position, and how far it may be trusted. */
static inline pks_result pks_read(pks_reader *reader, pks_handle *handle, pks_position *position) {
    pks_result result = pks_locate(reader, handle);
    if (result == PKS_OK) result = pks_copy_slot(reader, handle->slot, &position->slot);
    if (result == PKS_OK) {
        position->status = pks_status_of(reader, handle->header, position->slot.owner_epoch == handle->owner_epoch);
        if (position->status == PKS_LIVE) return PKS_OK;
    }
    /* Nothing live there: look whether the whole directory was made anew meanwhile. */
    if (pks_renew(reader)) return pks_read(reader, handle, position);
    return result;
}

/*
 * An exact decimal in plain notation, as "-12.50"; returns the length, or -1 where `size` is too small or there
 * is no value.
 */
static inline int pks_exact_text(const pks_exact *exact, char *text, size_t size) {
    pks_wide rest = (pks_wide)(uint64_t)exact->high << 64 | exact->low;
    int negative = exact->high < 0, digits = 0, at, length = 0, whole, zeros, fraction;
    char reversed[40];
    if (exact->flags & PKS_EXACT_NULL) return -1;
    if (negative) rest = -rest;
    do {
        reversed[digits++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest != 0);
    fraction = exact->exponent < 0 ? -exact->exponent : 0;
    zeros = exact->exponent > 0 ? exact->exponent : 0;
    whole = digits > fraction ? digits - fraction : 0;
    if ((size_t)negative + (size_t)(whole ? whole : 1) + (size_t)zeros + (size_t)(fraction ? fraction + 1 : 0) + 1 > size)
        return -1;
    if (negative) text[length++] = '-';
    if (whole == 0) text[length++] = '0';
    for (at = digits - 1; at >= digits - whole; at--) text[length++] = reversed[at];
    for (at = 0; at < zeros; at++) text[length++] = '0';
    if (fraction > 0) {
        text[length++] = '.';
        for (at = fraction - 1; at >= 0; at--) text[length++] = at < digits ? reversed[at] : '0';
    }
    text[length] = '\0';
    return length;
}

#ifdef __cplusplus
}
#endif

#endif
