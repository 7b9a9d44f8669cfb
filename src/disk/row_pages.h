/* SPDX-License-Identifier: MIT */
/**
 * On which page of a SQLite file a row is, as far as it was seen when the page was written.
 *
 * A hint, 4 bytes for each row: good for asking the disk for a page before SQLite reads it, and for
 * reading from it what can be told from anything else. A row that was seen on two pages is not
 * known any more: in a damaged file the later one may be an old version of it. When a transaction
 * was undone the same is true of all.
 *
 * Knows of SQLite only the format of a leaf page (https://sqlite.org/fileformat2.html, "B-tree
 * Pages"). Threads: the caller serialises.
 */
#ifndef SKV_DISK_ROW_PAGES_H
#define SKV_DISK_ROW_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "disk/schema.h"
#include "disk/segment.h"

struct skv_row_pages {
    uint32_t *pages;   /* by row: number of the page, from 1 on, and whether a segment ends with
                          it in the lowest bit; 0: unknown */
    uint32_t capacity; /* rows that there is room for, +1 */
    uint32_t most;     /* the highest row that may be on a page, up to SKV_SEGMENT_ID_MAX; set by
                          the owner */
};

void skv_row_pages_fini(struct skv_row_pages *rows);

/**
 * Notes the rows that begin on a page if it is a leaf of a table; where there is no memory for them
 * they stay unknown.
 *
 * @param page         `size` bytes, at most 32 KiB
 * @param page_offset  of the page in the file
 */
void skv_row_pages_learn(struct skv_row_pages *rows, const uint8_t *page, size_t size,
                         int64_t page_offset);

/** The number of a row's page, from 1 on; 0 if unknown. */
static inline uint32_t skv_row_pages_find(const struct skv_row_pages *rows, uint32_t row)
{
    return row < rows->capacity ? rows->pages[row] >> 1 : 0;
}

/** Where in the file a row's segment begins; 0 if unknown, or if the row is not a segment: then the
 *  rest of its page may be of an old one. */
static inline int64_t skv_row_pages_segment_at(const struct skv_row_pages *rows, uint32_t row)
{
    const uint32_t page = row < rows->capacity ? rows->pages[row] : 0;
    return (page & 1) == 0 || page >> 1 == 0
               ? 0
               : (int64_t)(page >> 1) * SKV_SCHEMA_PAGE_BYTES - (int64_t)SKV_SEGMENT_BYTES;
}

/** No row that was seen so far is known again. */
void skv_row_pages_forget(struct skv_row_pages *rows);

/** Asks the disk for `size` bytes at some places of a file, for the whole page where a row is not a
 *  segment, all at once, and does not wait for them. */
void skv_row_pages_announce(const struct skv_row_pages *rows, int fd, const uint64_t *places,
                            uint32_t count, size_t size);

/** Bytes of RAM. */
static inline size_t skv_row_pages_bytes(const struct skv_row_pages *rows)
{
    return rows->capacity * sizeof(*rows->pages);
}

#endif
