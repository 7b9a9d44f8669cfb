/* SPDX-License-Identifier: MIT */
/* What spillkv_open() accepts and makes of it. */
#include <stdlib.h>
#include <string.h>

#include "support/kv.h"

static struct kv_test test;

static void prepare(void)
{
    kv_options(&test);
}

static void clean_up(void)
{
    kv_remove(&test);
}

TestSuite(options, .init = prepare, .fini = clean_up, .timeout = 60);

static void expect_refused(void)
{
    spillkv *kv = (spillkv *)&test;
    cr_expect_eq(spillkv_open(&test.options, &kv), SPILLKV_EINVAL);
    cr_expect_null(kv);
}

/** Opens and closes; returns the number of shards. */
static uint32_t shards_of(uint32_t wanted)
{
    test.options.shards = wanted;
    kv_open(&test);
    const uint32_t shards = kv_stats(test.kv).shards;
    KV_OK(spillkv_close(test.kv));
    return shards;
}

Test(options, init_fills_in_the_defaults)
{
    spillkv_options zero;
    spillkv_options options;
    memset(&zero, 0, sizeof(zero));
    memset(&options, 1, sizeof(options));
    spillkv_options_init(&options);
    cr_expect_eq(memcmp(&options, &zero, sizeof(zero)), 0);
}

Test(options, are_borrowed_for_the_call_only)
{
    kv_open(&test);
    memset(&test.options, 0xff, sizeof(test.options));
    memset(test.path, 'x', sizeof(test.path));
    kv_fill(test.kv, 0, 6000);
    kv_expect_filled(test.kv, 0, 6000);
    KV_OK(spillkv_close(test.kv));
}

Test(options, shards_are_rounded_up_to_a_power_of_two)
{
    static const uint32_t wanted[] = {1, 2, 3, 5, 8, 9, 100, 255, 256};
    static const uint32_t given[] = {1, 2, 4, 8, 8, 16, 128, 256, 256};
    test.options.path = NULL;
    test.options.max_mem = 0;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        cr_expect_eq(shards_of(wanted[i]), given[i]);
    }
}

Test(options, shards_are_chosen_when_not_given)
{
    test.options.max_mem = (uint64_t)1 << 30;
    const uint32_t shards = shards_of(0);
    cr_expect(shards >= 1 && shards <= SPILLKV_SHARDS_MAX && (shards & (shards - 1)) == 0);
    test.options.max_mem = (uint64_t)8 << 20;
    cr_expect_leq(shards_of(0), shards);
}

Test(options, too_many_shards_are_refused)
{
    test.options.max_mem = 0;
    test.options.shards = SPILLKV_SHARDS_MAX + 1;
    expect_refused();
    test.options.shards = UINT32_MAX;
    expect_refused();
}

Test(options, reserved_fields_must_be_0)
{
    for (int i = 0; i < 8; i++) {
        test.options.reserved[i] = 1;
        expect_refused();
        test.options.reserved[i] = 0;
    }
}

Test(options, on_full_must_be_one_of_its_values)
{
    test.options.on_full = (spillkv_on_full)2;
    expect_refused();
    test.options.on_full = (spillkv_on_full)-1;
    expect_refused();
}

Test(options, policy_must_be_one_of_its_values)
{
    test.options.policy = (spillkv_policy)4;
    expect_refused();
    test.options.policy = (spillkv_policy)-1;
    expect_refused();
}

Test(options, an_empty_path_is_refused)
{
    test.options.path = "";
    expect_refused();
}

Test(options, too_many_spillers_are_refused)
{
    test.options.spillers = 1000000;
    expect_refused();
}

Test(options, several_spillers_work)
{
    test.options.spillers = 4;
    test.options.shards = 4;
    test.options.max_mem = 4 * KV_TINY;
    kv_open(&test);
    cr_expect_eq(kv_stats(test.kv).spillers, 4);
    kv_fill(test.kv, 0, KV_MANY);
    kv_expect_filled(test.kv, 0, KV_MANY);
    KV_OK(spillkv_close(test.kv));
}

Test(options, an_unknown_vfs_is_refused)
{
    spillkv *kv = (spillkv *)&test;
    test.options.sqlite_vfs = "no such vfs";
    cr_expect_lt(spillkv_open(&test.options, &kv), 0);
    cr_expect_null(kv);
}

static spillkv_status open_with(uint64_t max_mem, uint32_t shards)
{
    spillkv *kv;
    test.options.max_mem = max_mem;
    test.options.shards = shards;
    const spillkv_status status = spillkv_open(&test.options, &kv);
    if (status == SPILLKV_OK) {
        KV_OK(spillkv_close(kv));
    }
    return status;
}

Test(options, max_mem_too_small_for_the_shards_is_refused)
{
    cr_expect_eq(open_with(1, 1), SPILLKV_EINVAL);
    cr_expect_eq(open_with(65536, 1), SPILLKV_EINVAL);
    cr_expect_eq(open_with(KV_TINY, 1), SPILLKV_OK);
    cr_expect_eq(open_with(KV_TINY, 256), SPILLKV_EINVAL);
}

