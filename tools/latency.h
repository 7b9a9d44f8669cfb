/* SPDX-License-Identifier: MIT */
/**
 * How long operations took: a histogram for one thread, merged with those of others at the end.
 *
 * Bins are 3 % wide from 10 ns to 1000 s; the maximum is exact.
 */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include <gsl/gsl_histogram.h>
#include <stdbool.h>
#include <stdint.h>

struct latency {
    gsl_histogram *bins;
    uint64_t count;
    uint64_t max_ns;
};

/** @return false when memory ran out; *latency is then empty */
bool latency_init(struct latency *latency);

/** Frees; an empty one is allowed. */
void latency_fini(struct latency *latency);

/** Forgets all operations. */
void latency_reset(struct latency *latency);

/** Adds one operation. */
void latency_record(struct latency *latency, uint64_t nanoseconds);

/** Adds what another one recorded. */
void latency_merge(struct latency *into, const struct latency *from);

/** The time in nanoseconds within which `part` (0..1) of the operations ended; 0 without any. */
double latency_quantile(const struct latency *latency, double part);

#endif
