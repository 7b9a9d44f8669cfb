/* SPDX-License-Identifier: MIT */
/* Capacities are in entries of 8 bytes, one unit each. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "table/advise.h"

#define RECORDS 1024u
#define MOST    (RECORDS / 8 * 7)

static struct skv_policy policy;
static struct skv_advise advise;

static void set_up(void)
{
    skv_policy_init(&policy, SKV_POLICY_SLOT12, 1);
    cr_assert(skv_advise_init(&advise, RECORDS, false, 1));
}

static void tear_down(void)
{
    (void)skv_advise_check(&advise);
    skv_advise_fini(&advise);
}

TestSuite(advise, .init = set_up, .fini = tear_down);

static void set_capacity(uint64_t entries)
{
    const uint64_t bytes = entries * 8;
    const uint64_t all[SKV_ADVISE_SIZES] = {bytes / 2, bytes, 2 * bytes, 4 * bytes};
    skv_advise_set_capacities(&advise, all);
}

/* Hashes spread over the whole range, so that a part of the keys is a part of them. */
static uint64_t hash_of(uint64_t number)
{
    struct skv_rng rng;
    skv_rng_init(&rng, number + 1);
    (void)skv_rng_next(&rng);
    return skv_rng_next(&rng);
}

typedef void tell(struct skv_advise *advise, const struct skv_advise_key *key);

static void tell_of(tell *what, uint64_t number, size_t bytes)
{
    const struct skv_advise_key key = {.hash = hash_of(number),
                                       .bytes = bytes,
                                       .policy = &policy,
                                       .bits = skv_policy_new(&policy)};
    if (skv_advise_samples(&advise, key.hash)) {
        what(&advise, &key);
    }
}

static void tell_all(tell *what, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        tell_of(what, i, 8);
    }
}

static void expect_residents(uint32_t half, uint32_t one, uint32_t twice, uint32_t four)
{
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_HALF].residents, half));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_ONE].residents, one));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_TWICE].residents, twice));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_FOUR].residents, four));
}

static double misses(enum skv_advise_size size)
{
    return advise.rams[size].misses;
}

Test(advise, keeps_at_each_size_what_fits)
{
    set_capacity(80);
    tell_all(skv_advise_insert, 0, 40);
    expect_residents(40, 40, 40, 40);
    tell_all(skv_advise_insert, 40, 80);
    cr_expect(le(u32, advise.rams[SKV_ADVISE_HALF].residents, 40));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_ONE].residents, 80));
    tell_all(skv_advise_insert, 80, 320);
    cr_expect(le(u32, advise.rams[SKV_ADVISE_ONE].residents, 80));
    cr_expect(le(u32, advise.rams[SKV_ADVISE_TWICE].residents, 160));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_FOUR].residents, 320));
    cr_expect(eq(u64, advise.samples, 0));
}

Test(advise, counts_gets_of_what_is_not_in_ram_as_misses)
{
    set_capacity(100);
    tell_all(skv_advise_insert, 0, 100);
    const uint32_t half = advise.rams[SKV_ADVISE_HALF].residents;
    tell_all(skv_advise_get, 0, 1);
    cr_expect(eq(u64, advise.samples, 1));
    cr_expect(eq(dbl, misses(SKV_ADVISE_ONE), 0));
    /* All once: those that half the memory had let go, and those that go for them. */
    tell_all(skv_advise_get, 1, 100);
    cr_expect(ge(dbl, misses(SKV_ADVISE_HALF), 100 - half));
    cr_expect(eq(dbl, misses(SKV_ADVISE_ONE), 0));
    cr_expect(eq(dbl, misses(SKV_ADVISE_TWICE), 0));
    cr_expect(eq(dbl, misses(SKV_ADVISE_FOUR), 0));
}

Test(advise, expects_the_misses_that_a_larger_size_leaves)
{
    const double simulated[SKV_ADVISE_SIZES] = {500, 400, 100, 0};
    double expected[SKV_ADVISE_SIZES];
    skv_advise_expect(simulated, 10000, 9200, expected);
    cr_expect(eq(dbl, expected[SKV_ADVISE_HALF], 9100));
    cr_expect(eq(dbl, expected[SKV_ADVISE_ONE], 9200));
    cr_expect(eq(dbl, expected[SKV_ADVISE_TWICE], 9800));
    cr_expect(eq(dbl, expected[SKV_ADVISE_FOUR], 10000));
}

Test(advise, never_expects_less_of_more_memory)
{
    const double simulated[SKV_ADVISE_SIZES] = {300, 400, 100, 200};
    const double nothing[SKV_ADVISE_SIZES] = {0};
    double expected[SKV_ADVISE_SIZES];
    skv_advise_expect(simulated, 1000, 600, expected);
    cr_expect(eq(dbl, expected[SKV_ADVISE_HALF], 600));
    cr_expect(eq(dbl, expected[SKV_ADVISE_TWICE], 900));
    cr_expect(eq(dbl, expected[SKV_ADVISE_FOUR], 900));
    skv_advise_expect(nothing, 1000, 600, expected);
    cr_expect(eq(dbl, expected[SKV_ADVISE_HALF], 600));
    cr_expect(eq(dbl, expected[SKV_ADVISE_FOUR], 600));
}

Test(advise, samples_fewer_keys_when_there_are_many)
{
    set_capacity(100000);
    tell_all(skv_advise_insert, 0, 100000);
    cr_expect(le(u32, advise.count, MOST));
    cr_expect(ge(u32, advise.count, MOST / 2));
    const double part = advise.sample.part;
    cr_expect(gt(dbl, part, 0.005));
    cr_expect(lt(dbl, part, 0.009));
    /* Each one stands for more than a hundred. */
    const uint32_t residents = advise.rams[SKV_ADVISE_FOUR].residents;
    cr_expect(gt(dbl, residents / part, 80000));
    cr_expect(lt(dbl, residents / part, 120000));
}

