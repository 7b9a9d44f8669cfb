/* SPDX-License-Identifier: MIT */
/*
 * What `spillkv load` makes of a file: its records lie in the text, and grouping, dropping and
 * shuffling them leaves the last record of each key, once.
 */
#include "records.h"

#include <string.h>

#include "fuzz.h"

#define PARTS_MAX 4

static void expect_inside(const struct record_view *view, const struct input *input, bool numbered)
{
    const unsigned char *const key = view->key;
    const unsigned char *const value = view->value;
    FUZZ_CHECK(view->key_size != 0);
    FUZZ_CHECK(value >= input->data && value + view->value_size <= input->data + input->size);
    FUZZ_CHECK(numbered ||
               (key >= input->data && key + view->key_size <= input->data + input->size));
}

static uint64_t bytes_of(const struct records *records, const struct input *input)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < records->count; i++) {
        struct record_view view;
        records_view(records, i, &view);
        expect_inside(&view, input, records->format == RECORD_LINES);
        FUZZ_CHECK(view.value_size <= records->largest_value);
        bytes += view.key_size + view.value_size;
    }
    return bytes;
}

/* Few enough to compare all with all. */
static void expect_no_key_twice(const struct records *records)
{
    for (size_t i = 0; i < records->count && i < 200; i++) {
        struct record_view a;
        records_view(records, i, &a);
        for (size_t j = 0; j < i; j++) {
            struct record_view b;
            records_view(records, j, &b);
            FUZZ_CHECK(a.key_size != b.key_size || memcmp(a.key, b.key, a.key_size) != 0);
        }
    }
}

static void order(struct records *records, const struct input *input, size_t parts)
{
    size_t starts[PARTS_MAX + 1];
    const size_t count = records->count;
    FUZZ_CHECK(records_group(records, parts, starts));
    FUZZ_CHECK(starts[0] == 0 && starts[parts] == count && records->count == count);
    for (size_t p = 0; p < parts; p++) {
        FUZZ_CHECK(starts[p] <= starts[p + 1]);
    }
    records_keep_last(records);
    FUZZ_CHECK(records->count <= count && (records->count != 0) == (count != 0));
    FUZZ_CHECK(bytes_of(records, input) == records->bytes);
    expect_no_key_twice(records);
    FUZZ_CHECK(records_shuffle(records, count));
    FUZZ_CHECK(bytes_of(records, input) == records->bytes);
    expect_no_key_twice(records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    const enum record_format format = (enum record_format)(fuzz_u8(&bytes) % 3);
    const size_t parts = fuzz_u8(&bytes) % PARTS_MAX + 1;
    size_t text_size;
    uint8_t *const text = fuzz_take(&bytes, bytes.size, &text_size);
    const struct input input = {.name = "fuzz", .data = text, .size = text_size};
    struct records records;
    enum record_format parsed;
    fuzz_hush();
    records_init(&records, format);
    FUZZ_CHECK(records_format_parse(records_format_name(format), &parsed) && parsed == format);
    if (records_read(&records, &input)) {
        FUZZ_CHECK(bytes_of(&records, &input) == records.bytes);
        order(&records, &input, parts);
    }
    records_fini(&records);
    free(text);
    return 0;
}
