/* SPDX-License-Identifier: MIT */
#include "latency.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <stddef.h>

#define LOWEST_NS       10.0
#define DECADES         ((size_t)11)
#define BINS_PER_DECADE 78
#define BINS            (DECADES * BINS_PER_DECADE)

bool latency_init(struct latency *latency)
{
    double edges[BINS + 1];
    for (size_t i = 0; i <= BINS; i++) {
        edges[i] = LOWEST_NS * pow(10.0, (double)i / BINS_PER_DECADE);
    }
    /* Its default handler aborts where a status is enough. */
    gsl_set_error_handler_off();
    *latency = (struct latency){.bins = gsl_histogram_alloc(BINS)};
    if (latency->bins == NULL) {
        return false;
    }
    gsl_histogram_set_ranges(latency->bins, edges, BINS + 1);
    return true;
}

void latency_fini(struct latency *latency)
{
    if (latency->bins != NULL) {
        gsl_histogram_free(latency->bins);
    }
    *latency = (struct latency){0};
}

void latency_reset(struct latency *latency)
{
    gsl_histogram_reset(latency->bins);
    latency->count = 0;
    latency->max_ns = 0;
}

void latency_record(struct latency *latency, uint64_t nanoseconds)
{
    const double top = gsl_histogram_max(latency->bins);
    double value = (double)nanoseconds;
    if (value < LOWEST_NS) {
        value = LOWEST_NS;
    } else if (value >= top) {
        value = nextafter(top, 0);
    }
    gsl_histogram_increment(latency->bins, value);
    latency->count++;
    if (nanoseconds > latency->max_ns) {
        latency->max_ns = nanoseconds;
    }
}

void latency_merge(struct latency *into, const struct latency *from)
{
    gsl_histogram_add(into->bins, from->bins);
    into->count += from->count;
    if (from->max_ns > into->max_ns) {
        into->max_ns = from->max_ns;
    }
}

double latency_quantile(const struct latency *latency, double part)
{
    const double wanted = ceil(part * (double)latency->count);
    double seen = 0;
    if (latency->count == 0) {
        return 0;
    }
    for (size_t i = 0; i < BINS; i++) {
        seen += gsl_histogram_get(latency->bins, i);
        if (seen >= wanted) {
            double lower = 0;
            double upper = 0;
            gsl_histogram_get_range(latency->bins, i, &lower, &upper);
            return fmin(upper, (double)latency->max_ns);
        }
    }
    return (double)latency->max_ns;
}
