/*
 * pks_shm.h - what the shared-memory segments of PKS have in common, whatever stands in their slots.
 *
 * Include pks_positions.h or pks_marks.h, which include this. C11 or C++11, GCC or Clang, Linux on x86-64. Link with
 * nothing (older C libraries: -lrt). With a strict `-std=c11` define _POSIX_C_SOURCE=200809L.
 *
 * THE LAYOUT
 *   directory      /NAME                            pks_directory, then pks_worker[64], then 1,024 words
 *   data segment   /NAME.<worker>.<generation>      pks_segment, slots, index, strings
 *
 *   A key is one text or two (an instrument; a book and an instrument). It belongs to partition
 *   (murmur2(first text) & 0x7fffffff) % partition_count. The partition's word in the directory is
 *   owner_epoch << 16 | (worker index + 1), 0 for no owner. The worker's entry names the generation to read.
 *   The directory as a whole is a seqlock: `version` is odd while it changes.
 *
 *   The index is open addressing with linear probing from key_hash & (index_count - 1); an entry is
 *   (key_hash >> 32) << 32 | (slot number + 1), 0 for none. key_hash is FNV-1a, 64 bits, of the key's texts with a zero
 *   byte between them. A text is a 2-byte length and UTF-8, at strings_offset + its place.
 *
 *   A slot is a seqlock: `sequence` is odd while the slot is written. A reader copies the slot between two loads of an
 *   equal, even sequence. The writer's stores, and the reader's loads, are seen in program order, as x86-64
 *   has it; the fences below keep the compiler to it as well.
 *
 *   All times of slots are nanoseconds since 1970 UTC; `heartbeat` is CLOCK_MONOTONIC nanoseconds.
 *
 * Readers map the memory read-only, take no lock, and cannot hold up the writer. One pks_reader a thread.
 */
#ifndef PKS_SHM_H
#define PKS_SHM_H

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
#error "pks_shm.h: expected Linux on x86-64, whose order of loads and stores the protocol relies on"
#endif

#ifdef __cplusplus
#define PKS_STATIC_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define PKS_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define PKS_LAYOUT_VERSION 1u

#define PKS_WORKERS_MAX 64
#define PKS_PARTITIONS_MAX 1024
#define PKS_WORKER_NAME_BYTES 64
#define PKS_NAME_BYTES 256

/* States of a data segment. */
#define PKS_STATE_BUILDING 1u
#define PKS_STATE_ACTIVE 2u
#define PKS_STATE_CLOSED 3u
#define PKS_STATE_SUPERSEDED 4u

#define PKS_ALARM_FULL 1u /* the segment is full and cannot grow: something is not shown */

/* Flags of an exact decimal. */
#define PKS_EXACT_INEXACT 1u /* rounded to 38 digits */
#define PKS_EXACT_NULL 2u    /* no value */

/* mantissa x 10^exponent; the mantissa is high << 64 | low, two's complement. */
typedef struct {
    uint64_t low;
    int64_t high;
    int32_t exponent;
    uint32_t flags;
} pks_exact;

__extension__ typedef unsigned __int128 pks_wide;

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
    uint64_t waiting; /* what has no slot, since the segment cannot grow */
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
    PKS_NOT_FOUND,     /* no such key (yet) */
    PKS_NOT_AVAILABLE, /* no shared memory of that name: nothing runs */
    PKS_MISMATCH,      /* another layout than this header's */
    PKS_BUSY           /* half-written for too long: the writer stopped or died there */
} pks_result;

typedef enum {
    PKS_LIVE = 0,
    PKS_STALE,    /* no heartbeat: the writer hangs or died */
    PKS_CLOSED,   /* the writer stopped cleanly */
    PKS_NOT_OWNED /* the slot's writer owns the key no more */
} pks_status;

/* What stands in the slots of a segment: `texts_offset` is where the places of the key's texts stand in a slot. */
typedef struct {
    uint64_t directory_magic;
    uint64_t segment_magic;
    uint64_t slot_size;
    uint32_t texts_offset;
    uint32_t keys;
    /* Where a slot says its partition and owner epoch, of a kind whose key does not name the partition; else 0. */
    uint32_t partition_offset;
    uint32_t epoch_offset;
} pks_kind;

typedef struct {
    const pks_segment *header; /* NULL: none mapped */
    size_t size;
    uint64_t generation;
} pks_mapped;

