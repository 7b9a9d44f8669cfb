/* SPDX-License-Identifier: MIT */
/* What is said of other sizes is what stores of those sizes do. */
#include <string.h>

#include "support/kv.h"

/* Values of 1 KB: slots are a small part of max_mem. */
#define VALUE    ((size_t)1000)
#define KEYS     8000u
#define REQUESTS 120000u
/* In points; what part of a loop stays in RAM is a matter of how it is chosen in detail. */
#define GOAL      3.0
#define LOOP_GOAL 12.0

static struct kv_test test;

TestSuite(advise, .timeout = 60);

typedef uint32_t next_key(uint64_t *state, uint32_t request);

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((*state >> 33) * bound >> 31);
}

static uint32_t next_uniform(uint64_t *state, uint32_t request)
{
    (void)request;
    return random_below(state, KEYS);
}

/* Each octave of ranks is as likely as any other. */
static uint32_t next_zipf(uint64_t *state, uint32_t request)
{
    (void)request;
    uint32_t rank = KEYS;
    while (rank >= KEYS) {
        const uint32_t first = (1u << random_below(state, 13)) - 1;
        rank = first + random_below(state, first + 1);
    }
    return rank;
}

static uint32_t next_in_loop(uint64_t *state, uint32_t request)
{
    (void)state;
    return request % KEYS;
}

static spillkv_advice read_advice(spillkv *kv)
{
    spillkv_advice advice;
    memset(&advice, 1, sizeof(advice));
    KV_OK(spillkv_advise(kv, &advice));
    return advice;
}

/* Gets, and sets what is not there. */
static void run(spillkv *kv, next_key *next, uint32_t requests)
{
    uint64_t state = 1;
    for (uint32_t i = 0; i < requests; i++) {
        const uint32_t number = next(&state, i);
        const int got = kv_get(kv, number, 0, VALUE);
        if (got == SPILLKV_NOT_FOUND) {
            KV_OK(kv_set(kv, number, 0, VALUE));
        } else {
            cr_assert_eq(got, SPILLKV_OK);
        }
    }
}

static spillkv_advice run_with(uint64_t max_mem, next_key *next)
{
    kv_options(&test);
    test.options.max_mem = max_mem;
    kv_open(&test);
    run(test.kv, next, REQUESTS);
    const spillkv_advice advice = read_advice(test.kv);
    kv_close(&test);
    return advice;
}

static double percent(uint64_t hits, const spillkv_advice *advice)
{
    return 100 * (double)hits / (double)advice->gets;
}

static void expect_near(double estimate, double real, double goal)
{
    cr_expect(estimate > real - goal && estimate < real + goal, "%.2f instead of %.2f", estimate,
              real);
}

static void expect_true_advice(next_key *next, double goal)
{
    const uint64_t max_mem = (uint64_t)4 << 20;
    const spillkv_advice advice = run_with(max_mem, next);
    const spillkv_advice half = run_with(max_mem / 2, next);
    const spillkv_advice twice = run_with(max_mem * 2, next);
    const spillkv_advice four = run_with(max_mem * 4, next);
    cr_expect_eq(advice.gets, four.gets);
    cr_expect_gt(advice.samples, 5000);
    expect_near(percent(advice.hits_half, &advice), percent(half.hits, &half), goal);
    expect_near(percent(advice.hits_twice, &advice), percent(twice.hits, &twice), goal);
    expect_near(percent(advice.hits_four, &advice), percent(four.hits, &four), goal);
}

Test(advise, of_uniform_gets_is_true)
{
    expect_true_advice(next_uniform, GOAL);
}

Test(advise, of_gets_by_a_zipf_law_is_true)
{
    expect_true_advice(next_zipf, GOAL);
}

Test(advise, of_a_loop_is_near_the_truth)
{
    expect_true_advice(next_in_loop, LOOP_GOAL);
}

