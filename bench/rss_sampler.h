/* SPDX-License-Identifier: MIT */
/**
 * A thread that looks at the memory of a run every 20 milliseconds.
 */
#ifndef BENCH_RSS_SAMPLER_H
#define BENCH_RSS_SAMPLER_H

#include <stdbool.h>

#include "rss_run.h"

struct sampler;

/** Starts with phase 0 of a run whose engine is open; NULL after a message. */
struct sampler *sampler_start(struct rss_run *run, void *db);

/** Takes a sample at once. */
void sampler_take(struct sampler *sampler);

/** What follows belongs to another phase. */
void sampler_phase(struct sampler *sampler, unsigned phase);

/** Ends the thread; NULL is fine. */
void sampler_stop(struct sampler *sampler);

#endif
