/* SPDX-License-Identifier: MIT */
#include "zipf.h"

#include <math.h>

#include "workload.h"

/* A prime above all numbers of ranks, hence without a common factor: multiplying permutes. It is
 * close to 2^32 divided by the golden ratio, which spreads the products. */
#define SPREAD UINT64_C(2654435761)

/* log1p(x) / x and expm1(x) / x, also next to 0. */
static double log1p_part(double x)
{
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

static double expm1_part(double x)
{
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

/* The hat is x^-exponent; its integral from 1 to x, and the inverse of that. */
static double hat(const struct zipf *zipf, double x)
{
    return exp(-zipf->exponent * log(x));
}

static double integral(const struct zipf *zipf, double x)
{
    const double logarithm = log(x);
    return expm1_part((1 - zipf->exponent) * logarithm) * logarithm;
}

static double integral_inverse(const struct zipf *zipf, double area)
{
    const double t = fmax(area * (1 - zipf->exponent), -1);
    return exp(log1p_part(t) * area);
}

void zipf_init(struct zipf *zipf, uint64_t ranks, double exponent)
{
    zipf->ranks = ranks;
    zipf->exponent = exponent;
    zipf->area_first = integral(zipf, 1.5) - 1;
    zipf->area_last = integral(zipf, (double)ranks + 0.5);
    zipf->sure = 2 - integral_inverse(zipf, integral(zipf, 2.5) - hat(zipf, 2));
}

uint64_t zipf_rank(const struct zipf *zipf, uint64_t *state)
{
    for (;;) {
        const double part = (double)(workload_random(state) >> 11) * 0x1p-53;
        const double area = zipf->area_last + part * (zipf->area_first - zipf->area_last);
        const double x = integral_inverse(zipf, area);
        const double rank = fmin(fmax(floor(x + 0.5), 1), (double)zipf->ranks);
        if (rank - x <= zipf->sure || area >= integral(zipf, rank + 0.5) - hat(zipf, rank)) {
            return (uint64_t)rank;
        }
    }
}

uint64_t zipf_index(const struct zipf *zipf, uint64_t *state)
{
    return zipf_rank(zipf, state) * SPREAD % zipf->ranks;
}
