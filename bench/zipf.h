/* SPDX-License-Identifier: MIT */
/**
 * Random ranks by a Zipf law: rank k is drawn with a probability that goes with 1 / k^exponent.
 *
 * Rejection-inversion, exact and without tables. Source: W. Hörmann, G. Derflinger,
 * "Rejection-inversion to generate variates from monotone discrete distributions", ACM
 * Transactions on Modeling and Computer Simulation 6 (1996), 169-184. Threads: any.
 */
#ifndef BENCH_ZIPF_H
#define BENCH_ZIPF_H

#include <stdint.h>

/** Ranks that can be drawn from. */
#define ZIPF_RANKS_MAX (UINT64_C(1) << 31)

struct zipf {
    uint64_t ranks;
    double exponent;
    double area_first; /* the integral of the hat up to the first rank, and to the last */
    double area_last;
    double sure; /* what is so close below a rank is accepted at once */
};

/** Prepares for ranks 1 .. `ranks` and an exponent above 0. */
void zipf_init(struct zipf *zipf, uint64_t ranks, double exponent);

/** Draws a rank from 1 on; `state` is that of workload_random(). */
uint64_t zipf_rank(const struct zipf *zipf, uint64_t *state);

/** Draws a number below `ranks`: that of a rank, where no two share one and neighbours are far
 *  apart, so that the most frequent are not those that were stored first. */
uint64_t zipf_index(const struct zipf *zipf, uint64_t *state);

#endif
