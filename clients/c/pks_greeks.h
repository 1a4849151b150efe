/*
 * pks_greeks.h - values and Greeks of positions, and their sums, from shared memory, for programs on the same machine.
 *
 * It needs pks_shm.h beside it, which says how the memory is laid out, and nothing else.
 *
 *     pks_reader reader;
 *     pks_handle handle;
 *     pks_greeks greeks;
 *     if (pks_greeks_open(&reader, "/pks-greeks-v1") != PKS_OK) ...
 *     pks_greeks_handle(&handle, "MM-BOOK", "BTC-C100");       // once; a sum: "", "book:MM-BOOK"
 *     if (pks_greeks_read(&reader, &handle, &greeks) == PKS_OK && greeks.status == PKS_LIVE)
 *         hedge(greeks.slot.delta);
 *     pks_close(&reader);
 */
#ifndef PKS_GREEKS_H
#define PKS_GREEKS_H

#include "pks_shm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PKS_GREEKS_DIRECTORY_MAGIC UINT64_C(0x3152494447534b50) /* "PKSGDIR1" */
#define PKS_GREEKS_SEGMENT_MAGIC UINT64_C(0x3147455347534b50)   /* "PKSGSEG1" */
#define PKS_GREEKS_FIGURES 11

typedef struct {
    uint64_t sequence;
    uint64_t key_hash;
    double market_value; /* NaN, as every figure, where there is none */
    double unrealised_pnl;
    double delta;
    double gamma;
    double vega;
    double theta;
    double rho;
    double vanna;
    double volga;
    double delta_value; /* delta x spot */
    double spot;        /* NaN in a sum */
    uint64_t owner_epoch;
    uint64_t positions; /* 1, or those of a sum */
    uint64_t unvalued;  /* of these, without a value or a rate: left out */
    uint64_t quality;   /* as in pks_marks.h; 0 in a sum */
    int64_t event_time;
    int64_t updated_at;
    uint32_t book; /* places of texts */
    uint32_t instrument;
    uint32_t currency;
    uint32_t underlying;
    uint32_t partition;
    uint32_t reserved[5];
} pks_greeks_slot;

PKS_STATIC_ASSERT(sizeof(pks_greeks_slot) == 192, "pks_greeks_slot");
PKS_STATIC_ASSERT(offsetof(pks_greeks_slot, market_value) == 16, "market_value");
PKS_STATIC_ASSERT(offsetof(pks_greeks_slot, owner_epoch) == 104, "owner_epoch");
PKS_STATIC_ASSERT(offsetof(pks_greeks_slot, book) == 152, "book");

typedef struct {
    pks_greeks_slot slot; /* of one moment */
    pks_status status;    /* of its writer */
} pks_greeks;

static const pks_kind pks_greeks_kind = {PKS_GREEKS_DIRECTORY_MAGIC, PKS_GREEKS_SEGMENT_MAGIC,
                                         sizeof(pks_greeks_slot), offsetof(pks_greeks_slot, book), 2,
                                         offsetof(pks_greeks_slot, partition), offsetof(pks_greeks_slot, owner_epoch)};

static inline pks_result pks_greeks_open(pks_reader *reader, const char *name) {
    return pks_open_kind(reader, name, &pks_greeks_kind);
}

static inline void pks_greeks_handle(pks_handle *handle, const char *book, const char *instrument) {
    pks_handle_of(handle, book, instrument);
}

/* All figures, in the order of the slot, of one moment; it looks neither at the heartbeat nor at the quality. */
static inline pks_result pks_greeks_read_raw(pks_reader *reader, pks_handle *handle,
                                             double figures[PKS_GREEKS_FIGURES]) {
    pks_greeks_slot copy;
    return pks_read_figures(reader, handle, figures, PKS_GREEKS_FIGURES, &copy);
}

/* A consistent copy of a slot, and whether its writer lives. */
static inline pks_result pks_greeks_read(pks_reader *reader, pks_handle *handle, pks_greeks *greeks) {
    return pks_read_slot(reader, handle, &greeks->slot, offsetof(pks_greeks_slot, owner_epoch), &greeks->status);
}

#ifdef __cplusplus
}
#endif

#endif
