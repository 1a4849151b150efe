/*
 * pks_marks.h - the newest mark of each instrument from shared memory, for programs on the same machine.
 *
 * It needs pks_shm.h beside it, which says how the memory is laid out, and nothing else.
 *
 *     pks_reader reader;
 *     pks_handle handle;
 *     pks_mark mark;
 *     if (pks_marks_open(&reader, "/md-marks-v1") != PKS_OK) ...
 *     pks_marks_handle(&handle, "BTCUSDT.BINANCE");                // once
 *     if (pks_marks_read(&reader, &handle, &mark) == PKS_OK && mark.status == PKS_LIVE &&
 *         mark.slot.quality == PKS_MARK_LIVE)
 *         value(mark.slot.price);
 *     pks_close(&reader);
 */
#ifndef PKS_MARKS_H
#define PKS_MARKS_H

#include "pks_shm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PKS_MARKS_DIRECTORY_MAGIC UINT64_C(0x315249444d534b50) /* "PKSMDIR1" */
#define PKS_MARKS_SEGMENT_MAGIC UINT64_C(0x314745534d534b50)   /* "PKSMSEG1" */

/* How far a price is to be trusted. */
#define PKS_MARK_LIVE 1u
#define PKS_MARK_STALE 2u      /* older than its class of instruments stays live */
#define PKS_MARK_INDICATIVE 3u /* stands in for a price, or is the middle of a crossed quote */
#define PKS_MARK_MISSING 4u    /* there is none: price is NaN */

typedef struct {
    uint64_t sequence;
    uint64_t key_hash;
    double price; /* float64 of the exact figures below; NaN where there is none */
    double bid;
    double ask;
    double accrued_interest; /* of one bond */
    uint64_t owner_epoch;
    uint64_t quality;
    /* second cache line */
    int64_t event_time;
    int64_t source_sequence;
    int64_t updated_at;
    uint32_t instrument; /* places of texts */
    uint32_t currency;
    uint32_t source;
    uint32_t partition;
    uint64_t reserved_1[3];
    /* third and fourth */
    pks_exact price_exact;
    pks_exact bid_exact;
    pks_exact ask_exact;
    pks_exact accrued_interest_exact;
    uint64_t reserved_2[4];
} pks_mark_slot;

PKS_STATIC_ASSERT(sizeof(pks_mark_slot) == 256, "pks_mark_slot");
PKS_STATIC_ASSERT(offsetof(pks_mark_slot, price) == 16, "price");
PKS_STATIC_ASSERT(offsetof(pks_mark_slot, event_time) == 64, "event_time");
PKS_STATIC_ASSERT(offsetof(pks_mark_slot, price_exact) == 128, "price_exact");

typedef struct {
    pks_mark_slot slot; /* of one moment */
    pks_status status;  /* of its writer; how far the price is to be trusted is slot.quality */
} pks_mark;

static const pks_kind pks_marks_kind = {PKS_MARKS_DIRECTORY_MAGIC, PKS_MARKS_SEGMENT_MAGIC, sizeof(pks_mark_slot),
                                        offsetof(pks_mark_slot, instrument), 1, 0, 0};

static inline pks_result pks_marks_open(pks_reader *reader, const char *name) {
    return pks_open_kind(reader, name, &pks_marks_kind);
}

static inline void pks_marks_handle(pks_handle *handle, const char *instrument) {
    pks_handle_of(handle, instrument, NULL);
}

/* Price, bid, ask and accrued interest as float64, of one moment; it looks neither at the heartbeat nor at the quality. */
static inline pks_result pks_marks_read_raw(pks_reader *reader, pks_handle *handle, double figures[4]) {
    pks_mark_slot copy;
    return pks_read_figures(reader, handle, figures, 4, &copy);
}

/* A consistent copy of a mark, and whether its writer lives. */
static inline pks_result pks_marks_read(pks_reader *reader, pks_handle *handle, pks_mark *mark) {
    return pks_read_slot(reader, handle, &mark->slot, offsetof(pks_mark_slot, owner_epoch), &mark->status);
}

#ifdef __cplusplus
}
#endif

#endif
