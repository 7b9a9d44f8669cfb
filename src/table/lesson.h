/* SPDX-License-Identifier: MIT */
/**
 * Scores learned from few uses: what learn.h is to a shard this is to its simulation (advise.h).
 *
 * The same quotients, of coarser classes: all counts f up to 3 are one, all above are another, so
 * that a sample of some hundred entries fills them, and 6 KiB are enough. Within a class the
 * formula's scores keep their order; what is learned is a weight for it.
 *
 * Threads: none here; the caller serialises.
 */
#ifndef SKV_TABLE_LESSON_H
#define SKV_TABLE_LESSON_H

#include "table/policy.h"

#define SKV_LESSON_CLASSES 16u /* two of f, eight of g */
#define SKV_LESSON_CELLS   (SKV_LESSON_CLASSES * SKV_LEARN_AGES)

struct skv_lesson {
    /* By class and age. */
    uint32_t uses[SKV_LESSON_CELLS];
    uint32_t met[SKV_LESSON_CELLS]; /* each entry counts f + 1 times, as in its formula */
    float weights[SKV_LESSON_CELLS];
    uint32_t next;   /* class to be worked over */
    uint64_t credit; /* as in skv_learn */
    double rate;     /* as in skv_learn */
    double uses_sum;
    double expected_sum;
};

/** Starts with the formula's scores. */
void skv_lesson_init(struct skv_lesson *lesson);
/** An entry with these bits, by this clock, is used. */
void skv_lesson_use(struct skv_lesson *lesson, const struct skv_policy *policy, uint32_t bits);
/** The sweep met it. */
void skv_lesson_meet(struct skv_lesson *lesson, const struct skv_policy *policy, uint32_t bits);
/**
 * An entry came in: goes on working, a class at a time.
 *
 * @param part  how much of all keys is seen, 1: all; with less the formula is given up sooner, as
 *              it would be by those who see all
 */
void skv_lesson_miss(struct skv_lesson *lesson, uint64_t residents, double part);
/** How much the entry is worth keeping, as skv_policy_score(). */
uint32_t skv_lesson_score(const struct skv_lesson *lesson, const struct skv_policy *policy,
                          uint32_t bits);

#endif
