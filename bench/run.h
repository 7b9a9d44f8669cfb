/* SPDX-License-Identifier: MIT */
/**
 * One engine loads the entries and reads some back, in a process of its own: memory that one run
 * leaves behind cannot blur the next.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crew.h"
#include "engine.h"

struct run_options {
    uint64_t entries;
    uint64_t reads;
    uint64_t max_mem;
    uint64_t seed;
    size_t key_size;
    size_t value_size;
    unsigned threads;
    double seconds;     /* for the whole run; 0: no limit */
    const char *folder; /* where the files go; NULL: TMPDIR or /tmp */
    bool quiet;
};

struct run_result {
    struct crew_times load;
    struct crew_times get;
    uint64_t memory_peak; /* anonymous memory above what it was before opening */
    uint64_t memory_end;  /* the same after the reads */
    uint64_t file_bytes;  /* after the load */
    struct crew_findings findings;
};

/** @return false after a message */
bool run_engine(const struct engine *engine, const struct run_options *options,
                struct run_result *result_out);

#endif
