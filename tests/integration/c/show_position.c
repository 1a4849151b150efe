/* Prints one position as a C program reads it: `show_position NAME BOOK INSTRUMENT`, one `member value` a line. */
#include <inttypes.h>
#include <stdlib.h>

#include "pks_positions.h"

static void show_exact(const char *name, const pks_exact *exact) {
    char text[256];
    int length = pks_exact_text(exact, text, sizeof text);
    printf("%s_exact %s\n", name, length < 0 ? "none" : text);
    printf("%s_flags %" PRIu32 "\n", name, exact->flags);
}

static void show_text(const char *name, const pks_segment *header, uint32_t place) {
    size_t length;
    const char *text = pks_text(header, place, &length);
    printf("%s %.*s\n", name, (int)length, text);
}

int main(int count, char **arguments) {
    pks_reader reader;
    pks_handle handle;
    pks_position position;
    double raw[6];
    pks_result result;
    memset(&position, 0, sizeof position);
    if (count != 4) return 64;
    result = pks_open(&reader, arguments[1]);
    printf("open %d\n", (int)result);
    if (result != PKS_OK) return 0;
    pks_handle_init(&handle, arguments[2], arguments[3]);
    result = pks_read(&reader, &handle, &position);
    printf("read %d\n", (int)result);
    printf("key_hash %" PRIu64 "\n", handle.key_hash);
    printf("book_hash %" PRIu32 "\n", handle.book_hash);
    if (result != PKS_OK) return 0;
    printf("raw_result %d\n", (int)pks_read_raw(&reader, &handle, raw));
    printf("raw %.17g %.17g %.17g %.17g %.17g %.17g\n", raw[0], raw[1], raw[2], raw[3], raw[4], raw[5]);
    printf("status %d\n", (int)position.status);
    printf("quantity %.17g\n", position.slot.quantity);
    printf("average_price %.17g\n", position.slot.average_price);
    printf("cost_basis %.17g\n", position.slot.cost_basis);
    printf("realised_pnl %.17g\n", position.slot.realised_pnl);
    printf("net_realised_pnl %.17g\n", position.slot.net_realised_pnl);
    printf("fees %.17g\n", position.slot.fees);
    show_exact("quantity", &position.slot.quantity_exact);
    show_exact("average_price", &position.slot.average_price_exact);
    show_exact("cost_basis", &position.slot.cost_basis_exact);
    show_exact("realised_pnl", &position.slot.realised_pnl_exact);
    show_exact("net_realised_pnl", &position.slot.net_realised_pnl_exact);
    show_exact("fees", &position.slot.fees_exact);
    printf("owner_epoch %" PRIu64 "\n", position.slot.owner_epoch);
    printf("lots_open %" PRIu64 "\n", position.slot.lots_open);
    printf("revision %" PRIu64 "\n", position.slot.revision);
    printf("executed_at %" PRId64 "\n", position.slot.executed_at);
    printf("updated_at %" PRId64 "\n", position.slot.updated_at);
    printf("partition %" PRIu32 "\n", position.slot.partition);
    show_text("book", handle.header, position.slot.book);
    show_text("instrument", handle.header, position.slot.instrument);
    show_text("currency", handle.header, position.slot.currency);
    pks_close(&reader);
    return 0;
}
