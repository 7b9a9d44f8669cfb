/* SPDX-License-Identifier: MIT */
/**
 * A table of scores that learns from what is used: SLOT-L.
 *
 * For every class of history (f and g of the policy's bits) and every age two things are counted,
 * of entries in RAM and spilled ones alike: uses found there, and slots that the sweep met there.
 * Their quotient is how soon such an entry is used. What the fixed formula says of it counts as if
 * a few uses had been seen, so that it decides where little was seen. The score is the uses to be
 * expected for the time an entry is kept, over the next cache-full.
 *
 * Old counts fade. Classes are worked over in turn, one at a time, so nothing ever takes long: a
 * microsecond for each class, all 128 of them while a quarter of the residents comes into RAM.
 *
 * Threads: none here; the caller serialises. A shard has its own.
 */
#ifndef SKV_TABLE_LEARN_H
#define SKV_TABLE_LEARN_H

#include <stdint.h>

#define SKV_LEARN_CLASSES 128u
#define SKV_LEARN_AGES    32u
#define SKV_LEARN_CELLS   (SKV_LEARN_CLASSES * SKV_LEARN_AGES)
/** What one use or one slot adds to its count, so that fading is finer than the counts. */
#define SKV_LEARN_UNIT 16u
/** How much more twice the worth scores. */
#define SKV_LEARN_OCTAVE 2048u

struct skv_learn {
    /* By class and age. */
    uint32_t uses[SKV_LEARN_CELLS];
    uint32_t met[SKV_LEARN_CELLS];
    uint16_t scores[SKV_LEARN_CELLS];
    uint32_t next;   /* class to be worked over */
    uint64_t credit; /* earned by misses; a class costs as many as there are residents */
    double rate;     /* uses per tick of what the formula gives 1; 0: not known yet */
    double uses_sum; /* of the classes worked over in this turn */
    double expected_sum;
};

/** Starts with the formula's scores, nothing learned. */
void skv_learn_init(struct skv_learn *learn);

/** Counts so many; a count that is at its end stays there. */
static inline void skv_learn_count_many(uint32_t *count, uint32_t many)
{
    const uint32_t more = many * SKV_LEARN_UNIT;
    *count += *count < UINT32_MAX - more ? more : 0;
}

static inline void skv_learn_count(uint32_t *count)
{
    skv_learn_count_many(count, 1);
}

/** An entry came into RAM, where there are now `residents`: goes on working. */
void skv_learn_miss(struct skv_learn *learn, uint64_t residents);

/** Works over the next class. */
void skv_learn_step(struct skv_learn *learn);

/* What learning from a sample (lesson.h) does in the same way. */

/** The uses to be expected, in the units of counts, where so many slots were met. */
double skv_learn_expected(double chance, uint32_t met);
/** A turn takes a part of a count. */
void skv_learn_fade(uint32_t *count);
/**
 * By how much the entries of one class are worth more than the formula says, by age.
 *
 * @param formula  chance of a use within a tick, as the formula has it
 * @param learned  the same as seen
 */
void skv_learn_weigh(const double formula[SKV_LEARN_AGES], const double learned[SKV_LEARN_AGES],
                     double weights[SKV_LEARN_AGES]);
/** The score of a worth. */
uint16_t skv_learn_score(double worth);

#endif