/** The least budget that opens with so many shards, to 4 KiB. */
static uint64_t least_mem(uint32_t shards)
{
    uint64_t low = 0;
    uint64_t high = KV_TINY * shards;
    cr_assert_eq(open_with(high, shards), SPILLKV_OK);
    while (high - low > 4096) {
        const uint64_t middle = low + (high - low) / 2;
        const spillkv_status status = open_with(middle, shards);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EINVAL, "%s", spillkv_strerror(status));
        *(status == SPILLKV_OK ? &high : &low) = middle;
    }
    return high;
}

/** So many keys' slots fit beside the rest under the least budget. */
#define LEAST_KEYS 1500u

/** Works a store hard that has the least budget there is. */
static void work_with_least(uint32_t shards)
{
    test.options.max_mem = least_mem(shards);
    test.options.shards = shards;
    kv_open(&test);
    const uint64_t max_mem = test.options.max_mem;
    for (uint32_t i = 0; i < LEAST_KEYS; i++) {
        cr_assert_eq(kv_set(test.kv, i, 0, i % 2000), SPILLKV_OK, "key %u of %lu bytes", i,
                     (unsigned long)max_mem);
    }
    for (uint32_t i = 0; i < LEAST_KEYS; i++) {
        cr_assert_eq(kv_get(test.kv, i, 0, i % 2000), SPILLKV_OK, "key %u", i);
    }
    for (uint32_t i = 0; i < LEAST_KEYS; i++) {
        cr_assert_eq(kv_set(test.kv, i, 1, (i * 7) % 2000), SPILLKV_OK, "key %u", i);
    }
    for (uint32_t i = 0; i < LEAST_KEYS; i++) {
        cr_assert_eq(kv_get(test.kv, i, 1, (i * 7) % 2000), SPILLKV_OK, "key %u", i);
    }
    kv_expect_consistent(test.kv);
    KV_OK(spillkv_close(test.kv));
}

Test(options, the_least_budget_that_opens_is_enough_to_work)
{
    work_with_least(1);
}

Test(options, the_least_budget_of_many_shards_is_enough_to_work)
{
    work_with_least(16);
}

Test(options, every_number_of_shards_works)
{
    for (uint32_t shards = 1; shards <= SPILLKV_SHARDS_MAX; shards *= 4) {
        test.options.shards = shards;
        test.options.max_mem = shards < 4 ? KV_TINY * 2 : (uint64_t)shards << 20;
        kv_open(&test);
        cr_expect_eq(kv_stats(test.kv).shards, shards);
        kv_fill(test.kv, 0, KV_MANY);
        kv_expect_filled(test.kv, 0, KV_MANY);
        cr_expect_eq(kv_count(test.kv), KV_MANY);
        KV_OK(spillkv_close(test.kv));
    }
}

/** The number of entries in each of 16 shards. */
static void distribution(uint64_t seed, uint64_t *counts)
{
    spillkv_counters counters;
    test.options.path = NULL;
    test.options.max_mem = 0;
    test.options.shards = 16;
    test.options.hash_seed = seed;
    kv_open(&test);
    kv_fill(test.kv, 0, 4000);
    for (uint32_t i = 0; i < 16; i++) {
        KV_OK(spillkv_shard_stats(test.kv, i, &counters));
        counts[i] = counters.entries_ram;
    }
    KV_OK(spillkv_close(test.kv));
}

Test(options, a_hash_seed_makes_placement_reproducible)
{
    uint64_t first[16];
    uint64_t second[16];
    distribution(42, first);
    distribution(42, second);
    cr_expect_eq(memcmp(first, second, sizeof(first)), 0);
    distribution(43, second);
    cr_expect_neq(memcmp(first, second, sizeof(first)), 0);
}

Test(options, without_a_seed_placement_is_random)
{
    uint64_t first[16];
    uint64_t second[16];
    distribution(0, first);
    distribution(0, second);
    cr_expect_neq(memcmp(first, second, sizeof(first)), 0);
}

Test(options, keys_are_spread_over_the_shards)
{
    uint64_t counts[16];
    distribution(7, counts);
    for (int i = 0; i < 16; i++) {
        cr_expect(counts[i] > 150 && counts[i] < 350, "%lu of 250", (unsigned long)counts[i]);
    }
}

static void note_message(void *context, spillkv_log_level level, const char *message)
{
    cr_expect(level >= SPILLKV_LOG_ERROR && level <= SPILLKV_LOG_INFO);
    cr_expect_gt(strlen(message), 0);
    cr_expect_null(strchr(message, '\n'));
    ++*(int *)context;
}

Test(options, a_refused_path_is_explained_to_the_log)
{
    int messages = 0;
    test.options.log = note_message;
    test.options.log_context = &messages;
    test.options.path = "/no/such/parent";
    expect_refused();
    cr_expect_eq(messages, 1);
}