Test(advise, counts_what_the_counters_count)
{
    kv_options(&test);
    test.options.max_mem = (uint64_t)4 << 20;
    kv_open(&test);
    run(test.kv, next_zipf, 20000);
    const spillkv_advice advice = read_advice(test.kv);
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(advice.max_mem, (uint64_t)4 << 20);
    cr_expect_eq(advice.hits, total.hits);
    cr_expect_eq(advice.gets, total.hits + total.spilled_reads);
    cr_expect_leq(advice.hits_half, advice.hits);
    cr_expect_geq(advice.hits_twice, advice.hits);
    cr_expect_geq(advice.hits_four, advice.hits_twice);
    cr_expect_leq(advice.hits_four, advice.gets);
    cr_expect_gt(advice.sampled_keys, 0);
    for (size_t i = 0; i < sizeof(advice.reserved) / sizeof(advice.reserved[0]); i++) {
        cr_expect_eq(advice.reserved[i], 0);
    }
    kv_close(&test);
}

Test(advise, says_that_more_is_in_vain_when_all_fits)
{
    kv_options(&test);
    test.options.max_mem = (uint64_t)16 << 20;
    kv_open(&test);
    for (int round = 0; round < 3; round++) {
        run(test.kv, next_uniform, 3000);
    }
    const spillkv_advice advice = read_advice(test.kv);
    cr_expect_gt(advice.samples, 3000);
    cr_expect_eq(advice.hits, advice.gets);
    cr_expect_eq(advice.hits_half, advice.gets);
    cr_expect_eq(advice.hits_four, advice.gets);
    kv_close(&test);
}

Test(advise, of_a_cache_that_drops_counts_all_gets)
{
    kv_open_memory(&test, (uint64_t)4 << 20, SPILLKV_FULL_DROP);
    run(test.kv, next_zipf, REQUESTS);
    const spillkv_advice advice = read_advice(test.kv);
    kv_close(&test);
    kv_open_memory(&test, (uint64_t)8 << 20, SPILLKV_FULL_DROP);
    run(test.kv, next_zipf, REQUESTS);
    const spillkv_advice twice = read_advice(test.kv);
    kv_close(&test);
    cr_expect_eq(advice.gets, REQUESTS);
    expect_near(percent(advice.hits_twice, &advice), percent(twice.hits, &twice), GOAL);
}

Test(advise, goes_on_after_everything_was_deleted)
{
    kv_options(&test);
    test.options.max_mem = (uint64_t)4 << 20;
    kv_open(&test);
    run(test.kv, next_zipf, 30000);
    const spillkv_advice before = read_advice(test.kv);
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(read_advice(test.kv).sampled_keys, 0);
    cr_expect_eq(read_advice(test.kv).samples, before.samples);
    run(test.kv, next_zipf, 30000);
    cr_expect_gt(read_advice(test.kv).samples, before.samples);
    cr_expect_gt(read_advice(test.kv).sampled_keys, 0);
    kv_close(&test);
}

Test(advise, follows_max_mem)
{
    kv_options(&test);
    test.options.max_mem = (uint64_t)4 << 20;
    kv_open(&test);
    run(test.kv, next_uniform, REQUESTS);
    const spillkv_advice before = read_advice(test.kv);
    KV_OK(spillkv_set_max_mem(test.kv, (uint64_t)8 << 20));
    run(test.kv, next_uniform, REQUESTS);
    const spillkv_advice after = read_advice(test.kv);
    kv_close(&test);
    /* What is said of the second half of the time is near to what was seen in the first. */
    cr_expect_eq(after.max_mem, (uint64_t)8 << 20);
    const double half =
        100 * (double)(after.hits_half - before.hits_half) / (double)(after.gets - before.gets);
    expect_near(half, percent(before.hits, &before), GOAL);
}

Test(advise, knows_nothing_where_nothing_leaves)
{
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
    run(test.kv, next_zipf, 1000);
    const spillkv_advice advice = read_advice(test.kv);
    cr_expect_eq(advice.samples, 0);
    cr_expect_eq(advice.max_mem, 0);
    cr_expect_eq(advice.hits_half, advice.hits);
    cr_expect_eq(advice.hits_four, advice.hits);
    kv_close(&test);
}

Test(advise, refuses_what_is_no_store)
{
    spillkv_advice advice;
    memset(&advice, 1, sizeof(advice));
    cr_expect_eq(spillkv_advise(NULL, &advice), SPILLKV_EINVAL);
    cr_expect_eq(advice.gets, 0);
    kv_open_tiny(&test);
    cr_expect_eq(spillkv_advise(test.kv, NULL), SPILLKV_EINVAL);
    kv_close(&test);
}
