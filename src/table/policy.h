/* SPDX-License-Identifier: MIT */
/**
 * Which entries stay in RAM: twelve bits of history in the slot and a table of scores.
 *
 *      11     7 6     3 2   0
 *     +--------+-------+-----+
 *     |  ts, 5 |  f, 4 | g, 3|
 *     +--------+-------+-----+
 *
 * - ts: the tick of the last use, 1 .. 31 around; 0: ancient.
 * - f: how often it was used, counted with falling probability; never halved.
 * - g: the usual gap between two uses in classes, 7 the shortest; 0: never used again.
 *
 * The clock of a shard counts misses (entries coming into RAM), not uses: it ticks once for every
 * quarter of the residents, so age / 4 counts how often the cache was filled since. Hits touch
 * nothing but their slot. The score of an entry, higher stays, is its frequency over the larger of
 * its usual gap and its age; what is overdue loses twice as fast.
 *
 * Never an older history than the clock can tell: a sweep over the slots makes those ancient whose
 * age comes near to the 31 ticks (skv_policy_expire()).
 *
 * A policy is a table of scores: another table makes it LRU or LFU, with no other code. One that
 * learns (learn.h) has a table of its own, which starts as SLOT12's.
 *
 * Threads: none here; the caller serialises. The score table is shared and read-only.
 */
#ifndef SKV_TABLE_POLICY_H
#define SKV_TABLE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/rng.h"
#include "table/learn.h"

#define SKV_POLICY_TICKS   31 /* live values of ts */
#define SKV_POLICY_EXPIRED 19 /* age at which the sweep makes a slot ancient */
#define SKV_POLICY_ANCIENT 31 /* the age bin of ts = 0 */

enum skv_policy_kind {
    SKV_POLICY_SLOT12,
    SKV_POLICY_LFU,
    SKV_POLICY_LRU
};

struct skv_policy {
    const uint16_t *scores;  /* [f][g][age], 16 x 8 x 32; shared, or those of `learn` */
    struct skv_learn *learn; /* NULL: it does not */
    struct skv_rng rng;
    uint32_t octave; /* by how much twice the worth scores more; 0: scores are no ratios */
    uint32_t now;    /* 1 .. 31 */
    uint64_t misses; /* since the last tick */
    uint64_t ticks;  /* since init */
};

void skv_policy_init(struct skv_policy *policy, enum skv_policy_kind kind, uint64_t seed);
/** The scores learn from now on; `learn` is borrowed until the policy is used no more. */
void skv_policy_learn(struct skv_policy *policy, struct skv_learn *learn);

/** SLOT12's rule for cell [f][g][age]: about 1/25 .. 73, (f + 1) / (X + 1/10). */
double skv_policy_formula(uint32_t cell);

/** The bits of a new key. */
static inline uint32_t skv_policy_new(const struct skv_policy *policy)
{
    return policy->now << 7;
}

/** Ticks since the last use, 0 .. 30, or SKV_POLICY_ANCIENT. */
static inline uint32_t skv_policy_age(const struct skv_policy *policy, uint32_t bits)
{
    const uint32_t ts = bits >> 7;
    if (ts == 0) {
        return SKV_POLICY_ANCIENT;
    }
    return policy->now >= ts ? policy->now - ts : policy->now + SKV_POLICY_TICKS - ts;
}

/** Whether the entry was never used since it was set. */
static inline bool skv_policy_is_unused(uint32_t bits)
{
    return (bits & 0x7f) == 0;
}

/** The bits after a use. */
uint32_t skv_policy_use(struct skv_policy *policy, uint32_t bits);

/** Place of an entry in the table of scores. */
static inline uint32_t skv_policy_cell(const struct skv_policy *policy, uint32_t bits)
{
    return (bits & 0x7f) << 5 | skv_policy_age(policy, bits);
}

/** How much the entry is worth keeping. */
static inline uint32_t skv_policy_score(const struct skv_policy *policy, uint32_t bits)
{
    return policy->scores[skv_policy_cell(policy, bits)];
}

/** The sweep met a slot. */
static inline void skv_policy_meet(struct skv_policy *policy, uint32_t bits)
{
    if (policy->learn != NULL) {
        skv_learn_count(&policy->learn->met[skv_policy_cell(policy, bits)]);
    }
}

/** The logarithm of a whole number above 0, in the units of this policy's scores. */
int32_t skv_policy_log(const struct skv_policy *policy, uint32_t ratio);

/** An entry came into RAM; ticks when a quarter of `residents` have. */
void skv_policy_miss(struct skv_policy *policy, uint64_t residents);

/** The bits as the sweep leaves them: ancient when the age has come near the clock's range. Every
 *  slot must be swept at least once in SKV_POLICY_TICKS - SKV_POLICY_EXPIRED - 1 ticks. */
static inline uint32_t skv_policy_expire(const struct skv_policy *policy, uint32_t bits)
{
    const uint32_t age = skv_policy_age(policy, bits);
    return age >= SKV_POLICY_EXPIRED ? bits & 0x7f : bits;
}

#endif
