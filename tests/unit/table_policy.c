/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "table/policy.h"

#define ALL_BITS 4096u

static struct skv_policy policy;

static uint32_t bits_of(uint32_t ts, uint32_t f, uint32_t g)
{
    return ts << 7 | f << 3 | g;
}

static uint32_t gap_of(uint32_t bits)
{
    return bits & 7;
}

static uint32_t frequency_of(uint32_t bits)
{
    return bits >> 3 & 15;
}

static void advance(uint32_t ticks)
{
    while (ticks-- > 0) {
        skv_policy_miss(&policy, 4);
    }
}

Test(policy, counts_age_across_the_wrap)
{
    for (uint32_t start = 0; start < SKV_POLICY_TICKS; start++) {
        skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
        advance(start);
        const uint32_t bits = skv_policy_new(&policy);
        for (uint32_t age = 0; age < SKV_POLICY_TICKS; age++) {
            cr_assert(eq(u32, skv_policy_age(&policy, bits), age));
            cr_assert(eq(u32, skv_policy_age(&policy, 0), SKV_POLICY_ANCIENT));
            cr_assert(ge(u32, policy.now, 1));
            cr_assert(le(u32, policy.now, SKV_POLICY_TICKS));
            advance(1);
        }
    }
}

Test(policy, ticks_once_for_a_quarter_of_the_residents)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    for (unsigned i = 0; i < 1000; i++) {
        skv_policy_miss(&policy, 400);
    }
    cr_expect(eq(u64, policy.ticks, 10));
    cr_expect(eq(u32, policy.now, 11));
}

Test(policy, ticks_with_every_miss_of_few_residents)
{
    for (uint64_t residents = 0; residents < 8; residents++) {
        skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
        skv_policy_miss(&policy, residents);
        skv_policy_miss(&policy, residents);
        cr_expect(eq(u64, policy.ticks, 2));
    }
}

Test(policy, makes_a_new_key_unused_until_it_is_used)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    const uint32_t bits = skv_policy_new(&policy);
    cr_expect(lt(u32, bits, ALL_BITS));
    cr_expect(skv_policy_is_unused(bits));
    cr_expect(not(skv_policy_is_unused(skv_policy_use(&policy, bits))));
}

Test(policy, takes_the_first_gap_and_averages_the_others)
{
    static const uint32_t class_of_age[] = {7, 5, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2,
                                            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (uint32_t age = 0; age < SKV_POLICY_TICKS; age++) {
        skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
        const uint32_t ts = policy.now;
        advance(age);
        for (uint32_t g = 0; g < 8; g++) {
            const uint32_t class_now = class_of_age[age];
            const uint32_t wanted = g == 0 ? class_now : (class_now + g) / 2;
            const uint32_t used = skv_policy_use(&policy, bits_of(ts, 0, g));
            cr_assert(eq(u32, gap_of(used), wanted), "age %u, g %u", age, g);
        }
    }
    cr_expect(eq(u32, gap_of(skv_policy_use(&policy, bits_of(0, 3, 0))), 1));
}

Test(policy, sets_the_time_of_the_last_use)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    advance(20);
    for (uint32_t bits = 0; bits < ALL_BITS; bits++) {
        const uint32_t used = skv_policy_use(&policy, bits);
        cr_assert(lt(u32, used, ALL_BITS));
        cr_assert(eq(u32, skv_policy_age(&policy, used), 0));
    }
}

Test(policy, never_lowers_the_frequency)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    for (uint32_t bits = 0; bits < ALL_BITS; bits++) {
        const uint32_t before = frequency_of(bits);
        const uint32_t after = frequency_of(skv_policy_use(&policy, bits));
        cr_assert(after == before || after == before + 1);
        if (before < 3) {
            cr_assert(eq(u32, after, before + 1));
        }
    }
}

Test(policy, counts_with_falling_probability)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 12345);
    for (uint32_t f = 0; f < 15; f++) {
        const unsigned tries = 160000;
        unsigned counted = 0;
        for (unsigned i = 0; i < tries; i++) {
            counted += frequency_of(skv_policy_use(&policy, bits_of(1, f, 0))) == f + 1;
        }
        /* Five standard deviations are below 2 % of the rarest. */
        const double expected = (double)tries / (double)(1u << f / 3);
        cr_expect(gt(dbl, counted, expected * 0.94), "f %u", f);
        cr_expect(lt(dbl, counted, expected * 1.06), "f %u", f);
    }
}

Test(policy, makes_ancient_what_nears_the_range_of_the_clock)
{
    for (uint32_t age = 0; age < SKV_POLICY_TICKS; age++) {
        skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
        advance(17);
        const uint32_t bits = skv_policy_new(&policy) | 0x55;
        advance(age);
        const uint32_t expired = skv_policy_expire(&policy, bits);
        cr_expect(eq(u32, expired, age < SKV_POLICY_EXPIRED ? bits : 0x55));
        cr_expect(eq(u32, skv_policy_expire(&policy, 0x55), 0x55));
    }
}

