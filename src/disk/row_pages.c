/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. An array by row, for rows are numbered from 1 on without large gaps. What is on a page is
 * not trusted: every offset is checked, and a row beyond those that there can be is not noted: the
 * number of a damaged one would make the array as long as that.
 */
#include "disk/row_pages.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

#define LEAF_OF_TABLE 0x0d
#define HEADER_BYTES  8
#define COUNT_AT      3
/* A segment, and before it the sizes of this and of the id, which is not in the record. */
#define SEGMENT_RECORD_BYTES (SKV_SEGMENT_BYTES + 4)
/* No page: the row was seen on several. SQLite alone knows. */
#define DOUBTFUL 1u
/* The array grows by a quarter and so much. */
#define GROWTH_LEAST 256u

void skv_row_pages_fini(struct skv_row_pages *rows)
{
    skv_free(rows->pages);
    *rows = (struct skv_row_pages){0};
}

static bool make_room(struct skv_row_pages *rows, uint32_t row)
{
    if (row < rows->capacity) {
        return true;
    }
    const uint32_t capacity = row + row / 4 + GROWTH_LEAST;
    uint32_t *const pages = skv_realloc(rows->pages, capacity * sizeof(*pages));
    if (pages == NULL) {
        return false;
    }
    memset(pages + rows->capacity, 0, (capacity - rows->capacity) * sizeof(*pages));
    rows->pages = pages;
    rows->capacity = capacity;
    return true;
}

static size_t two_bytes(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* Reads one of SQLite's numbers of up to nine bytes; returns where it ends, or `end`. */
static const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *number_out)
{
    uint64_t number = 0;
    for (int i = 0; i < 8 && at < end; i++) {
        const uint8_t byte = *at++;
        number = number << 7 | (byte & 0x7fu);
        if (byte < 0x80) {
            *number_out = number;
            return at;
        }
    }
    *number_out = 0;
    return end;
}

/* Where the file is sound a row that was seen on another page has moved; where pages of it were
   exchanged there may be two of it, of which the one seen last may be the old one. */
static void note(uint32_t *noted, uint32_t seen)
{
    *noted = *noted == 0 || *noted >> 1 == seen >> 1 ? seen : DOUBTFUL;
}

void skv_row_pages_learn(struct skv_row_pages *rows, const uint8_t *page, size_t size,
                         int64_t page_offset)
{
    if (size < HEADER_BYTES || page[0] != LEAF_OF_TABLE) {
        return;
    }
    const size_t count = two_bytes(page + COUNT_AT);
    for (size_t i = 0; i < count && HEADER_BYTES + 2 * i + 2 <= size; i++) {
        const size_t offset = two_bytes(page + HEADER_BYTES + 2 * i);
        uint64_t payload;
        uint64_t row;
        if (offset >= size) {
            return;
        }
        const uint8_t *const after = read_varint(page + offset, page + size, &payload);
        const uint8_t *const record = read_varint(after, page + size, &row);
        if (row == 0 || row > rows->most || !make_room(rows, (uint32_t)row)) {
            return;
        }
        const bool segment =
            payload == SEGMENT_RECORD_BYTES && payload == (size_t)(page + size - record);
        const uint32_t number = (uint32_t)(page_offset / (int64_t)size) + 1;
        note(&rows->pages[row], number << 1 | segment);
    }
}

void skv_row_pages_forget(struct skv_row_pages *rows)
{
    for (uint32_t i = 0; i < rows->capacity; i++) {
        rows->pages[i] = rows->pages[i] == 0 ? 0 : DOUBTFUL;
    }
}

/* Where in the file a read from a place goes, and how far; no bytes when that is not known. */
static int64_t find_part(const struct skv_row_pages *rows, uint64_t place, size_t *size)
{
    const uint32_t id = skv_place_id(place);
    const size_t offset = skv_place_offset(place);
    const int64_t segment_at = skv_row_pages_segment_at(rows, id);
    if (segment_at != 0 && offset < SKV_SEGMENT_BYTES) {
        const size_t most = SKV_SEGMENT_BYTES - offset;
        *size = *size < most ? *size : most;
        return segment_at + (int64_t)offset;
    }
    const uint32_t page = skv_row_pages_find(rows, id);
    *size = page != 0 ? SKV_SCHEMA_PAGE_BYTES : 0;
    return page != 0 ? (int64_t)(page - 1) * SKV_SCHEMA_PAGE_BYTES : 0;
}

void skv_row_pages_announce(const struct skv_row_pages *rows, int fd, const uint64_t *places,
                            uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t part = size;
        const int64_t at = find_part(rows, places[i], &part);
        if (part != 0) {
            /* Works although read-ahead is off for the file as a whole. Advice: it may fail. */
            (void)posix_fadvise(fd, (off_t)at, (off_t)part, POSIX_FADV_WILLNEED);
        }
    }
}
