/* SPDX-License-Identifier: MIT */
/* Counters count what they say, and the account of memory adds up at every moment. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/kv.h"

static struct kv_test test;

static void open_test(void)
{
    kv_open_tiny(&test);
}

static void close_test(void)
{
    (void)!spillkv_flush(test.kv);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(stats, .init = open_test, .fini = close_test, .timeout = 60);

Test(stats, of_an_empty_store_are_zero)
{
    spillkv_counters counters = kv_stats(test.kv).total;
    cr_expect_gt(counters.file_bytes, 0);
    counters.file_bytes = 0;
    counters.ram_segments = 0;
    const spillkv_counters zero = {0};
    cr_expect_eq(memcmp(&counters, &zero, sizeof(zero)), 0);
}

Test(stats, say_how_the_store_was_opened)
{
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_eq(stats.shards, 1);
    cr_expect_eq(stats.spillers, 1);
    cr_expect_eq(stats.max_mem, KV_TINY);
    cr_expect_eq(stats.last_error, SPILLKV_OK);
    cr_expect_eq(stats.failing, 0);
}

Test(stats, reserved_fields_are_0)
{
    kv_fill(test.kv, 0, 6000);
    const spillkv_stats_data stats = kv_stats(test.kv);
    for (size_t i = 0; i < sizeof(stats.reserved) / sizeof(stats.reserved[0]); i++) {
        cr_expect_eq(stats.reserved[i], 0);
    }
    for (size_t i = 0; i < sizeof(stats.total.reserved) / sizeof(stats.total.reserved[0]); i++) {
        cr_expect_eq(stats.total.reserved[i], 0);
    }
}

Test(stats, count_hits_and_misses)
{
    char buffer[8];
    kv_fill(test.kv, 0, 10);
    for (uint32_t i = 0; i < 7; i++) {
        (void)kv_get(test.kv, i, 0, KV_VALUE);
    }
    for (uint32_t i = 100; i < 105; i++) {
        (void)kv_get(test.kv, i, 0, KV_VALUE);
    }
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(total.hits, 7);
    cr_expect_eq(total.misses, 5);
    cr_expect_eq(total.spilled_reads, 0);
    (void)kv_has(test.kv, 1);
    (void)kv_has(test.kv, 100);
    cr_expect_eq(spillkv_get(test.kv, "absent", 6, buffer, 8, NULL), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_stats(test.kv).total.hits, 7);
    cr_expect_eq(kv_stats(test.kv).total.misses, 6);
}

Test(stats, count_sets_and_deletes_that_succeeded)
{
    kv_fill(test.kv, 0, 100);
    kv_fill(test.kv, 0, 50);
    cr_expect_eq(spillkv_set(test.kv, "", 0, "", 0), SPILLKV_EINVAL);
    for (uint32_t i = 0; i < 200; i += 2) {
        (void)kv_del(test.kv, i);
    }
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(total.sets, 150);
    cr_expect_eq(total.dels, 50);
    cr_expect_eq(total.entries_ram, 50);
}

Test(stats, count_the_bytes_of_keys_and_values)
{
    KV_OK(kv_set(test.kv, 1, 0, 100));
    KV_OK(kv_set(test.kv, 2, 0, 0));
    cr_expect_eq(kv_stats(test.kv).total.bytes_ram, 12 + 100 + 12);
    KV_OK(kv_set(test.kv, 1, 1, 1000));
    cr_expect_eq(kv_stats(test.kv).total.bytes_ram, 12 + 1000 + 12);
    KV_OK(kv_del(test.kv, 1));
    cr_expect_eq(kv_stats(test.kv).total.bytes_ram, 12);
    kv_fill(test.kv, 100, 100 + KV_MANY);
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(total.bytes_ram + total.bytes_spilled, 12 + KV_MANY * (12 + KV_VALUE));
}

Test(stats, tell_the_tiers_apart)
{
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(total.entries_ram + total.entries_spilled, KV_MANY);
    cr_expect_eq(total.bytes_spilled, total.entries_spilled * (12 + KV_VALUE));
    cr_expect_geq(total.spills, total.entries_spilled);
    cr_expect_geq(total.live_bytes, total.bytes_spilled);
    cr_expect_gt(total.disk_segments, 0);
    cr_expect_gt(total.ram_segments, 0);
    cr_expect_geq(total.examined, total.spills);
}

Test(stats, every_get_is_a_hit_a_miss_or_a_spilled_read)
{
    kv_fill(test.kv, 0, KV_MANY);
    for (uint32_t i = 0; i < KV_MANY + 1000; i++) {
        (void)kv_get(test.kv, i, 0, KV_VALUE);
    }
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(total.hits + total.misses + total.spilled_reads, KV_MANY + 1000);
    cr_expect_eq(total.misses, 1000);
    cr_expect_leq(total.promotions, total.spilled_reads);
    cr_expect_gt(total.promotions, 0);
    /* A tag is long enough for one key in some hundreds. */
    cr_expect_lt(total.wasted_reads, KV_MANY / 50, "%lu", (unsigned long)total.wasted_reads);
}

