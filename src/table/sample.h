/* SPDX-License-Identifier: MIT */
/**
 * Which keys are sampled, and how large a part of all they are: those whose hash is below a
 * threshold that falls when they become too many.
 *
 * Threads: none here; the caller serialises.
 */
#ifndef SKV_TABLE_SAMPLE_H
#define SKV_TABLE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/** Of a key's hash the low bits decide. */
#define SKV_SAMPLE_BITS 40
#define SKV_SAMPLE_MASK ((UINT64_C(1) << SKV_SAMPLE_BITS) - 1)
#define SKV_SAMPLE_ALL  (SKV_SAMPLE_MASK + 1)
/** The threshold falls by a sixteenth of an octave; so many octaves have such bands. */
#define SKV_SAMPLE_OCTAVES 24
#define SKV_SAMPLE_BANDS   (16u * (SKV_SAMPLE_OCTAVES + 1))

struct skv_sample {
    uint64_t threshold;               /* SKV_SAMPLE_ALL: all are sampled; 0: none */
    double part;                      /* of the keys that is sampled, about */
    bool counts;                      /* the bands say how many there are */
    uint64_t keys;                    /* sampled ones that there are */
    uint32_t bands[SKV_SAMPLE_BANDS]; /* the same by their hashes */
};

/** Samples all keys, of which there are none yet. */
void skv_sample_init(struct skv_sample *sample);

static inline bool skv_sample_has(const struct skv_sample *sample, uint64_t hash)
{
    return (hash & SKV_SAMPLE_MASK) < sample->threshold;
}

/** A sampled key is new, or was deleted. */
void skv_sample_add(struct skv_sample *sample, uint64_t hash);
void skv_sample_remove(struct skv_sample *sample, uint64_t hash);
/** All keys were deleted. */
void skv_sample_clear(struct skv_sample *sample);

/** Finds the part. @param all_keys  sampled or not; 0: not known */
void skv_sample_compare(struct skv_sample *sample, uint64_t all_keys);
/** Fewer keys are sampled from now on, by 3 to 6 %. */
void skv_sample_lower(struct skv_sample *sample);
/** So many times as many are, or all: how many there are is not counted any more. */
void skv_sample_raise(struct skv_sample *sample, uint64_t times);

#endif