typedef struct {
    const pks_kind *kind;
    char name[PKS_NAME_BYTES];
    const pks_directory *directory;
    ino_t inode;
    uint64_t stale_after;  /* nanoseconds without heartbeat; 1 s */
    uint64_t busy_yields;  /* how often to yield to a writer in the middle of a store; 10,000 */
    uint64_t mappings;     /* raised whenever something is mapped anew, so that handles look again */
    pks_mapped segments[PKS_WORKERS_MAX];
} pks_reader;

/* A slot, found once. The texts must live as long as the handle. */
typedef struct {
    const char *key[2];
    uint64_t key_hash;
    uint32_t book_hash; /* murmur2 of the first text, made positive */
    uint64_t version;   /* of the directory when it was found; odd: look again */
    uint64_t mappings;  /* of the reader then */
    uint64_t owner_epoch;
    const pks_segment *header;
    const void *slot;
} pks_handle;

static inline uint64_t pks_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static inline uint64_t pks_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* FNV-1a, 64 bits, of a text, gone on with from `hash`. */
static inline uint64_t pks_hash_text(uint64_t hash, const char *text) {
    const unsigned char *at;
    for (at = (const unsigned char *)text; *at; at++) hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return hash;
}

/* Kafka's murmur2 of a text, made positive: modulo partition_count it is the partition. */
static inline uint32_t pks_book_hash(const char *text) {
    const unsigned char *data = (const unsigned char *)text;
    const uint32_t m = 0x5bd1e995u;
    size_t length = strlen(text), at = 0;
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
    if (directory->magic != reader->kind->directory_magic || directory->layout_version != PKS_LAYOUT_VERSION) {
        pks_result result = directory->magic == 0 ? PKS_NOT_AVAILABLE : PKS_MISMATCH;
        munmap((void *)(uintptr_t)directory, size);
        return result;
    }
    reader->directory = directory;
    reader->mappings++;
    return PKS_OK;
}

