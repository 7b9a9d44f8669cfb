/* SPDX-License-Identifier: MIT */
/**
 * What the engines came to, side by side.
 */
#ifndef BENCH_COMPARE_REPORT_H
#define BENCH_COMPARE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "engine.h"
#include "median.h"
#include "run.h"

#define COMPARE_ENGINES_MAX 16u

/** All rounds of an engine. */
struct compare_column {
    const struct engine *engine;
    uint64_t entries; /* that it was to load */
    struct run_result rounds[MEDIAN_MAX];
};

/** All that was measured; ratios are those of the first engine to each other one. */
struct compare {
    struct run_options options;
    unsigned rounds;
    unsigned columns;
    struct compare_column column[COMPARE_ENGINES_MAX];
};

/** Tells whether every read found its value. */
bool compare_verified(const struct compare *compare);

void compare_print(FILE *stream, const struct compare *compare);

/** Writes one JSON object; false when memory ran out. */
bool compare_print_json(FILE *stream, const struct compare *compare);

#endif
