/* SPDX-License-Identifier: MIT */
/**
 * What the benchmark rss came to.
 */
#ifndef BENCH_RSS_REPORT_H
#define BENCH_RSS_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "rss_run.h"

/** Tells whether a run got to its end and every read found what it must. */
bool rss_verified(const struct rss_run *run);

/** Writes a row for each phase. */
void rss_print_run(FILE *stream, const struct rss_run *run);

/** Writes a row for each run. */
void rss_print_final(FILE *stream, struct rss_run *const *runs, unsigned count);

/** Writes one JSON object; false when memory ran out. */
bool rss_print_json(FILE *stream, struct rss_run *const *runs, unsigned count);

#endif