Test(advise, samples_more_keys_when_few_are_left)
{
    set_capacity(20000);
    tell_all(skv_advise_insert, 0, 100000);
    const uint64_t before = advise.sample.threshold;
    set_capacity(200);
    tell_all(skv_advise_insert, 100000, 101000);
    tell_all(skv_advise_insert, 0, 2000);
    cr_expect(gt(u64, advise.sample.threshold, 8 * before));
    cr_expect(gt(u32, advise.rams[SKV_ADVISE_FOUR].residents, 100));
}

Test(advise, does_not_count_gets_of_keys_it_cannot_know)
{
    set_capacity(100);
    tell_all(skv_advise_get, 0, 10);
    cr_expect(eq(u64, advise.samples, 0));
    tell_all(skv_advise_get, 0, 10);
    cr_expect(eq(u64, advise.samples, 10));
    /* Once four times the memory is full, what is not known was not in RAM. */
    tell_all(skv_advise_insert, 1000, 1800);
    tell_all(skv_advise_get, 5000, 5010);
    cr_expect(eq(u64, advise.samples, 20));
    cr_expect(eq(dbl, misses(SKV_ADVISE_FOUR), 10));
}

Test(advise, counts_bytes_and_not_entries)
{
    set_capacity(80);
    for (uint64_t i = 0; i < 40; i++) {
        tell_of(skv_advise_insert, i, 16);
    }
    cr_expect(eq(u64, advise.rams[SKV_ADVISE_ONE].used, 80));
    cr_expect(le(u64, advise.rams[SKV_ADVISE_HALF].used, 40));
    tell_of(skv_advise_overwrite, 39, 80);
    cr_expect(eq(u64, advise.rams[SKV_ADVISE_ONE].used, 88));
    tell_of(skv_advise_insert, 40, 8);
    cr_expect(le(u64, advise.rams[SKV_ADVISE_ONE].used, 80));
}

Test(advise, leaves_out_what_takes_too_much_of_a_size)
{
    set_capacity(80);
    tell_all(skv_advise_insert, 0, 20);
    tell_of(skv_advise_insert, 20, 8 * 21);
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_ONE].residents, 20));
    cr_expect(eq(u32, advise.rams[SKV_ADVISE_TWICE].residents, 21));
}

Test(advise, forgets_what_is_deleted)
{
    set_capacity(100);
    tell_all(skv_advise_insert, 0, 10);
    for (uint64_t i = 0; i < 5; i++) {
        skv_advise_del(&advise, hash_of(i));
    }
    skv_advise_del(&advise, hash_of(77));
    cr_expect(eq(u32, advise.count, 5));
    expect_residents(5, 5, 5, 5);
    tell_all(skv_advise_get, 5, 10);
    skv_advise_clear(&advise);
    cr_expect(eq(u32, advise.count, 0));
    expect_residents(0, 0, 0, 0);
    cr_expect(eq(u64, advise.samples, 5));
}

Test(advise, knows_what_a_larger_cache_would_not_have_dropped)
{
    set_capacity(100);
    tell_all(skv_advise_insert, 0, 100);
    tell_all(skv_advise_insert, 100, 400);
    const uint32_t residents = advise.rams[SKV_ADVISE_ONE].residents;
    for (uint64_t i = 0; i < 400; i++) {
        skv_advise_missed(&advise, hash_of(i));
    }
    skv_advise_missed(&advise, hash_of(9999));
    cr_expect(eq(u64, advise.samples, 401));
    cr_expect(eq(dbl, misses(SKV_ADVISE_FOUR), 1));
    cr_expect(eq(dbl, misses(SKV_ADVISE_ONE), 401 - residents));
}

Test(advise, keeps_no_more_than_capacity_whatever_comes)
{
    struct skv_rng rng;
    skv_rng_init(&rng, 5);
    set_capacity(4000);
    for (uint32_t i = 0; i < 200000; i++) {
        const uint64_t number = (skv_rng_next(&rng) >> 33) % 20000;
        const uint32_t what = (uint32_t)(skv_rng_next(&rng) >> 33) % 16;
        if (what == 0 && skv_advise_samples(&advise, hash_of(number))) {
            skv_advise_del(&advise, hash_of(number));
        } else {
            tell_of(what < 8 ? skv_advise_get : skv_advise_overwrite, number, 8 + number % 7 * 8);
        }
        if (i % 5000 == 0) {
            (void)skv_advise_check(&advise);
        }
    }
    const double part = advise.sample.part;
    cr_expect(le(dbl, advise.rams[SKV_ADVISE_ONE].used, 4000 * part + 1));
    cr_expect(ge(dbl, misses(SKV_ADVISE_HALF), misses(SKV_ADVISE_ONE)));
    cr_expect(ge(dbl, misses(SKV_ADVISE_ONE), misses(SKV_ADVISE_TWICE)));
}

static bool refuse(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
    return false;
}

Test(advise, samples_nothing_without_memory, .init = NULL, .fini = NULL)
{
    static struct skv_advise failed;
    skv_alloc_set_hook(refuse, NULL);
    const bool done = skv_advise_init(&failed, RECORDS, true, 1);
    skv_alloc_set_hook(NULL, NULL);
    cr_expect(not(done));
    cr_expect(not(skv_advise_samples(&failed, 0)));
    skv_advise_clear(&failed);
    cr_expect(skv_advise_check(&failed));
    skv_advise_fini(&failed);
}