Test(policy, shows_no_wrapped_age_when_swept_often_enough)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    uint32_t bits = skv_policy_new(&policy);
    for (uint32_t tick = 0; tick < 200; tick++) {
        if (tick % (SKV_POLICY_TICKS - SKV_POLICY_EXPIRED - 1) == 0) {
            bits = skv_policy_expire(&policy, bits);
        }
        const uint32_t age = skv_policy_age(&policy, bits);
        cr_assert(age == tick || age == SKV_POLICY_ANCIENT);
        advance(1);
    }
}

/* The rule as written down: f + 1 over X + 0.1, in cache-fulls. */
static double rule(uint32_t f, uint32_t g, uint32_t age)
{
    static const double gaps[] = {8, 6, 3, 1.5, .75, .375, .125, .03125};
    const double a = age == SKV_POLICY_ANCIENT ? 12 : (age + .5) / 4;
    const double gap = gaps[g];
    const double x = a < gap ? gap * (1 + .05 * (1 - a / gap)) : gap + 2 * (a - gap);
    return (f + 1) / (x + .1);
}

struct scored {
    double exact;
    uint32_t score;
};

static int by_exact(const void *left, const void *right)
{
    const struct scored *const l = left;
    const struct scored *const r = right;
    return (l->exact > r->exact) - (l->exact < r->exact);
}

Test(policy, orders_scores_as_the_rule_does)
{
    static struct scored all[ALL_BITS];
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    for (uint32_t i = 0; i < ALL_BITS; i++) {
        all[i].exact = rule(i >> 8, i >> 5 & 7, i & 31);
        all[i].score = policy.scores[i];
    }
    qsort(all, ALL_BITS, sizeof(all[0]), by_exact);
    unsigned merged = 0;
    for (uint32_t i = 1; i < ALL_BITS; i++) {
        if (all[i].exact > all[i - 1].exact * (1 + 1e-9)) {
            cr_assert(ge(u32, all[i].score, all[i - 1].score));
            merged += all[i].score == all[i - 1].score;
            /* 5461 to the doubling. */
            cr_assert(all[i].score != all[i - 1].score || all[i].exact < all[i - 1].exact * 1.0002);
        }
    }
    cr_expect(lt(u32, merged, ALL_BITS / 20));
    cr_expect(gt(u32, all[0].score, 0));
    cr_expect(lt(u32, all[ALL_BITS - 1].score, UINT16_MAX));
}

Test(policy, reads_the_score_by_history_and_age)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    advance(25);
    for (uint32_t bits = 0; bits < ALL_BITS; bits++) {
        const uint32_t age = skv_policy_age(&policy, bits);
        const uint32_t index = (frequency_of(bits) * 8 + gap_of(bits)) * 32 + age;
        cr_assert(eq(u32, skv_policy_score(&policy, bits), policy.scores[index]));
    }
}

Test(policy, reads_the_frequency_halved_for_each_cache_full_as_lfu)
{
    skv_policy_init(&policy, SKV_POLICY_LFU, 1);
    advance(25);
    for (uint32_t bits = 0; bits < ALL_BITS; bits++) {
        const uint32_t same = bits & ~7u;
        cr_assert(eq(u32, skv_policy_score(&policy, bits), skv_policy_score(&policy, same)));
    }
    for (uint32_t f = 1; f < 16; f++) {
        cr_expect(gt(u32, skv_policy_score(&policy, bits_of(25, f, 0)),
                     skv_policy_score(&policy, bits_of(25, f - 1, 0))));
    }
    /* One use counts for two, three for four: so much as a cache-full, four ticks, takes. */
    const uint32_t old = skv_policy_score(&policy, bits_of(21, 3, 0));
    const uint32_t fresh = skv_policy_score(&policy, bits_of(25, 1, 0));
    cr_expect(le(u32, old > fresh ? old - fresh : fresh - old, 1));
    cr_expect(gt(u32, skv_policy_score(&policy, bits_of(22, 3, 0)), fresh));
    cr_expect(lt(u32, skv_policy_score(&policy, bits_of(20, 3, 0)), fresh));
}

Test(policy, reads_only_the_age_as_lru)
{
    skv_policy_init(&policy, SKV_POLICY_LRU, 1);
    for (uint32_t bits = 0; bits < ALL_BITS; bits++) {
        const uint32_t same = bits & ~0x7fu;
        cr_assert(eq(u32, skv_policy_score(&policy, bits), skv_policy_score(&policy, same)));
    }
    uint32_t last = UINT32_MAX;
    const uint32_t bits = skv_policy_new(&policy);
    for (uint32_t age = 0; age < SKV_POLICY_TICKS; age++) {
        cr_assert(lt(u32, skv_policy_score(&policy, bits), last));
        last = skv_policy_score(&policy, bits);
        advance(1);
    }
    cr_expect(lt(u32, skv_policy_score(&policy, 0), last));
}

/*
 * A cache of CAPACITY entries. Its victim is the lowest-scored of SAMPLE entries that a hand comes
 * to, by strides; the history of what is out of the cache is kept, as in the table.
 */
