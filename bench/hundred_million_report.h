/* SPDX-License-Identifier: MIT */
/**
 * What the benchmark hundred-million came to.
 */
#ifndef BENCH_HUNDRED_MILLION_REPORT_H
#define BENCH_HUNDRED_MILLION_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include <spillkv/spillkv.h>

#include "crew.h"

/** The last tenth of the load is to be at least so fast, against the second one. */
#define HUNDRED_STEADY 0.8

enum hundred_phase {
    HUNDRED_LOAD,
    HUNDRED_UNIFORM,
    HUNDRED_ZIPF,
    HUNDRED_PHASES
};

struct hundred_options {
    uint64_t entries;
    uint64_t reads; /* of each kind */
    uint64_t max_mem;
    uint64_t seed;
    double exponent; /* of the Zipf law */
    unsigned threads;
    uint32_t shards;    /* 0: the store chooses */
    const char *folder; /* where the files go; NULL: TMPDIR or /tmp */
    bool quiet;
};

/** State at the end of a phase. */
struct hundred_state {
    spillkv_stats_data stats;
    uint64_t rss_anonymous;
    uint64_t rss_file;
    uint64_t disk_bytes;
};

struct hundred_result {
    struct crew_times times[HUNDRED_PHASES];
    struct hundred_state states[HUNDRED_PHASES];
    uint64_t rss_before; /* anonymous, before the store was opened */
    uint64_t rss_peak;   /* anonymous */
    uint64_t count;      /* entries in the end */
    struct crew_findings findings;
};

/** Tells whether all entries are there and every read found its value. */
bool hundred_verified(const struct hundred_options *options, const struct hundred_result *result);

void hundred_print(FILE *stream, const struct hundred_options *options,
                   const struct hundred_result *result);

/** Writes one JSON object; false when memory ran out. */
bool hundred_print_json(FILE *stream, const struct hundred_options *options,
                        const struct hundred_result *result);

#endif
