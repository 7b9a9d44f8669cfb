/* SPDX-License-Identifier: MIT */
/**
 * Writes that follow each other in a file, gathered into one.
 *
 * A transaction that appends writes page after page; one system call for eight of them costs the
 * kernel a third of what eight calls do.
 *
 * Knows no SQLite and no files. Threads: the caller serialises.
 */
#ifndef SKV_DISK_GATHER_H
#define SKV_DISK_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define SKV_GATHER_BYTES ((size_t)64 << 10)

struct skv_gather {
    uint8_t *bytes; /* SKV_GATHER_BYTES, from the first use on */
    int64_t offset; /* where in the file they belong */
    size_t size;    /* gathered so far */
};

void skv_gather_fini(struct skv_gather *gather);

/** Adds a write if it follows what is gathered and fits; false and no change if not. */
SKV_MUST_CHECK bool skv_gather_add(struct skv_gather *gather, int64_t offset, const void *bytes,
                                   size_t size);

/** Whether any of these bytes of the file, or bytes before the end of them, are gathered. */
static inline bool skv_gather_reaches(const struct skv_gather *gather, int64_t offset, size_t size)
{
    return gather->size != 0 && offset + (int64_t)size > gather->offset;
}

/** The size of a file of `bytes` once everything gathered is written. */
static inline int64_t skv_gather_file_bytes(const struct skv_gather *gather, int64_t bytes)
{
    const int64_t end = gather->offset + (int64_t)gather->size;
    return gather->size != 0 && end > bytes ? end : bytes;
}

#endif
