/* SPDX-License-Identifier: MIT */
/**
 * Writes to a file that could not be done yet, kept in RAM and seen by every read.
 *
 * Knows no SQLite and no files. Threads: the caller serialises.
 */
#ifndef SKV_DISK_OVERLAY_H
#define SKV_DISK_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct skv_overlay_write; /* overlay.c */

struct skv_overlay {
    struct skv_overlay_write *writes; /* oldest first */
    bool cut;                         /* a truncation is owed too, before the writes */
    int64_t cut_bytes;
};

void skv_overlay_init(struct skv_overlay *overlay);
void skv_overlay_fini(struct skv_overlay *overlay);

/** Whether nothing is owed. */
bool skv_overlay_is_empty(const struct skv_overlay *overlay);

/** Remembers a write; the bytes are copied. False when there is no memory. */
SKV_MUST_CHECK bool skv_overlay_write(struct skv_overlay *overlay, int64_t offset,
                                      const void *bytes, size_t size);
/** Remembers that the file ends at `bytes`: later writes may make it longer again. */
void skv_overlay_truncate(struct skv_overlay *overlay, int64_t bytes);

/** The size of a file of `bytes` as it is seen through the overlay. */
int64_t skv_overlay_file_bytes(const struct skv_overlay *overlay, int64_t bytes);
/** Puts what is owed over bytes that were read from the file at `offset`: parts beyond a cut become
 *  zeroes. Returns whether all of them are owed: then it does not matter what the file holds. */
bool skv_overlay_patch(const struct skv_overlay *overlay, int64_t offset, void *buffer,
                       size_t size);

/** Does a truncation or a write; 0 or an error. */
typedef int skv_overlay_truncate_fn(void *context, int64_t bytes);
typedef int skv_overlay_write_fn(void *context, int64_t offset, const void *bytes, size_t size);

/** Does what is owed, in order. @return 0 when nothing is owed any more, else the first error */
SKV_MUST_CHECK int skv_overlay_settle(struct skv_overlay *overlay,
                                      skv_overlay_truncate_fn *truncate,
                                      skv_overlay_write_fn *write, void *context);

#endif
