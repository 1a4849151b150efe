/* Nanoseconds of reads from C: `shared_memory NAME BOOK INSTRUMENT COUNT` prints quantity-like, whole, plain copy. */
#include <inttypes.h>
#include <stdlib.h>

#include "pks_positions.h"

int main(int count, char **arguments) {
    pks_reader reader;
    pks_handle handle;
    pks_position position;
    double figures[6], sum = 0;
    uint64_t times, at, started, raw, whole, copied;
    memset(&position, 0, sizeof position);
    if (count != 5 || pks_open(&reader, arguments[1]) != PKS_OK) return 64;
    times = strtoull(arguments[4], NULL, 10);
    pks_handle_init(&handle, arguments[2], arguments[3]);
    if (times == 0 || pks_read(&reader, &handle, &position) != PKS_OK) return 65;
    started = pks_monotonic();
    for (at = 0; at < times; at++) {
        if (pks_read_raw(&reader, &handle, figures) != PKS_OK) return 66;
        sum += figures[0];
    }
    raw = pks_monotonic() - started;
    started = pks_monotonic();
    for (at = 0; at < times; at++) {
        if (pks_read(&reader, &handle, &position) != PKS_OK) return 67;
        sum += position.slot.quantity;
    }
    whole = pks_monotonic() - started;
    started = pks_monotonic();
    for (at = 0; at < times; at++) {
        memcpy(&position.slot, handle.slot, sizeof position.slot);
        __asm__ volatile("" : : "r"(&position) : "memory");
        sum += position.slot.quantity;
    }
    copied = pks_monotonic() - started;
    printf("%.2f %.2f %.2f %g\n", (double)raw / (double)times, (double)whole / (double)times,
           (double)copied / (double)times, sum);
    pks_close(&reader);
    return 0;
}