static inline pks_result pks_open_kind(pks_reader *reader, const char *name, const pks_kind *kind) {
    memset(reader, 0, sizeof *reader);
    reader->kind = kind;
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
    if (mapped->header->magic != reader->kind->segment_magic ||
        mapped->header->slot_size != reader->kind->slot_size || mapped->header->layout_version != PKS_LAYOUT_VERSION ||
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

static inline const void *pks_slot_of(const pks_segment *header, uint64_t number) {
    return (const char *)header + sizeof(pks_segment) + number * header->slot_size;
}

static inline int pks_slot_is(const pks_reader *reader, const pks_segment *header, const void *slot,
                              const pks_handle *handle) {
    /* Hash and texts of a slot never change once the index names it. */
    const uint64_t *words = (const uint64_t *)slot;
    const uint32_t *places = (const uint32_t *)(const void *)((const char *)slot + reader->kind->texts_offset);
    uint32_t text;
    if (words[1] != handle->key_hash) return 0;
    for (text = 0; text < reader->kind->keys; text++)
        if (!pks_text_is(header, places[text], handle->key[text])) return 0;
    return 1;
}

static inline const void *pks_find_slot(const pks_reader *reader, const pks_segment *header,
                                        const pks_handle *handle) {
    const uint64_t *index = (const uint64_t *)(const void *)((const char *)header + header->index_offset);
    uint64_t mask = header->index_count - 1, place = handle->key_hash & mask, entry;
    while ((entry = pks_load(&index[place])) != 0) {
        const void *slot = pks_slot_of(header, (entry & UINT64_C(0xffffffff)) - 1);
        if (entry >> 32 == handle->key_hash >> 32 && pks_slot_is(reader, header, slot, handle)) return slot;
        place = (place + 1) & mask;
    }
    return NULL;
}

/* A handle on a key of one text (`second` NULL) or two. */
static inline void pks_handle_of(pks_handle *handle, const char *first, const char *second) {
    memset(handle, 0, sizeof *handle);
    handle->key[0] = first;
    handle->key[1] = second;
    handle->key_hash = pks_hash_text(UINT64_C(0xcbf29ce484222325), first);
    if (second != NULL) handle->key_hash = pks_hash_text(handle->key_hash * UINT64_C(0x100000001b3), second);
    handle->book_hash = pks_book_hash(first);
    handle->version = 1;
}

/* The slot of a key among those of all workers: that of its owner, else any. Sets `owner` to the owner's word in the
 * directory. */
static inline const void *pks_find_anywhere(pks_reader *reader, const pks_handle *handle, const pks_segment **header,
                                            uint64_t *owner) {
    const void *found = NULL;
    int index;
    for (index = 0; index < PKS_WORKERS_MAX; index++) {
        const pks_segment *segment = pks_worker_segment(reader, index);
        const char *slot = segment == NULL ? NULL : (const char *)pks_find_slot(reader, segment, handle);
        uint32_t partition;
        uint64_t epoch;
        if (slot == NULL) continue;
        memcpy(&partition, slot + reader->kind->partition_offset, sizeof partition);
        memcpy(&epoch, slot + reader->kind->epoch_offset, sizeof epoch);
        if (partition >= PKS_PARTITIONS_MAX) continue;
        found = slot;
        *header = segment;
        *owner = pks_load(&reader->directory->partitions[partition]);
        if (*owner == (epoch << 16 | (uint64_t)(index + 1))) break;
    }
    return found;
}

/* Find the slot of a handle: which worker owns the key, which generation it shows, where the slot is there. */
static inline pks_result pks_find(pks_reader *reader, pks_handle *handle) {
    uint64_t yields;
    for (yields = 0; yields <= reader->busy_yields; yields++) {
        const pks_directory *directory = reader->directory;
        uint64_t version = pks_load(&directory->version), word;
        handle->version = 1;
        if ((version & 1) == 0 && directory->partition_count != 0) {
            const pks_segment *header = NULL;
            const void *slot = NULL;
            if (reader->kind->partition_offset != 0) {
                word = 0;
                slot = pks_find_anywhere(reader, handle, &header, &word);
            } else {
                word = pks_load(&directory->partitions[handle->book_hash % directory->partition_count]);
                if ((word & 0xffff) != 0) header = pks_worker_segment(reader, (int)(word & 0xffff) - 1);
                if (header != NULL) slot = pks_find_slot(reader, header, handle);
            }
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

/* Copy a slot (of the reader's kind) of one moment. */
static inline pks_result pks_copy(const pks_reader *reader, const void *slot, void *copy) {
    const uint64_t *from = (const uint64_t *)slot;
    uint64_t *to = (uint64_t *)copy, yields;
    for (yields = 0; yields <= reader->busy_yields; yields++) {
        int spins;
        for (spins = 0; spins < 100; spins++) {
            uint64_t sequence = pks_load(from);
            size_t word;
            if (sequence & 1) {
                __builtin_ia32_pause();
                continue;
            }
            for (word = 1; word < reader->kind->slot_size / 8; word++)
                to[word] = __atomic_load_n(&from[word], __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (__atomic_load_n(from, __ATOMIC_RELAXED) == sequence) {
                to[0] = sequence;
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
 * The first `count` figures of a slot as float64, of one moment, for a strategy's loop. It does not look at the heartbeat:
 * read the whole slot for the status as often as a stale figure would matter. `copy` is room for a slot.
 */
static inline pks_result pks_read_figures(pks_reader *reader, pks_handle *handle, double *figures, size_t count,
                                          void *copy) {
    pks_result result = pks_locate(reader, handle);
    uint64_t sequence;
    if (result != PKS_OK) return result;
    sequence = pks_load((const uint64_t *)handle->slot);
    memcpy(figures, (const char *)handle->slot + 16, count * sizeof(double));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((sequence & 1) == 0 && __atomic_load_n((const uint64_t *)handle->slot, __ATOMIC_RELAXED) == sequence)
        return PKS_OK;
    result = pks_copy(reader, handle->slot, copy);
    if (result == PKS_OK) memcpy(figures, (const char *)copy + 16, count * sizeof(double));
    return result;
}

/* A consistent copy of a slot, and how far it may be trusted. `epoch` is where the owner epoch stands in a slot. */
static inline pks_result pks_read_slot(pks_reader *reader, pks_handle *handle, void *copy, size_t epoch,
                                       pks_status *status) {
    pks_result result = pks_locate(reader, handle);
    if (result == PKS_OK) result = pks_copy(reader, handle->slot, copy);
    if (result == PKS_OK) {
        uint64_t written;
        memcpy(&written, (const char *)copy + epoch, sizeof written);
        *status = pks_status_of(reader, handle->header, written == handle->owner_epoch);
        if (*status == PKS_LIVE) return PKS_OK;
    }
    /* Nothing live there: look whether the whole directory was made anew meanwhile. */
    if (pks_renew(reader)) return pks_read_slot(reader, handle, copy, epoch, status);
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
