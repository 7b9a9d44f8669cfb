/* SPDX-License-Identifier: MIT */
/**
 * Is what the library says of other sizes true? Its estimates beside runs with those sizes.
 */
#ifndef BENCH_HITRATE_ADVISE_H
#define BENCH_HITRATE_ADVISE_H

#include <stdio.h>

#include "hitrate_report.h"

/** Runs a trace at one size with the library's simulation of others, and at those.
 *  @return false when memory is used up */
bool hitrate_advise_run(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_advice *advice_out);

/** Shows hit ratios, of the requests whose key had been there before. */
void hitrate_advise_print(FILE *stream, const struct hitrate_report *report);
/** @return false if it could not be written */
bool hitrate_advise_print_json(FILE *stream, const struct hitrate_report *report);

#endif
