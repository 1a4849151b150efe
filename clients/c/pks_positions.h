/*
 * pks_positions.h - positions of PKS from shared memory, for programs on the same machine.
 *
 * It needs pks_shm.h beside it, which says how the memory is laid out, and nothing else.
 *
 *     pks_reader reader;
 *     pks_handle handle;
 *     pks_position position;
 *     if (pks_open(&reader, "/pks-positions-v1") != PKS_OK) ...
 *     pks_handle_init(&handle, "MM-BOOK", "BTCUSDT");              // once
 *     if (pks_read(&reader, &handle, &position) == PKS_OK && position.status == PKS_LIVE)
 *         quote(position.slot.quantity, position.slot.average_price);
 *     pks_close(&reader);
 */
#ifndef PKS_POSITIONS_H
#define PKS_POSITIONS_H

#include "pks_shm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PKS_DIRECTORY_MAGIC UINT64_C(0x3152494450534b50) /* "PKSPDIR1" */
#define PKS_SEGMENT_MAGIC UINT64_C(0x3147455350534b50)   /* "PKSPSEG1" */

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

PKS_STATIC_ASSERT(sizeof(pks_slot) == 320 && sizeof(pks_slot) % 64 == 0, "pks_slot");
PKS_STATIC_ASSERT(offsetof(pks_slot, quantity) == 16, "quantity");
PKS_STATIC_ASSERT(offsetof(pks_slot, owner_epoch) == 64, "owner_epoch");
PKS_STATIC_ASSERT(offsetof(pks_slot, lots_open) == 72, "lots_open");
PKS_STATIC_ASSERT(offsetof(pks_slot, executed_at) == 88, "executed_at");
PKS_STATIC_ASSERT(offsetof(pks_slot, book) == 104, "book");
PKS_STATIC_ASSERT(offsetof(pks_slot, partition) == 116, "partition");
PKS_STATIC_ASSERT(offsetof(pks_slot, quantity_exact) == 128, "quantity_exact");
PKS_STATIC_ASSERT(offsetof(pks_slot, fees_exact) == 248, "fees_exact");

typedef struct {
    pks_slot slot; /* of one moment */
    pks_status status;
} pks_position;

static const pks_kind pks_positions_kind = {PKS_DIRECTORY_MAGIC, PKS_SEGMENT_MAGIC, sizeof(pks_slot),
                                            offsetof(pks_slot, book), 2, 0, 0};

static inline pks_result pks_open(pks_reader *reader, const char *name) {
    return pks_open_kind(reader, name, &pks_positions_kind);
}

static inline void pks_handle_init(pks_handle *handle, const char *book, const char *instrument) {
    pks_handle_of(handle, book, instrument);
}

static inline pks_result pks_copy_slot(const pks_reader *reader, const void *slot, pks_slot *copy) {
    return pks_copy(reader, slot, copy);
}

/*
 * The figures as float64, for a strategy's loop: quantity, average_price, cost_basis, realised_pnl, net_realised_pnl,
 * fees, of one moment, from one cache line. It does not look at the heartbeat: ask pks_read for the status as often
 * as a stale figure would matter.
 */
static inline pks_result pks_read_raw(pks_reader *reader, pks_handle *handle, double figures[6]) {
    pks_slot copy;
    return pks_read_figures(reader, handle, figures, 6, &copy);
}

/* A consistent copy of a position, and how far it may be trusted. */
static inline pks_result pks_read(pks_reader *reader, pks_handle *handle, pks_position *position) {
    return pks_read_slot(reader, handle, &position->slot, offsetof(pks_slot, owner_epoch), &position->status);
}

#ifdef __cplusplus
}
#endif

#endif
