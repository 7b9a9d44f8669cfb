/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/rng.h"
#include "table/sample.h"

#define KEYS 100000u

static struct skv_sample sample;
static uint64_t hashes[KEYS];

static void set_up(void)
{
    struct skv_rng rng;
    skv_rng_init(&rng, 3);
    skv_sample_init(&sample);
    for (uint32_t i = 0; i < KEYS; i++) {
        hashes[i] = skv_rng_next(&rng);
        skv_sample_add(&sample, hashes[i]);
    }
}

TestSuite(sample, .init = set_up);

static uint32_t count_sampled(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        count += skv_sample_has(&sample, hashes[i]);
    }
    return count;
}

Test(sample, has_all_keys_at_first)
{
    cr_expect(eq(u32, count_sampled(), KEYS));
    cr_expect(skv_sample_has(&sample, UINT64_MAX));
    skv_sample_compare(&sample, KEYS);
    cr_expect(eq(dbl, sample.part, 1));
}

Test(sample, knows_how_many_keys_are_left_when_the_threshold_falls)
{
    while (sample.keys > 200) {
        const uint64_t before = sample.threshold;
        skv_sample_lower(&sample);
        cr_assert(eq(u64, sample.keys, count_sampled()));
        cr_assert(le(u64, sample.threshold, before - before / 33));
        cr_assert(ge(u64, sample.threshold, before - before / 16));
        skv_sample_compare(&sample, KEYS);
        cr_assert(eq(dbl, sample.part, (double)sample.keys / KEYS));
    }
    /* By the threshold alone it would be known about. */
    const double part = (double)sample.threshold / (double)SKV_SAMPLE_ALL;
    cr_expect(gt(dbl, sample.part, part / 1.5));
    cr_expect(lt(dbl, sample.part, part * 1.5));
}

Test(sample, counts_what_is_deleted)
{
    for (uint32_t i = 0; i < KEYS / 2; i++) {
        skv_sample_remove(&sample, hashes[i]);
    }
    skv_sample_compare(&sample, KEYS / 2);
    cr_expect(eq(u64, sample.keys, KEYS / 2));
    cr_expect(eq(dbl, sample.part, 1));
    skv_sample_clear(&sample);
    cr_expect(eq(u64, sample.keys, 0));
    skv_sample_remove(&sample, hashes[0]);
    cr_expect(eq(u64, sample.keys, 0));
}

Test(sample, goes_by_the_threshold_when_keys_are_not_counted)
{
    for (int i = 0; i < 64; i++) {
        skv_sample_lower(&sample);
    }
    const double part = (double)sample.threshold / (double)SKV_SAMPLE_ALL;
    skv_sample_compare(&sample, 0);
    cr_expect(eq(dbl, sample.part, part));
    skv_sample_raise(&sample, 4);
    cr_expect(eq(dbl, sample.part, 4 * part));
    skv_sample_add(&sample, 1);
    skv_sample_compare(&sample, KEYS);
    cr_expect(eq(dbl, sample.part, 4 * part));
    skv_sample_raise(&sample, 1000000);
    cr_expect(eq(u64, sample.threshold, SKV_SAMPLE_ALL));
}
