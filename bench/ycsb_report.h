/* SPDX-License-Identifier: MIT */
/**
 * What engines came to in `bench/ycsb`.
 */
#ifndef BENCH_YCSB_REPORT_H
#define BENCH_YCSB_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "ycsb_run.h"

/** Writes what the runs have in common and the heads of the columns. */
void ycsb_print_head(FILE *stream, const struct ycsb_options *options);

/** Writes a row for each phase. */
void ycsb_print(FILE *stream, const struct engine *engine, const struct ycsb_result *result);

/** An object with the name of the engine and a list of its phases. */
json_t *ycsb_json(const struct engine *engine, const struct ycsb_result *result);

/** An object with what the runs have in common. */
json_t *ycsb_options_json(const struct ycsb_options *options);

#endif