enum {
    KEYS = 4096,
    CAPACITY = 256,
    SAMPLE = 16,
    STRIDE = 37
};

struct cache {
    uint32_t bits[KEYS];
    bool known[KEYS];
    bool resident[KEYS];
    uint32_t places[CAPACITY]; /* keys */
    uint32_t count;
    uint32_t hand;
    uint32_t sweep;
};

static uint32_t make_room(struct cache *cache)
{
    if (cache->count < CAPACITY) {
        return cache->count++;
    }
    uint32_t victim = cache->hand;
    uint32_t lowest = UINT32_MAX;
    for (uint32_t i = 0; i < SAMPLE; i++) {
        const uint32_t score = skv_policy_score(&policy, cache->bits[cache->places[cache->hand]]);
        if (score < lowest) {
            lowest = score;
            victim = cache->hand;
        }
        cache->hand = (cache->hand + STRIDE) % CAPACITY;
    }
    cache->resident[cache->places[victim]] = false;
    return victim;
}

static bool access_key(struct cache *cache, uint32_t key)
{
    const bool hit = cache->resident[key];
    if (!hit) {
        const uint32_t place = make_room(cache);
        cache->places[place] = key;
        cache->resident[key] = true;
        skv_policy_miss(&policy, cache->count);
        /* All keys are swept once in two ticks. */
        for (uint32_t i = 0; i < 2 * KEYS / (CAPACITY / 4); i++) {
            cache->bits[cache->sweep] = skv_policy_expire(&policy, cache->bits[cache->sweep]);
            cache->sweep = (cache->sweep + 1) % KEYS;
        }
    }
    cache->bits[key] =
        cache->known[key] ? skv_policy_use(&policy, cache->bits[key]) : skv_policy_new(&policy);
    cache->known[key] = true;
    return hit;
}

/* Each octave of keys is as likely as any other: key k about 1 / (k + 1) as likely as key 0. */
static uint32_t skewed_key(struct skv_rng *rng)
{
    const uint32_t octave = (uint32_t)(skv_rng_next(rng) >> 32) % 12;
    return (1u << octave) - 1 + ((uint32_t)(skv_rng_next(rng) >> 32) & ((1u << octave) - 1));
}

enum trace {
    STEADY,
    SCANS,
    MOVING
};

static unsigned simulate(enum skv_policy_kind kind, enum trace trace)
{
    static struct cache cache;
    cache = (struct cache){0};
    skv_policy_init(&policy, kind, 77);
    struct skv_rng rng;
    skv_rng_init(&rng, 5);
    unsigned hits = 0;
    uint32_t scanned = 0;
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t key = skewed_key(&rng);
        if (trace == SCANS && i / 500 % 4 == 3) {
            key = scanned++ % KEYS;
        } else if (trace == MOVING) {
            key = (key + i / 10000 * 700) % KEYS;
        }
        hits += access_key(&cache, key);
    }
    return hits;
}

Test(policy, twice_the_frequency_scores_the_logarithm_of_two_more)
{
    static struct skv_learn learn;
    for (int learns = 0; learns < 2; learns++) {
        skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
        if (learns) {
            skv_policy_learn(&policy, &learn);
        }
        for (uint32_t age = 0; age < 12; age++) {
            const uint32_t once = skv_policy_new(&policy) | 2;
            const uint32_t more = skv_policy_score(&policy, once | 1u << 3);
            const int32_t gained = (int32_t)more - (int32_t)skv_policy_score(&policy, once);
            cr_expect(le(i32, abs(gained - skv_policy_log(&policy, 2)), 1), "%d, %u", learns, age);
            policy.now++;
        }
        cr_expect(gt(i32, skv_policy_log(&policy, 2), 1000));
    }
    skv_policy_init(&policy, SKV_POLICY_LRU, 1);
    cr_expect(zero(u32, policy.octave), "ages are no ratios");
}

Test(policy, gives_the_same_hits_on_every_machine)
{
    static const unsigned hits[3][3] = {
        /* STEADY, SCANS, MOVING */
        [SKV_POLICY_SLOT12] = {31706, 24036, 29512},
        [SKV_POLICY_LFU] = {31355, 23207, 28952},
        [SKV_POLICY_LRU] = {27087, 19436, 26886},
    };
    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned trace = 0; trace < 3; trace++) {
            cr_expect(eq(u32, simulate(kind, trace), hits[kind][trace]), "%u, %u", kind, trace);
        }
    }
}

Test(policy, keeps_what_was_used_through_a_scan)
{
    static struct cache cache;
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    for (unsigned round = 0; round < 8; round++) {
        for (uint32_t key = 0; key < CAPACITY / 2; key++) {
            (void)access_key(&cache, key);
        }
    }
    for (uint32_t key = CAPACITY; key < 5 * CAPACITY; key++) {
        (void)access_key(&cache, key);
    }
    unsigned kept = 0;
    for (uint32_t key = 0; key < CAPACITY / 2; key++) {
        kept += cache.resident[key];
    }
    cr_expect(eq(u32, kept, CAPACITY / 2));
}
