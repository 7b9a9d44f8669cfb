/* SPDX-License-Identifier: MIT */
#include "records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <spillkv/spillkv.h>

#include "progress.h"

#define FIRST_CAPACITY ((size_t)1 << 16)
#define RECORDS_MAX    ((size_t)UINT32_MAX - 1)
#define SIZE_MASK      (UINT32_MAX >> 1)

/* A text being read. */
struct reader {
    struct records *records;
    const char *name;
    const unsigned char *at;
    const unsigned char *end;
    size_t line; /* number of the line at `at`, from 1 */
};

static const char *const format_names[] = {
    [RECORD_TSV] = "tsv", [RECORD_STANZA] = "stanza", [RECORD_LINES] = "lines"};

bool records_format_parse(const char *text, enum record_format *format_out)
{
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *format_out = (enum record_format)i;
            return true;
        }
    }
    return false;
}

const char *records_format_name(enum record_format format)
{
    return format_names[format];
}

void records_init(struct records *records, enum record_format format)
{
    *records = (struct records){.format = format};
}

void records_fini(struct records *records)
{
    if (records->items != NULL) {
        munmap(records->items, records->capacity * sizeof *records->items);
    }
    records_init(records, records->format);
}

uint64_t records_index_bytes(const struct records *records)
{
    return (uint64_t)records->count * sizeof *records->items;
}

void records_view(const struct records *records, size_t index, struct record_view *view)
{
    const struct record *const record = &records->items[index];
    const size_t size = record->size & SIZE_MASK;
    view->value = record->start;
    view->value_size = size;
    if (records->format == RECORD_LINES) {
        view->key = view->number;
        view->key_size = (size_t)snprintf(view->number, sizeof view->number, "%u", record->key);
        return;
    }
    view->key = record->start + (record->key >> 16);
    view->key_size = record->key & 0xffff;
    if (records->format == RECORD_TSV) {
        view->value = record->start + view->key_size + 1;
        view->value_size = size - view->key_size - 1;
    }
}

