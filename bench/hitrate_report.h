/* SPDX-License-Identifier: MIT */
/**
 * What came of the runs: per trace, size and policy, as a table, as JSON and as a chart.
 */
#ifndef BENCH_HITRATE_REPORT_H
#define BENCH_HITRATE_REPORT_H

#include <stdio.h>

#include "hitrate_policy.h"

#define HITRATE_POLICIES_MAX 16u
#define HITRATE_SIZES_MAX    64u

/** Other sizes: half, twice, four times the entries. */
#define HITRATE_ADVICE_SIZES 3

/** Hit ratios, in percent of the requests whose key had been there before. */
struct hitrate_advice {
    double now;
    double estimated[HITRATE_ADVICE_SIZES];
    double real[HITRATE_ADVICE_SIZES];
};

/** One trace at one size. */
struct hitrate_cell {
    uint32_t capacity; /* 0: not run, too small */
    double percent;    /* of the trace's unique keys */
    struct hitrate_result lru;
    struct hitrate_result results[HITRATE_POLICIES_MAX];
    struct hitrate_advice advice;
};

struct hitrate_row {
    char *name;
    uint64_t requests;
    uint32_t unique;
    struct hitrate_cell cells[HITRATE_SIZES_MAX];
};

struct hitrate_report {
    const struct hitrate_policy *policies[HITRATE_POLICIES_MAX];
    unsigned policy_count;
    unsigned size_count;
    uint32_t shards;
    bool split;
    uint64_t seed;
    struct hitrate_row *rows;
    unsigned row_count;
};

/**
 * By how many percent the misses are fewer than LRU's; negative when they are more, then in percent
 * of themselves. As in the paper of S3-FIFO.
 */
double hitrate_reduction(const struct hitrate_row *row, const struct hitrate_cell *cell,
                         unsigned policy);

/** @param details  also a line for each size, with hit ratios */
void hitrate_print(FILE *stream, const struct hitrate_report *report, bool details);

/** @return false if it could not be written */
bool hitrate_print_json(FILE *stream, const struct hitrate_report *report);

/** Draws miss ratio over size, by gnuplot: a panel for each trace, a line for each policy.
 *  @return false after a message */
bool hitrate_draw(const char *path, const struct hitrate_report *report);

#endif
