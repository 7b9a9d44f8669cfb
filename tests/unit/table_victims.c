/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/rng.h"
#include "table/victims.h"

static struct skv_victims victims;

struct entry {
    uint32_t score;
    uint32_t size;
};

static void add_all(const struct entry *entries, uint32_t count, bool unused)
{
    skv_victims_init(&victims);
    for (uint32_t i = 0; i < count; i++) {
        skv_victims_add(&victims, entries[i].score, entries[i].size, unused);
    }
}

static uint32_t count_taken(const struct entry *entries, uint32_t count)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        taken += skv_victims_take(&victims, entries[i].score, entries[i].size);
    }
    return taken;
}

static void fill(struct entry *entries, uint32_t count, uint32_t step)
{
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct entry){.score = (i * 7919 % count) * step, .size = 1};
    }
}

Test(victims, shares_a_batch_by_what_is_in_the_logs)
{
    cr_expect(eq(u64, skv_victims_survivors(256, 0, 0), 0));
    cr_expect(eq(u64, skv_victims_survivors(256, 1000, 0), 0));
    cr_expect(eq(u64, skv_victims_survivors(256, 0, 1000), 256));
    /* Newcomers count three times. */
    cr_expect(eq(u64, skv_victims_survivors(256, 1000, 1000), 64));
    cr_expect(eq(u64, skv_victims_survivors(256, 1000, 3000), 128));
}

Test(victims, takes_exactly_the_lowest_part)
{
    static struct entry entries[500];
    fill(entries, 500, 131);
    add_all(entries, 500, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    const uint32_t wanted = 500 * SKV_VICTIMS_PERCENT / 100 + 1;
    for (uint32_t i = 0; i < 500; i++) {
        const bool is_low = entries[i].score < wanted * 131;
        cr_assert(eq(int, skv_victims_take(&victims, entries[i].score, 1), is_low), "%u", i);
    }
}

Test(victims, tells_scores_apart_to_the_last_bit)
{
    static struct entry entries[100];
    fill(entries, 100, 1);
    add_all(entries, 100, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    for (uint32_t i = 0; i < 100; i++) {
        const bool is_low = entries[i].score < SKV_VICTIMS_PERCENT + 1;
        cr_assert(eq(int, skv_victims_take(&victims, entries[i].score, 1), is_low), "%u", i);
    }
}

Test(victims, takes_the_first_of_equals)
{
    static struct entry entries[200];
    for (uint32_t i = 0; i < 200; i++) {
        entries[i] = (struct entry){.score = UINT16_MAX, .size = 1};
    }
    add_all(entries, 200, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    const uint32_t wanted = 200 * SKV_VICTIMS_PERCENT / 100 + 1;
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert(eq(int, skv_victims_take(&victims, UINT16_MAX, 1), i < wanted), "%u", i);
    }
}

Test(victims, weighs_by_size)
{
    const struct entry entries[] = {{10, 100}, {1, 3}, {20, 1000}, {2, 4}, {30, 5}};
    add_all(entries, 5, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    /* 15 % of 1112 is 166: the two small ones, the one of 100, and the next, as that is short. */
    cr_expect(skv_victims_take(&victims, 10, 100));
    cr_expect(skv_victims_take(&victims, 1, 3));
    cr_expect(skv_victims_take(&victims, 20, 1000));
    cr_expect(skv_victims_take(&victims, 2, 4));
    cr_expect_not(skv_victims_take(&victims, 30, 5));
}

Test(victims, takes_something_of_any_batch)
{
    struct skv_rng rng;
    skv_rng_init(&rng, 3);
    for (uint32_t count = 1; count <= SKV_VICTIMS_MAX; count++) {
        static struct entry entries[SKV_VICTIMS_MAX];
        for (uint32_t i = 0; i < count; i++) {
            entries[i].score = (uint32_t)(skv_rng_next(&rng) >> 48);
            entries[i].size = 1 + (uint32_t)(skv_rng_next(&rng) >> 44);
        }
        add_all(entries, count, false);
        (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
        cr_assert(ge(u32, count_taken(entries, count), 1));
    }
}

Test(victims, takes_all_of_a_load)
{
    static struct entry entries[300];
    fill(entries, 300, 100);
    add_all(entries, 300, true);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    cr_expect(eq(u32, count_taken(entries, 300), 300));
    skv_victims_add(&victims, 40000, 1, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    cr_expect(lt(u32, count_taken(entries, 300), 60));
    /* Few entries are no load. */
    add_all(entries, SKV_VICTIMS_LOAD_LEAST - 1, true);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    cr_expect(lt(u32, count_taken(entries, SKV_VICTIMS_LOAD_LEAST - 1), 10));
}

Test(victims, takes_all_or_none_if_told_so)
{
    static struct entry entries[100];
    fill(entries, 100, 655);
    entries[0].score = UINT16_MAX;
    add_all(entries, 100, false);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_ALL, SKV_VICTIMS_PERCENT);
    cr_expect(eq(u32, count_taken(entries, 100), 100));
    add_all(entries, 100, true);
    (void)skv_victims_choose(&victims, SKV_VICTIMS_NONE, SKV_VICTIMS_PERCENT);
    cr_expect(eq(u32, count_taken(entries, 100), 0));
}
