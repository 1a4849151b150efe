/* Prints one slot of Greeks as a C program reads it: `show_greeks NAME BOOK INSTRUMENT`, one `member value` a line. */
#include <inttypes.h>

#include "pks_greeks.h"
#include "pks_marks.h" /* both in one program */

static void show_text(const char *name, const pks_segment *header, uint32_t place) {
    size_t length;
    const char *text = pks_text(header, place, &length);
    printf("%s %.*s\n", name, (int)length, text);
}

int main(int count, char **arguments) {
    pks_reader reader;
    pks_handle handle;
    pks_greeks greeks;
    double raw[PKS_GREEKS_FIGURES];
    pks_result result;
    size_t place;
    memset(&greeks, 0, sizeof greeks);
    if (count != 4) return 64;
    result = pks_greeks_open(&reader, arguments[1]);
    printf("open %d\n", (int)result);
    if (result != PKS_OK) return 0;
    pks_greeks_handle(&handle, arguments[2], arguments[3]);
    result = pks_greeks_read(&reader, &handle, &greeks);
    printf("read %d\n", (int)result);
    if (result != PKS_OK) return 0;
    printf("raw_result %d\n", (int)pks_greeks_read_raw(&reader, &handle, raw));
    printf("raw");
    for (place = 0; place < PKS_GREEKS_FIGURES; place++) printf(" %.17g", raw[place]);
    printf("\nstatus %d\n", (int)greeks.status);
    printf("delta %.17g\n", greeks.slot.delta);
    printf("positions %" PRIu64 "\n", greeks.slot.positions);
    printf("unvalued %" PRIu64 "\n", greeks.slot.unvalued);
    printf("quality %" PRIu64 "\n", greeks.slot.quality);
    printf("event_time %" PRId64 "\n", greeks.slot.event_time);
    printf("updated_at %" PRId64 "\n", greeks.slot.updated_at);
    printf("partition %" PRIu32 "\n", greeks.slot.partition);
    show_text("book", handle.header, greeks.slot.book);
    show_text("instrument", handle.header, greeks.slot.instrument);
    show_text("currency", handle.header, greeks.slot.currency);
    show_text("underlying", handle.header, greeks.slot.underlying);
    pks_close(&reader);
    return 0;
}
