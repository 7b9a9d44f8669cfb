/* SPDX-License-Identifier: MIT */
/* What the process has in RAM, as the system counts it, against max_mem. */
#include <stdio.h>

#include "support/kv.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct kv_test test;

TestSuite(memory, .timeout = 120);

static void open_with(bool spills, uint64_t max_mem, uint32_t shards)
{
    kv_options(&test);
    test.options.path = spills ? test.path : NULL;
    test.options.max_mem = max_mem;
    test.options.shards = shards;
    kv_open(&test);
}

/** What the process has before a store is open; skips the test where that says nothing. */
static uint64_t rss_before(void)
{
    if (TEST_SANITIZED) {
        cr_skip_test("sanitizers keep memory of their own");
    }
    /* With what a first store makes the process load. */
    open_with(true, 8 * MIB, 1);
    const uint64_t rss = kv_stats(test.kv).process_rss;
    const uint64_t own = kv_stats(test.kv).memory.total;
    kv_close(&test);
    if (rss == 0) {
        cr_skip_test("the system does not tell what is resident");
    }
    return rss > own ? rss - own : 0;
}

static uint64_t rss_of_store(uint64_t before)
{
    const uint64_t now = kv_stats(test.kv).process_rss;
    return now > before ? now - before : 0;
}

/** The account is right, and what the process has is what max_mem allows, but for a little. */
static void expect_bounded(uint64_t before, const char *when)
{
    const uint64_t max_mem = test.options.max_mem;
    const uint64_t rss = rss_of_store(before);
    kv_expect_consistent(test.kv);
    cr_expect_leq(rss, max_mem + max_mem / 20 + 8 * MIB, "%s: %.1f MiB", when,
                  (double)rss / (double)MIB);
}

struct sizes {
    const char *name;
    size_t least;
    size_t most;
    uint32_t keys;
};

/** Sets random ones of the keys until so many bytes were set. */
static void churn(const struct sizes *sizes, uint32_t version, uint64_t bytes)
{
    uint64_t random = version + 1;
    for (uint64_t done = 0; done < bytes;) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const uint32_t number = (uint32_t)(random >> 33) % sizes->keys;
        const size_t size = sizes->least + (random >> 20) % (sizes->most - sizes->least + 1);
        KV_OK(kv_set(test.kv, number, version, size));
        done += size + 24;
    }
}

/** The classic trap of fragmentation: what one size left must serve the next. */
static void change_sizes(uint64_t before, uint64_t bytes)
{
    static const struct sizes phases[] = {
        {"16 B", 16, 16, 60000},         {"4 KB", 4096, 4096, 6000},   {"100 B", 100, 100, 60000},
        {"16 B - 5 KB", 16, 5120, 6000}, {"16 - 64 B", 16, 64, 60000},
    };
    for (uint32_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        churn(&phases[i], i, bytes);
        expect_bounded(before, phases[i].name);
    }
}

Test(memory, stays_within_max_mem_while_sizes_of_values_change)
{
    const uint64_t before = rss_before();
    open_with(true, 16 * MIB, 0);
    change_sizes(before, 12 * MIB);
    KV_OK(spillkv_flush(test.kv));
    expect_bounded(before, "flushed");
    kv_close(&test);
}

Test(memory, of_a_cache_stays_within_max_mem_while_sizes_of_values_change)
{
    const uint64_t before = rss_before();
    kv_open_memory(&test, 16 * MIB, SPILLKV_FULL_DROP);
    change_sizes(before, 12 * MIB);
    kv_close(&test);
}

Test(memory, of_deleted_values_serves_those_of_another_size_when_nothing_spills)
{
    const uint64_t before = rss_before();
    kv_open_memory(&test, 16 * MIB, SPILLKV_FULL_FAIL);
    static const size_t sizes[] = {16, 4096, 100, 2000, 16};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        /* Three quarters of max_mem in keys, values, headers and slots, one in ten stays. */
        const uint32_t count = (uint32_t)(12 * MIB / (sizes[i] + 40));
        for (uint32_t k = 0; k < count; k++) {
            KV_OK(kv_set(test.kv, k, i, sizes[i]));
        }
        expect_bounded(before, "filled");
        for (uint32_t k = 0; k < count; k++) {
            if (k % 10 != 0 || k >= 3000) {
                KV_OK(kv_del(test.kv, k));
            }
        }
        expect_bounded(before, "deleted");
    }
    kv_close(&test);
}

/** Fills most of 48 MiB; returns what the store has then. */
static uint64_t fill_most(bool spills, uint64_t before)
{
    open_with(spills, 48 * MIB, 2);
    kv_fill(test.kv, 0, 60000);
    const uint64_t full = rss_of_store(before);
    cr_assert_gt(full, 36 * MIB);
    return full;
}

