/* SPDX-License-Identifier: MIT */
/** A small fast random generator (xorshift64*, Vigna 2016, doi:10.1145/2845077); never for secrets.
 */
#ifndef SKV_BASE_RNG_H
#define SKV_BASE_RNG_H

#include <stdint.h>

struct skv_rng {
    uint64_t state; /* never 0 */
};

static inline void skv_rng_init(struct skv_rng *rng, uint64_t seed)
{
    rng->state = seed != 0 ? seed : UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t skv_rng_next(struct skv_rng *rng)
{
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return rng->state * UINT64_C(0x2545f4914f6cdd1d);
}

#endif
