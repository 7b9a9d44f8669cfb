/* SPDX-License-Identifier: MIT */
/**
 * Named numbers, measured several times, as a table for people and as JSON for machines.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <jansson.h>
#include <stdio.h>

#include "median.h"

#define FIGURES_MAX 128u

struct figure {
    const char *section;
    const char *name;
    const char *unit;
    double wanted; /* at most; 0: nothing is wanted of it */
    unsigned count;
    double samples[MEDIAN_MAX];
};

struct figures {
    unsigned count;
    struct figure list[FIGURES_MAX];
};

/** Adds a sample to the figure of that section and name; texts are borrowed. The figure appears
 *  with its first sample. */
void figures_add(struct figures *figures, const char *section, const char *name, const char *unit,
                 double sample);

/** The same for a figure that should be at most `wanted`. */
void figures_add_wanted(struct figures *figures, const char *section, const char *name,
                        const char *unit, double wanted, double sample);

/** The median of a figure; 0 when there is none of that section and name. */
double figures_median(const struct figures *figures, const char *section, const char *name);

/** Writes medians, least and most, and what was wanted. */
void figures_print(FILE *stream, const struct figures *figures);

/** An array with an object for each figure. */
json_t *figures_json(const struct figures *figures);

#endif
