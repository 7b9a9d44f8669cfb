/* SPDX-License-Identifier: MIT */
/**
 * Records of input texts: where each key and value lies, in 16 bytes a record.
 *
 * The texts stay where they are (see input.h) and must outlive the records. The index is mapped,
 * not allocated, so that its size is known to the byte.
 */
#ifndef TOOLS_RECORDS_H
#define TOOLS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input.h"

enum record_format {
    RECORD_TSV,    /* a line: key TAB value */
    RECORD_STANZA, /* lines up to a blank one, keyed by the value of the first field: a Debian
                      control stanza; the value is all of it */
    RECORD_LINES   /* a line, keyed by its number, counted from 1 through all files */
};

/** One record; read it with records_view(). */
struct record {
    const unsigned char *start;
    uint32_t size; /* of the text of the record; the top bit marks a record that is not the last of
                      its key */
    uint32_t key;  /* offset << 16 | size of the key in the text, or its number */
};

struct records {
    enum record_format format;
    struct record *items;
    size_t count;
    size_t capacity;
    uint64_t bytes;       /* of keys and values */
    size_t largest_value; /* bytes */
};

/** A record as the store takes it; pointers into the text or into `number`. */
struct record_view {
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
    char number[16];
};

/** Reads "tsv", "stanza" or "lines"; false for anything else. */
bool records_format_parse(const char *text, enum record_format *format_out);

/** The name of a format, static. */
const char *records_format_name(enum record_format format);

/** Begins without records; nothing is allocated. */
void records_init(struct records *records, enum record_format format);

/** Unmaps the index. */
void records_fini(struct records *records);

/**
 * Adds all records of a text.
 *
 * @return false after a message that names the line: a record without a key, or one that the store
 *         does not take for its size; or memory ran out
 */
bool records_read(struct records *records, const struct input *input);

/** Says where key and value of a record are. */
void records_view(const struct records *records, size_t index, struct record_view *view);

/**
 * Groups the records so that all of one key are in one part, in their order, and marks those that a
 * later one of the same key replaces.
 *
 * @param parts       1..65535
 * @param starts_out  parts + 1 numbers: part p is starts_out[p] .. starts_out[p + 1] - 1
 * @return false after a message: memory ran out
 */
bool records_group(struct records *records, size_t parts, size_t *starts_out);

/** Drops the records that records_group() marked: one for each key is left. */
void records_keep_last(struct records *records);

/**
 * Brings the records into a random order that the seed decides.
 *
 * @return false after a message: memory ran out
 */
bool records_shuffle(struct records *records, uint64_t seed);

/** Bytes of memory that the index takes up. */
uint64_t records_index_bytes(const struct records *records);

#endif
