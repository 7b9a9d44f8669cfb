/* SPDX-License-Identifier: MIT */
/**
 * Where the groups of a table keep their buckets: runs of some fixed lengths.
 *
 * A run is `length` buckets of 64 bytes in a row. The runs of one length are a class and lie
 * densely in segments of the budget: when one is given back, the last one of its class moves into
 * its place, and a segment with no run left goes back to the budget at once. So a class wastes less
 * than one segment, however many runs come and go.
 *
 * Threads: none here; the caller serialises.
 */
#ifndef SKV_TABLE_RUNS_H
#define SKV_TABLE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"
#include "budget/budget.h"
#include "table/slot.h"

#define SKV_BUCKET_SLOTS 8
#define SKV_BUCKET_BYTES 64 /* a cache line */

#define SKV_RUNS_SEGMENT_MIN ((size_t)4 << 10)
#define SKV_RUNS_SEGMENT_MAX ((size_t)256 << 10) /* a group counts its slots in 16 bits */

#define SKV_RUNS_NOBODY UINT32_MAX

struct skv_run_segment; /* runs.c: a segment and whose its runs are */

struct skv_run_class {
    /* Constant after init. */
    uint32_t length;      /* of its runs, in buckets */
    uint32_t per_segment; /* runs that fit a segment */
    /* Changing. */
    uint32_t used; /* runs in use: numbers 0 .. used - 1 */
    uint32_t segment_count;
    uint32_t segment_capacity;
    struct skv_run_segment **segments;
};

struct skv_runs {
    /* Constant after init. */
    struct skv_budget *budget;
    struct skv_run_class *classes; /* from short to long; the longest run fills a segment */
    uint32_t class_count;
    /* Changing. */
    uint64_t bytes; /* of segments and arrays, all charged to the budget */
};

/**
 * Prepares the classes for the budget's segments (SKV_RUNS_SEGMENT_MIN to _MAX bytes).
 *
 * @return SPILLKV_OK; SPILLKV_ENOMEM; SPILLKV_EFULL. After a failure there is nothing to fini.
 */
SKV_MUST_CHECK spillkv_status skv_runs_init(struct skv_runs *runs, struct skv_budget *budget);
/** Gives everything back; a zeroed struct is fine. */
void skv_runs_fini(struct skv_runs *runs);
/** Gives all runs and their arrays back: a few operations for each segment. */
void skv_runs_clear(struct skv_runs *runs);

/** The first class whose runs have at least so many buckets; class_count if there is none. */
uint32_t skv_runs_class_for(const struct skv_runs *runs, uint32_t buckets);

/**
 * Takes a run of a class.
 *
 * @param owner      a number to be told when the run moves
 * @param index_out  receives the number of the run within its class
 * @param run_out    receives its buckets, contents undefined, aligned to a cache line
 * @return SPILLKV_OK; SPILLKV_EFULL: the budget gives no segment; SPILLKV_ENOMEM: our arrays cannot
 *         grow. Nothing has changed after a failure.
 */
SKV_MUST_CHECK spillkv_status skv_runs_take(struct skv_runs *runs, uint32_t class_index,
                                            uint32_t owner, uint32_t *index_out,
                                            uint64_t **run_out);
/**
 * Gives a run back.
 *
 * @return the owner of the run that moved and now has this index, or SKV_RUNS_NOBODY
 */
uint32_t skv_runs_give(struct skv_runs *runs, uint32_t class_index, uint32_t index);

/** The buckets of a run in use. */
uint64_t *skv_runs_at(const struct skv_runs *runs, uint32_t class_index, uint32_t index);
uint32_t skv_runs_owner(const struct skv_runs *runs, uint32_t class_index, uint32_t index);

/** Aborts unless runs, segments and bytes add up; returns true. */
bool skv_runs_check(const struct skv_runs *runs);

#endif
