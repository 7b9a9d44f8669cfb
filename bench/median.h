/* SPDX-License-Identifier: MIT */
/**
 * Of several rounds the middle one counts.
 */
#ifndef BENCH_MEDIAN_H
#define BENCH_MEDIAN_H

#include <stddef.h>

/** Rounds that a run may have. */
#define MEDIAN_MAX 99u

/** The median of 1 .. MEDIAN_MAX numbers, whose order is kept. */
double median(const double *numbers, size_t count);

#endif
