/* SPDX-License-Identifier: MIT */
/*
 * The small parsers of the command line: sizes, numbers, escaped bytes, names of formats. What they
 * write they read back as what it was.
 */
#include <inttypes.h>
#include <string.h>

#include "escape.h"
#include "fuzz.h"
#include "records.h"
#include "size.h"
#include "trace.h"

static void numbers(const char *text)
{
    char written[SIZE_TEXT];
    uint64_t size;
    uint64_t number;
    uint64_t again;
    if (size_parse(text, &size)) {
        snprintf(written, sizeof(written), "%" PRIu64, size);
        FUZZ_CHECK(size_parse(written, &again) && again == size);
        FUZZ_CHECK(strlen(size_format(size, written)) < SIZE_TEXT);
        FUZZ_CHECK(strlen(duration_format((double)size, written)) < SIZE_TEXT);
    } else {
        FUZZ_CHECK(size == 0);
    }
    if (number_parse(text, 3, UINT64_MAX - 3, &number)) {
        FUZZ_CHECK(number >= 3 && number <= UINT64_MAX - 3);
        FUZZ_CHECK(!number_parse(text, 0, number - 1, &again) && again == 0);
        FUZZ_CHECK(number_parse(text, number, number, &again) && again == number);
    } else {
        FUZZ_CHECK(number == 0);
    }
}

static void names(const char *text)
{
    enum trace_format trace;
    enum record_format record;
    if (records_format_parse(text, &record)) {
        FUZZ_CHECK(strcmp(records_format_name(record), text) == 0);
    }
    if (trace_format_parse(text, &trace)) {
        FUZZ_CHECK(trace <= TRACE_ORACLE);
    }
}

/* Bytes to text and back. */
static void write_and_undo(const uint8_t *bytes, size_t size)
{
    char *text = NULL;
    size_t text_size = 0;
    size_t undone;
    char brief[ESCAPE_BRIEF];
    FILE *const stream = open_memstream(&text, &text_size);
    FUZZ_CHECK(stream != NULL);
    escape_write(stream, bytes, size);
    FUZZ_CHECK(fclose(stream) == 0);
    for (size_t i = 0; i < text_size; i++) {
        FUZZ_CHECK(text[i] >= 0x20 && text[i] < 0x7f);
    }
    FUZZ_CHECK(escape_undo(text, text_size, &undone));
    FUZZ_CHECK(undone == size && memcmp(text, bytes, size) == 0);
    FUZZ_CHECK(strlen(escape_brief(bytes, size, brief)) < ESCAPE_BRIEF);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    size_t taken;
    size_t undone = 1;
    uint8_t *const text = fuzz_take(&bytes, size, &taken);
    char *const line = malloc(size + 1);
    FUZZ_CHECK(line != NULL);
    memcpy(line, data, size);
    line[size] = '\0';
    numbers(line);
    names(line);
    write_and_undo(text, size);
    if (escape_undo((char *)text, size, &undone)) {
        FUZZ_CHECK(undone <= size);
        write_and_undo(text, undone);
    } else {
        FUZZ_CHECK(undone == 0);
    }
    free(line);
    free(text);
    return 0;
}
