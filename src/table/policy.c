/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Scores are computed once for all stores of the process, in integers only, so that they
 * are the same on every machine. With time in cache-fulls, the middle of age bin a is A = (a + 1/2)
 * / 4, the usual gap of class g is one of 2^-5 .. 8, and
 *
 *     X     = A < gap ?  gap (1 + (1 - A / gap) / 20)  :  gap + 2 (A - gap)
 *     score = (f + 1) / (X + 1/10)
 *
 * Every X is a multiple of 1/640. The 16 bits are the score's logarithm, which keeps the order, and
 * equal differences mean equal ratios.
 *
 * The counter f falls in probability, not in value: 15 stands for some hundred uses. Halving it
 * from time to time was rejected: the age in the score does the forgetting. So it does for LFU,
 * which halves what the counter stands for with each cache-full that the key was not used: 8.1 %
 * fewer misses than LRU on 13 published traces, 6.2 if it never does; on nine of
 * them 1/2, 2 and 4 cache-fulls gain less.
 */
#include "table/policy.h"

#include "base/once.h"

#define FREQUENCIES 16
#define GAPS        8
#define AGES        32
#define SCORES      (FREQUENCIES * GAPS * AGES)

#define FREQUENCY_MAX (FREQUENCIES - 1)

#define PARTS        640                /* of a cache-full: what every X is a multiple of */
#define LOG_BITS     20                 /* after the point */
#define LOG_LOWEST   (-(5 << LOG_BITS)) /* of any score: (0 + 1) / (24 + 1/10) is above 1/32 */
#define LFU_HALVINGS 12                 /* of what is ancient */
#define LFU_RANGE    ((LFU_HALVINGS + 7) << LOG_BITS) /* 15 stands for 93 uses, below 2^7 */
#define LOG_RANGE    (12 << LOG_BITS)                 /* to 128: (15 + 1) / (1/8 + 1/10) is below */

_Static_assert(SCORES == SKV_LEARN_CELLS, "each score can be learned");

static struct skv_once scores_once = SKV_ONCE_INIT;
/* Constant after scores_once. */
static uint16_t scores[3][SCORES];
static double formula[SCORES];

/* Logarithm to base 2 with LOG_BITS bits after the point, rounded down; bit by bit, by squaring. */
static int32_t log2_fixed(uint32_t x)
{
    const int32_t whole = 31 - __builtin_clz(x);
    uint64_t mantissa = (uint64_t)x << (31 - whole); /* 1 .. 2, as 2^31 .. 2^32 */
    int32_t log = whole;
    for (int bit = 0; bit < LOG_BITS; bit++) {
        mantissa = mantissa * mantissa >> 31;
        log = log * 2 + (int32_t)(mantissa >> 32);
        mantissa >>= mantissa >> 32;
    }
    return log;
}

/* X of the rule, in parts. */
static int32_t find_x(uint32_t g, uint32_t age)
{
    /* Usual gaps in 32nds of a cache-full: the middles of the age bins of gap_class(). */
    static const int32_t gaps[GAPS] = {256, 192, 96, 48, 24, 12, 4, 1};
    const int32_t gap = gaps[g] * (PARTS / 32);
    const int32_t now =
        age == SKV_POLICY_ANCIENT ? 12 * PARTS : (int32_t)(2 * age + 1) * (PARTS / 8);
    return now < gap ? gap + (gap - now) / 20 : gap + 2 * (now - gap);
}

static uint16_t slot12_score(uint32_t f, uint32_t g, uint32_t age)
{
    const uint32_t x = (uint32_t)find_x(g, age);
    const int32_t log = log2_fixed((f + 1) * PARTS) - log2_fixed(x + PARTS / 10);
    return (uint16_t)((int64_t)(log - LOG_LOWEST) * UINT16_MAX / LOG_RANGE);
}