/** What is resident falls, and the account with it. */
static void expect_given_back(uint64_t before, uint64_t full)
{
    kv_expect_consistent(test.kv);
    cr_expect_leq(kv_stats(test.kv).memory.total, 12 * MIB);
    cr_expect_leq(rss_of_store(before), 14 * MIB, "%.1f MiB of %.1f",
                  (double)rss_of_store(before) / (double)MIB, (double)full / (double)MIB);
}

static void expect_back_after_clear(bool spills)
{
    const uint64_t before = rss_before();
    const uint64_t full = fill_most(spills, before);
    KV_OK(spillkv_clear(test.kv));
    expect_given_back(before, full);
    cr_expect_eq(kv_count(test.kv), 0);
    kv_fill(test.kv, 0, 60000);
    kv_expect_filled(test.kv, 0, 60000);
    expect_bounded(before, "filled again");
    kv_close(&test);
}

Test(memory, goes_back_to_the_system_when_a_store_is_cleared)
{
    expect_back_after_clear(true);
}

Test(memory, goes_back_to_the_system_when_a_store_in_memory_is_cleared)
{
    expect_back_after_clear(false);
}

static void expect_back_after_deletion(bool spills)
{
    const uint64_t before = rss_before();
    const uint64_t full = fill_most(spills, before);
    for (uint32_t i = 2000; i < 60000; i++) {
        KV_OK(kv_del(test.kv, i));
    }
    expect_given_back(before, full);
    kv_expect_filled(test.kv, 0, 2000);
    kv_close(&test);
}

Test(memory, goes_back_to_the_system_when_most_entries_are_deleted)
{
    expect_back_after_deletion(true);
}

Test(memory, goes_back_to_the_system_when_most_entries_in_memory_are_deleted)
{
    expect_back_after_deletion(false);
}

/** Opens, uses and closes so often. */
static void open_often(bool spills, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        open_with(spills, i % 2 == 0 ? 4 * MIB : 0, 1 + i % 2);
        kv_fill(test.kv, 0, 20);
        KV_OK(kv_set(test.kv, 20, 0, 40000));
        cr_assert_eq(kv_get(test.kv, 20, 0, 40000), SPILLKV_OK);
        kv_close(&test);
    }
}

static uint64_t process_rss(void)
{
    spillkv *kv;
    KV_OK(spillkv_open(NULL, &kv));
    const uint64_t rss = kv_stats(kv).process_rss;
    KV_OK(spillkv_close(kv));
    return rss;
}

Test(memory, does_not_grow_with_a_thousand_opens_and_closes)
{
    (void)rss_before();
    open_often(true, 50);
    open_often(false, 50);
    const uint64_t before = process_rss();
    open_often(true, 500);
    open_often(false, 500);
    const uint64_t after = process_rss();
    cr_expect_leq(after, before + 2 * MIB, "%.1f MiB more", ((double)after - before) / MIB);
}

Test(memory, of_16_mib_holds_what_a_store_needs)
{
    const uint64_t before = rss_before();
    open_with(true, 16 * MIB, 0);
    kv_fill(test.kv, 0, 60000);
    kv_expect_filled(test.kv, 0, 60000);
    cr_expect_gt(kv_stats(test.kv).total.bytes_ram, 12 * MIB, "most of it holds entries");
    expect_bounded(before, "filled");
    kv_close(&test);
}

Test(memory, of_4_gib_is_taken_as_it_is_needed)
{
    const uint64_t before = rss_before();
    open_with(true, 4 * GIB, 0);
    const uint64_t empty = rss_of_store(before);
    cr_expect_leq(empty, 64 * MIB, "%.1f MiB", (double)empty / (double)MIB);
    for (uint32_t i = 0; i < 20000; i++) {
        KV_OK(kv_set(test.kv, i, 0, 10000));
    }
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_eq(stats.total.entries_spilled, 0);
    cr_expect_leq(rss_of_store(before), stats.memory.total + 8 * MIB);
    cr_expect_leq(stats.memory.total, empty + 230 * MIB);
    for (uint32_t i = 0; i < 20000; i += 100) {
        cr_expect_eq(kv_get(test.kv, i, 0, 10000), SPILLKV_OK);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(memory, is_bounded_with_1_to_256_shards)
{
    const uint64_t before = rss_before();
    for (uint32_t shards = 1; shards <= SPILLKV_SHARDS_MAX; shards *= 2) {
        char when[32];
        snprintf(when, sizeof(when), "%u shards", shards);
        /* A shard needs half a megabyte before it holds anything. */
        open_with(true, 4 * MIB + shards * (MIB * 7 / 8), shards);
        cr_expect_eq(kv_stats(test.kv).shards, shards);
        const uint32_t count = 8000 + 1000 * shards;
        kv_fill(test.kv, 0, count);
        cr_expect_gt(kv_stats(test.kv).total.entries_spilled, 0, "%s", when);
        expect_bounded(before, when);
        for (uint32_t i = 0; i < count; i += 1 + shards / 2) {
            cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK, "%s", when);
        }
        expect_bounded(before, when);
        kv_close(&test);
    }
}
