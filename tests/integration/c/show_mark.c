/* Prints one mark as a C program reads it: `show_mark NAME INSTRUMENT`, one `member value` a line. */
#include <inttypes.h>

#include "pks_marks.h"
#include "pks_positions.h" /* both in one program */

static void show_exact(const char *name, const pks_exact *exact) {
    char text[256];
    int length = pks_exact_text(exact, text, sizeof text);
    printf("%s_exact %s\n", name, length < 0 ? "none" : text);
}

static void show_text(const char *name, const pks_segment *header, uint32_t place) {
    size_t length;
    const char *text = pks_text(header, place, &length);
    printf("%s %.*s\n", name, (int)length, text);
}

int main(int count, char **arguments) {
    pks_reader reader;
    pks_handle handle;
    pks_mark mark;
    double raw[4];
    pks_result result;
    memset(&mark, 0, sizeof mark);
    if (count != 3) return 64;
    result = pks_marks_open(&reader, arguments[1]);
    printf("open %d\n", (int)result);
    if (result != PKS_OK) return 0;
    pks_marks_handle(&handle, arguments[2]);
    result = pks_marks_read(&reader, &handle, &mark);
    printf("read %d\n", (int)result);
    if (result != PKS_OK) return 0;
    printf("raw_result %d\n", (int)pks_marks_read_raw(&reader, &handle, raw));
    printf("raw %.17g %.17g %.17g %.17g\n", raw[0], raw[1], raw[2], raw[3]);
    printf("status %d\n", (int)mark.status);
    printf("price %.17g\n", mark.slot.price);
    show_exact("price", &mark.slot.price_exact);
    show_exact("bid", &mark.slot.bid_exact);
    show_exact("ask", &mark.slot.ask_exact);
    show_exact("accrued_interest", &mark.slot.accrued_interest_exact);
    printf("quality %" PRIu64 "\n", mark.slot.quality);
    printf("event_time %" PRId64 "\n", mark.slot.event_time);
    printf("source_sequence %" PRId64 "\n", mark.slot.source_sequence);
    printf("updated_at %" PRId64 "\n", mark.slot.updated_at);
    printf("owner_epoch %" PRIu64 "\n", mark.slot.owner_epoch);
    printf("partition %" PRIu32 "\n", mark.slot.partition);
    show_text("instrument", handle.header, mark.slot.instrument);
    show_text("currency", handle.header, mark.slot.currency);
    show_text("source", handle.header, mark.slot.source);
    pks_close(&reader);
    return 0;
}