/* The logarithm of the uses that the counter stands for, halved for each cache-full without one. */
static uint16_t lfu_score(uint32_t f, uint32_t age)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < f; i++) {
        uses += UINT32_C(1) << i / 3;
    }
    const int32_t halvings = age == SKV_POLICY_ANCIENT ? LFU_HALVINGS << LOG_BITS
                                                       : (int32_t)(2 * age + 1) << (LOG_BITS - 3);
    const int32_t log = log2_fixed(uses + 1) - halvings + (LFU_HALVINGS << LOG_BITS);
    return (uint16_t)((int64_t)log * UINT16_MAX / LFU_RANGE);
}

static void make_scores(void)
{
    for (uint32_t i = 0; i < SCORES; i++) {
        const uint32_t f = i / (GAPS * AGES);
        const uint32_t g = i / AGES % GAPS;
        const uint32_t age = i % AGES;
        const int32_t parts = find_x(g, age) + PARTS / 10;
        formula[i] = (double)((f + 1) * PARTS) / (double)parts;
        scores[SKV_POLICY_SLOT12][i] = slot12_score(f, g, age);
        scores[SKV_POLICY_LFU][i] = lfu_score(f, age);
        scores[SKV_POLICY_LRU][i] =
            (uint16_t)((SKV_POLICY_ANCIENT - age) * (UINT16_MAX / SKV_POLICY_ANCIENT));
    }
}

void skv_policy_init(struct skv_policy *policy, enum skv_policy_kind kind, uint64_t seed)
{
    skv_once(&scores_once, make_scores);
    policy->scores = scores[kind];
    policy->octave = kind == SKV_POLICY_SLOT12 ? UINT16_MAX / (LOG_RANGE >> LOG_BITS) : 0;
    policy->learn = NULL;
    skv_rng_init(&policy->rng, seed);
    policy->now = 1;
    policy->misses = 0;
    policy->ticks = 0;
}

void skv_policy_learn(struct skv_policy *policy, struct skv_learn *learn)
{
    skv_learn_init(learn);
    policy->learn = learn;
    policy->scores = learn->scores;
    policy->octave = SKV_LEARN_OCTAVE;
}

double skv_policy_formula(uint32_t cell)
{
    return formula[cell];
}

int32_t skv_policy_log(const struct skv_policy *policy, uint32_t ratio)
{
    return (int32_t)((int64_t)log2_fixed(ratio) * policy->octave >> LOG_BITS);
}

static uint32_t gap_class(uint32_t age)
{
    if (age == 0) {
        return 7;
    }
    if (age >= 16) {
        return 1;
    }
    /* 1: 5, 2 .. 3: 4, 4 .. 7: 3, 8 .. 15: 2; class 6 is reached by averaging only. */
    return 5 - (31 - (uint32_t)__builtin_clz(age));
}

uint32_t skv_policy_use(struct skv_policy *policy, uint32_t bits)
{
    if (policy->learn != NULL) {
        skv_learn_count(&policy->learn->uses[skv_policy_cell(policy, bits)]);
    }
    const uint32_t old_gap = bits & (GAPS - 1);
    uint32_t gap = gap_class(skv_policy_age(policy, bits));
    gap = old_gap != 0 ? (gap + old_gap) >> 1 : gap;
    uint32_t f = bits >> 3 & FREQUENCY_MAX;
    if (f < 3) {
        f++;
    } else if (f < FREQUENCY_MAX) {
        /* With probability 2^-(f / 3); of this generator the upper bits are the better ones. */
        const uint64_t random = skv_rng_next(&policy->rng) >> 32;
        f += (random & ((UINT64_C(1) << f / 3) - 1)) == 0;
    }
    return policy->now << 7 | f << 3 | gap;
}

void skv_policy_miss(struct skv_policy *policy, uint64_t residents)
{
    if (policy->learn != NULL) {
        skv_learn_miss(policy->learn, residents);
    }
    policy->misses++;
    if (policy->misses < residents / 4) {
        return;
    }
    policy->misses = 0;
    policy->ticks++;
    policy->now = policy->now == SKV_POLICY_TICKS ? 1 : policy->now + 1;
}
