/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. How large the sampled part is follows from the threshold, but only about: of 1 000
 * sampled keys 30 more or less. Whether a loop fits into RAM is a matter of that. So sampled keys
 * are counted as they come and go, by bands of their hashes, and set against the number of all.
 * The threshold is always at the end of a band, so that when it falls it is known how many keys are
 * left. When it rises that is not known, and the threshold alone has to do.
 *
 *     band   0  |16|17|..|31| 32 | 33 |..| 47 |  48  |..      16 to an octave
 */
#include "table/sample.h"

#include <string.h>

/** The lowest octave with bands; all below is band 0. */
#define LOWEST (SKV_SAMPLE_BITS - SKV_SAMPLE_OCTAVES)
/** With fewer sampled keys the threshold tells their part as well. */
#define KEYS_LEAST 64u

static uint32_t band_of(uint64_t hash)
{
    const int octave = 63 - __builtin_clzll(hash | 1);
    return octave < LOWEST ? 0
                           : 16 * (uint32_t)(octave - LOWEST) + (uint32_t)(hash >> (octave - 4));
}

/** The least hash of a band. */
static uint64_t begin_of(uint32_t band)
{
    return band < 16 ? 0 : (uint64_t)(16 + band % 16) << (LOWEST - 4 + (band - 16) / 16);
}

static void use_threshold(struct skv_sample *sample)
{
    sample->part = (double)sample->threshold / (double)SKV_SAMPLE_ALL;
}

void skv_sample_init(struct skv_sample *sample)
{
    sample->threshold = SKV_SAMPLE_ALL;
    skv_sample_clear(sample);
    use_threshold(sample);
}

void skv_sample_add(struct skv_sample *sample, uint64_t hash)
{
    sample->bands[band_of(hash & SKV_SAMPLE_MASK)]++;
    sample->keys++;
}

void skv_sample_remove(struct skv_sample *sample, uint64_t hash)
{
    uint32_t *const band = &sample->bands[band_of(hash & SKV_SAMPLE_MASK)];
    /* It may have been there before it was counted. */
    if (*band != 0) {
        (*band)--;
        sample->keys--;
    }
}

void skv_sample_clear(struct skv_sample *sample)
{
    memset(sample->bands, 0, sizeof(sample->bands));
    sample->keys = 0;
    sample->counts = true;
}

void skv_sample_compare(struct skv_sample *sample, uint64_t all_keys)
{
    if (sample->counts && sample->keys >= KEYS_LEAST && sample->keys <= all_keys) {
        sample->part = (double)sample->keys / (double)all_keys;
    } else {
        use_threshold(sample);
    }
}

void skv_sample_lower(struct skv_sample *sample)
{
    const uint32_t band = band_of(sample->threshold - 1);
    sample->threshold = begin_of(band);
    sample->keys -= sample->bands[band];
    sample->bands[band] = 0;
    use_threshold(sample);
}

void skv_sample_raise(struct skv_sample *sample, uint64_t times)
{
    const uint64_t raised = sample->threshold * times;
    sample->threshold = raised < SKV_SAMPLE_ALL ? begin_of(band_of(raised)) : SKV_SAMPLE_ALL;
    skv_sample_clear(sample);
    sample->counts = false;
    use_threshold(sample);
}
