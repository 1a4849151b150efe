/*
 * Reads positions whose members all follow from one number, and counts copies of which that is not true.
 *
 *     read_positions NAME POSITIONS READS CHANGES SECONDS checked|unchecked
 *
 * It reads the positions (T, I0), (T, I1), ... in turn until it has made READS copies and seen CHANGES changes, or
 * SECONDS have passed. `unchecked` copies without looking at the sequence: what a broken reader would do.
 * Prints: reads, torn, changes, mappings (how often something was mapped anew), nanoseconds.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "pks_positions.h"

static int exact_is(const pks_exact *exact, pks_wide expected) {
    return exact->low == (uint64_t)expected && (uint64_t)exact->high == (uint64_t)(expected >> 64) &&
           exact->exponent == 0 && exact->flags == 0;
}

/* The same functions as in shm_numbers.py. */
static int is_whole(const pks_slot *slot, uint64_t place) {
    uint64_t n = slot->revision;
    pks_wide wide = (pks_wide)n * UINT64_C(10000000000000000000) + 7;
    return slot->quantity == (double)n && slot->average_price == (double)(2 * n + place) &&
           slot->cost_basis == -(double)(3 * n) && slot->realised_pnl == (double)wide &&
           slot->net_realised_pnl == (double)(n ^ 0x5555) && slot->fees == (double)(n + 1) &&
           slot->lots_open == n && slot->executed_at == (int64_t)n && slot->updated_at == (int64_t)(5 * n) &&
           exact_is(&slot->quantity_exact, n) && exact_is(&slot->average_price_exact, 2 * n + place) &&
           exact_is(&slot->cost_basis_exact, -(pks_wide)(3 * n)) && exact_is(&slot->realised_pnl_exact, wide) &&
           exact_is(&slot->net_realised_pnl_exact, n ^ 0x5555) && exact_is(&slot->fees_exact, n + 1);
}

int main(int count, char **arguments) {
    static char names[64][8];
    static pks_handle handles[64];
    static uint64_t seen[64];
    pks_reader reader;
    pks_position position;
    uint64_t positions, wanted, changes_wanted, reads = 0, torn = 0, changes = 0, started, until;
    int checked;
    memset(&position, 0, sizeof position);
    if (count != 7) return 64;
    positions = strtoull(arguments[2], NULL, 10);
    wanted = strtoull(arguments[3], NULL, 10);
    changes_wanted = strtoull(arguments[4], NULL, 10);
    checked = strcmp(arguments[6], "unchecked") != 0;
    if (positions == 0 || positions > 64 || pks_open(&reader, arguments[1]) != PKS_OK) return 65;
    for (uint64_t place = 0; place < positions; place++) {
        snprintf(names[place], sizeof names[place], "I%u", (unsigned)place);
        pks_handle_init(&handles[place], "T", names[place]);
    }
    started = pks_monotonic();
    until = started + strtoull(arguments[5], NULL, 10) * UINT64_C(1000000000);
    while (reads < wanted || changes < changes_wanted) {
        uint64_t place = reads % positions;
        pks_handle *handle = &handles[place];
        if (pks_locate(&reader, handle) != PKS_OK) return 66;
        if (checked) {
            if (pks_copy_slot(&reader, handle->slot, &position.slot) != PKS_OK) return 67;
        } else {
            const volatile uint64_t *from = (const volatile uint64_t *)(const volatile void *)handle->slot;
            uint64_t *to = (uint64_t *)(void *)&position.slot;
            for (size_t word = 0; word < sizeof(pks_slot) / 8; word++) to[word] = from[word];
        }
        reads++;
        torn += !is_whole(&position.slot, place);
        changes += position.slot.revision != seen[place];
        seen[place] = position.slot.revision;
        if ((reads & 1023) == 0 && pks_monotonic() > until) break;
    }
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", reads, torn, changes, reader.mappings,
           pks_monotonic() - started);
    pks_close(&reader);
    return 0;
}
