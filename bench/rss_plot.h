/* SPDX-License-Identifier: MIT */
/**
 * A picture of memory over time: one panel for each churn and budget, a curve for each engine.
 */
#ifndef BENCH_RSS_PLOT_H
#define BENCH_RSS_PLOT_H

#include <stdbool.h>

#include "rss_run.h"

/** Tells whether the program that draws is there; false after a message. */
bool rss_plot_ready(void);

/** Writes an SVG file of runs, those of one panel in a row; false after a message. */
bool rss_plot(const char *file, struct rss_run *const *runs, unsigned count);

#endif