Test(stats, of_shards_add_up_to_the_total)
{
    kv_close(&test);
    kv_options(&test);
    test.options.shards = 8;
    test.options.max_mem = 8 * KV_TINY;
    kv_open(&test);
    kv_fill(test.kv, 0, 4 * KV_MANY);
    for (uint32_t i = 0; i < 4 * KV_MANY; i += 3) {
        (void)kv_get(test.kv, i, 0, KV_VALUE);
        (void)kv_del(test.kv, i + 1);
    }
    KV_OK(spillkv_flush(test.kv));
    spillkv_counters sum = {0};
    for (uint32_t shard = 0; shard < 8; shard++) {
        spillkv_counters counters;
        KV_OK(spillkv_shard_stats(test.kv, shard, &counters));
        cr_expect_gt(counters.sets, 4 * KV_MANY / 8 / 2);
        for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++) {
            ((uint64_t *)&sum)[i] += ((const uint64_t *)&counters)[i];
        }
    }
    spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_eq(sum.sets, 4 * KV_MANY);
    cr_expect_eq(sum.sets, total.sets);
    cr_expect_eq(sum.dels, total.dels);
    cr_expect_eq(sum.hits + sum.misses + sum.spilled_reads,
                 total.hits + total.misses + total.spilled_reads);
    cr_expect_eq(sum.entries_ram + sum.entries_spilled, total.entries_ram + total.entries_spilled);
    cr_expect_eq(sum.bytes_ram + sum.bytes_spilled, total.bytes_ram + total.bytes_spilled);
    cr_expect_eq(sum.promotions, total.promotions);
}

static void expect_account(const spillkv_stats_data *stats)
{
    const spillkv_memory *const memory = &stats->memory;
    cr_assert_eq(memory->entries + memory->table + memory->sqlite + memory->scratch +
                     memory->fixed + memory->unused,
                 memory->total);
    cr_assert(memory->total <= stats->max_mem, "%lu of %lu", (unsigned long)memory->total,
              (unsigned long)stats->max_mem);
}

Test(stats, memory_stays_within_the_limit_after_every_set)
{
    for (uint32_t i = 0; i < 2 * KV_MANY; i++) {
        KV_OK(kv_set(test.kv, i % KV_MANY, i, (i * 7919u) % 3000u));
        if (i % 10 == 0) {
            const spillkv_stats_data stats = kv_stats(test.kv);
            expect_account(&stats);
        }
    }
}

static atomic_bool stop;

static void *write_always(void *argument)
{
    uint32_t failures = 0;
    (void)argument;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        failures += kv_set(test.kv, i % (2 * KV_MANY), i, (i * 7919u) % 3000u) != SPILLKV_OK;
        failures += kv_get(test.kv, (i * 31u) % 1000u + 100 * KV_MANY, 0, 0) != SPILLKV_NOT_FOUND;
    }
    cr_expect_eq(failures, 0);
    return NULL;
}

Test(stats, memory_stays_within_the_limit_while_a_writer_never_pauses)
{
    pthread_t writer;
    cr_assert_eq(pthread_create(&writer, NULL, write_always, NULL), 0);
    while (kv_stats(test.kv).total.sets < 3 * KV_MANY) {
        const spillkv_stats_data stats = kv_stats(test.kv);
        expect_account(&stats);
    }
    atomic_store(&stop, true);
    cr_assert_eq(pthread_join(writer, NULL), 0);
}

Test(stats, memory_of_a_store_in_memory_follows_what_is_in_it)
{
    spillkv *kv;
    KV_OK(spillkv_open(NULL, &kv));
    const uint64_t empty = kv_stats(kv).memory.total;
    kv_fill(kv, 0, 20000);
    const uint64_t full = kv_stats(kv).memory.total;
    cr_expect_geq(full, empty + 20000 * (KV_VALUE + 12));
    cr_expect_leq(full, empty + (20000 * (KV_VALUE + 12)) * 5 / 4 + (8 << 20));
    KV_OK(spillkv_clear(kv));
    const spillkv_memory memory = kv_stats(kv).memory;
    cr_expect_leq(memory.total - memory.unused, empty + (empty >> 1));
    KV_OK(spillkv_close(kv));
}

Test(stats, helped_counts_sets_that_had_to_make_room)
{
    kv_fill(test.kv, 0, KV_MANY);
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_leq(total.helped, total.sets);
}