static bool grow(struct records *records)
{
    const size_t capacity = records->capacity != 0 ? records->capacity * 2 : FIRST_CAPACITY;
    const size_t size = capacity * sizeof *records->items;
    void *const items = records->items == NULL
                            ? mmap(NULL, size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                            : mremap(records->items, records->capacity * sizeof *records->items,
                                     size, MREMAP_MAYMOVE);
    if (items == MAP_FAILED) {
        progress_say("no memory for the index of the input: %s", strerror(errno));
        return false;
    }
    records->items = items;
    records->capacity = capacity;
    return true;
}

static bool refuse(const struct reader *reader, const char *what)
{
    progress_say("%s:%zu: %s", reader->name, reader->line, what);
    return false;
}

/* Adds a record of which the sizes of key and value are known, or says why it is refused. */
static bool add_record(const struct reader *reader, const struct record *record, size_t key_size,
                       size_t value_size)
{
    struct records *const records = reader->records;
    if (key_size == 0) {
        return refuse(reader, "the key is empty");
    }
    if (key_size > SPILLKV_KEY_MAX) {
        return refuse(reader, "the key is longer than 65535 bytes");
    }
    if (value_size > SPILLKV_VALUE_MAX) {
        return refuse(reader, "the value is larger than 512 MiB");
    }
    if (records->count >= RECORDS_MAX) {
        return refuse(reader, "too many records");
    }
    if (records->count == records->capacity && !grow(records)) {
        return false;
    }
    records->items[records->count++] = *record;
    records->bytes += key_size + value_size;
    if (value_size > records->largest_value) {
        records->largest_value = value_size;
    }
    return true;
}

static const unsigned char *line_end(const struct reader *reader)
{
    const unsigned char *const found = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    return found != NULL ? found : reader->end;
}

/* Goes behind the newline at `end`, or to the end of the text. */
static void next_line(struct reader *reader, const unsigned char *end)
{
    reader->at = end < reader->end ? end + 1 : end;
    reader->line++;
}

static bool read_tsv(struct reader *reader)
{
    while (reader->at < reader->end) {
        const unsigned char *const end = line_end(reader);
        const unsigned char *const tab = memchr(reader->at, '\t', (size_t)(end - reader->at));
        if (tab == NULL) {
            return refuse(reader, "no tab between key and value");
        }
        const size_t key_size = (size_t)(tab - reader->at);
        const struct record record = {
            .start = reader->at, .size = (uint32_t)(end - reader->at), .key = (uint32_t)key_size};
        if (!add_record(reader, &record, key_size, (size_t)(end - tab - 1))) {
            return false;
        }
        next_line(reader, end);
    }
    return true;
}

static bool read_lines(struct reader *reader)
{
    while (reader->at < reader->end) {
        const unsigned char *const end = line_end(reader);
        const struct record record = {.start = reader->at,
                                      .size = (uint32_t)(end - reader->at),
                                      .key = (uint32_t)reader->records->count + 1};
        if (!add_record(reader, &record, 1, (size_t)(end - reader->at))) {
            return false;
        }
        /* The digits of the number, of which add_record() counted one. */
        reader->records->bytes += (uint64_t)snprintf(NULL, 0, "%u", record.key) - 1;
        next_line(reader, end);
    }
    return true;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_blank(const unsigned char *at, const unsigned char *end)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    return at == end;
}

/* Finds the key of a stanza in its first line: what follows the colon, without spaces around it. */
static bool find_stanza_key(const struct reader *reader, const unsigned char *end,
                            const unsigned char **key_out, size_t *size_out)
{
    const unsigned char *const colon = memchr(reader->at, ':', (size_t)(end - reader->at));
    if (colon == NULL || colon == reader->at || is_space(*reader->at)) {
        return refuse(reader, "a stanza begins without \"Field: value\"");
    }
    const unsigned char *key = colon + 1;
    while (key < end && is_space(*key)) {
        key++;
    }
    while (end > key && is_space(end[-1])) {
        end--;
    }
    if (key - reader->at > UINT16_MAX) {
        return refuse(reader, "the name of the first field is too long");
    }
    *key_out = key;
    *size_out = (size_t)(end - key);
    return true;
}

static bool read_stanza(struct reader *reader)
{
    const unsigned char *const start = reader->at;
    const unsigned char *end = line_end(reader);
    const unsigned char *key = NULL;
    size_t key_size = 0;
    if (!find_stanza_key(reader, end, &key, &key_size)) {
        return false;
    }
    struct reader rest = *reader;
    next_line(&rest, end);
    while (rest.at < rest.end) {
        const unsigned char *const line = line_end(&rest);
        if (is_blank(rest.at, line)) {
            break;
        }
        end = line;
        next_line(&rest, line);
    }
    const size_t size = (size_t)(end - start);
    const struct record record = {.start = start,
                                  .size = (uint32_t)size,
                                  .key = (uint32_t)(key - start) << 16 | (uint32_t)key_size};
    if (!add_record(reader, &record, key_size, size)) {
        return false;
    }
    *reader = rest;
    return true;
}

static bool read_stanzas(struct reader *reader)
{
    while (reader->at < reader->end) {
        const unsigned char *const end = line_end(reader);
        if (is_blank(reader->at, end)) {
            next_line(reader, end);
        } else if (!read_stanza(reader)) {
            return false;
        }
    }
    return true;
}

bool records_read(struct records *records, const struct input *input)
{
    struct reader reader = {.records = records,
                            .name = input->name,
                            .at = input->data,
                            .end = input->data + input->size,
                            .line = 1};
    switch (records->format) {
    case RECORD_TSV:
        return read_tsv(&reader);
    case RECORD_STANZA:
        return read_stanzas(&reader);
    case RECORD_LINES:
        return read_lines(&reader);
    }
    return false;
}
