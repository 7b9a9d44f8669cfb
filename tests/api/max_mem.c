/* SPDX-License-Identifier: MIT */
/* max_mem changed while the store runs, and max_mem too small for its keys. */
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "support/fault_vfs.h"
#include "support/kv.h"

#define MIB ((uint64_t)1 << 20)

static struct kv_test test;

TestSuite(max_mem, .timeout = 120);

static void open_with(uint64_t max_mem)
{
    kv_options(&test);
    test.options.max_mem = max_mem;
    kv_open(&test);
}

Test(max_mem, more_holds_at_once)
{
    kv_open_memory(&test, 4 * MIB, SPILLKV_FULL_FAIL);
    uint32_t count = 0;
    while (kv_set(test.kv, count, 0, KV_VALUE) == SPILLKV_OK) {
        count++;
    }
    KV_OK(spillkv_set_max_mem(test.kv, 8 * MIB));
    cr_expect_eq(kv_stats(test.kv).max_mem, 8 * MIB);
    kv_fill(test.kv, count, count + count / 2);
    kv_expect_filled(test.kv, 0, count + count / 2);
    kv_close(&test);
}

Test(max_mem, less_is_reached_and_loses_nothing)
{
    open_with(24 * MIB);
    kv_fill(test.kv, 0, 30000);
    const spillkv_stats_data before = kv_stats(test.kv);
    cr_expect_gt(before.memory.total, 16 * MIB);
    for (uint64_t max_mem = 16 * MIB; max_mem >= 4 * MIB; max_mem /= 2) {
        KV_OK(spillkv_set_max_mem(test.kv, max_mem));
        const spillkv_stats_data after = kv_stats(test.kv);
        cr_expect_eq(after.max_mem, max_mem);
        cr_expect_leq(after.memory.total, max_mem);
        cr_expect_eq(after.total.entries_ram + after.total.entries_spilled, 30000);
    }
    kv_expect_filled(test.kv, 0, 30000);
    kv_expect_consistent(test.kv);
    KV_OK(spillkv_set_max_mem(test.kv, 24 * MIB));
    kv_expect_filled(test.kv, 0, 30000);
    cr_expect_gt(kv_stats(test.kv).memory.total, 8 * MIB, "it fills up again");
    kv_close(&test);
}

Test(max_mem, less_drops_entries_of_a_cache)
{
    kv_open_memory(&test, 16 * MIB, SPILLKV_FULL_DROP);
    kv_fill(test.kv, 0, 15000);
    KV_OK(spillkv_set_max_mem(test.kv, 4 * MIB));
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_leq(stats.memory.total, 4 * MIB);
    cr_expect_gt(stats.total.entries_ram, 3000);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(max_mem, less_than_what_has_to_stay_ends_at_what_is_in_use)
{
    kv_open_memory(&test, 16 * MIB, SPILLKV_FULL_FAIL);
    kv_fill(test.kv, 0, 10000);
    cr_expect_eq(spillkv_set_max_mem(test.kv, 4 * MIB), SPILLKV_EFULL);
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_gt(stats.max_mem, 6 * MIB);
    cr_expect_leq(stats.memory.total, stats.max_mem);
    cr_expect_leq(stats.max_mem, stats.memory.total + MIB);
    kv_expect_filled(test.kv, 0, 10000);
    kv_fill(test.kv, 0, 1000);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(max_mem, less_than_an_empty_store_takes_changes_nothing)
{
    open_with(8 * MIB);
    kv_fill(test.kv, 0, 1000);
    cr_expect_eq(spillkv_set_max_mem(test.kv, 100000), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_set_max_mem(NULL, MIB), SPILLKV_EINVAL);
    cr_expect_eq(kv_stats(test.kv).max_mem, 8 * MIB);
    kv_expect_filled(test.kv, 0, 1000);
    kv_close(&test);
}

Test(max_mem, a_store_without_limit_can_get_one_and_lose_it)
{
    kv_options(&test);
    test.options.max_mem = 0;
    test.options.spillers = 0;
    kv_open(&test);
    kv_fill(test.kv, 0, KV_MANY);
    cr_expect_eq(kv_stats(test.kv).total.entries_spilled, 0);
    KV_OK(spillkv_set_max_mem(test.kv, 6 * MIB));
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_leq(stats.memory.total, 6 * MIB);
    cr_expect_eq(stats.spillers, 1);
    kv_expect_filled(test.kv, 0, KV_MANY);
    KV_OK(spillkv_set_max_mem(test.kv, 0));
    cr_expect_eq(kv_stats(test.kv).max_mem, 0);
    kv_fill(test.kv, KV_MANY, 2 * KV_MANY);
    kv_expect_filled(test.kv, 0, 2 * KV_MANY);
    kv_close(&test);
}

Test(max_mem, a_full_disk_stops_the_lowering_and_loses_nothing)
{
    fault_vfs_register();
    kv_options(&test);
    test.options.max_mem = 16 * MIB;
    test.options.sqlite_vfs = FAULT_VFS_NAME;
    kv_open(&test);
    kv_fill(test.kv, 0, 10000);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_FULL, true);
    cr_expect_eq(spillkv_set_max_mem(test.kv, 4 * MIB), SPILLKV_ENOSPC);
    const spillkv_stats_data stats = kv_stats(test.kv);
    cr_expect_leq(stats.memory.total, stats.max_mem);
    cr_expect_gt(stats.max_mem, 4 * MIB);
    kv_expect_filled(test.kv, 0, 10000);
    fault_vfs_clear();
    KV_OK(spillkv_set_max_mem(test.kv, 4 * MIB));
    cr_expect_leq(kv_stats(test.kv).memory.total, 4 * MIB);
    kv_expect_filled(test.kv, 0, 10000);
    kv_close(&test);
}

struct worker {
    pthread_t thread;
    _Atomic bool *stop;
    uint32_t first;
    uint32_t wrong;
    uint32_t rounds;
};

/* Sets and reads its own keys. */
static void *work(void *argument)
{
    struct worker *const worker = argument;
    do {
        worker->rounds++;
        for (uint32_t i = 0; i < 3000; i++) {
            worker->wrong += kv_set(test.kv, worker->first + i, worker->rounds, KV_VALUE) != 0;
        }
        for (uint32_t i = 0; i < 3000; i++) {
            worker->wrong +=
                kv_get(test.kv, worker->first + i, worker->rounds, KV_VALUE) != SPILLKV_OK;
        }
    } while (!atomic_load(worker->stop));
    return NULL;
}

Test(max_mem, goes_up_and_down_while_threads_set_and_get)
{
    _Atomic bool stop = false;
    struct worker workers[3];
    open_with(16 * MIB);
    for (uint32_t i = 0; i < 3; i++) {
        workers[i] = (struct worker){.stop = &stop, .first = i * 100000};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int round = 0; round < 40; round++) {
        const uint64_t max_mem = round % 2 == 0 ? 3 * MIB : 12 * MIB;
        KV_OK(spillkv_set_max_mem(test.kv, max_mem));
        cr_expect_eq(kv_stats(test.kv).max_mem, max_mem);
        cr_expect_leq(kv_stats(test.kv).memory.total, max_mem);
    }
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
        cr_expect_eq(workers[i].wrong, 0);
        cr_expect_gt(workers[i].rounds, 0);
    }
    cr_expect_eq(kv_count(test.kv), 9000);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

static char message[512];

static void remember(void *context, spillkv_log_level level, const char *text)
{
    (void)context;
    if (level == SPILLKV_LOG_ERROR) {
        (void)snprintf(message, sizeof(message), "%s", text);
    }
}

Test(max_mem, too_small_for_the_slots_refuses_new_keys_and_says_how_much_they_need)
{
    kv_options(&test);
    test.options.log = remember;
    kv_open(&test);
    uint32_t count = 0;
    while (kv_set(test.kv, count, 0, 8) == SPILLKV_OK) {
        count++;
    }
    cr_expect_gt(count, 100000);
    cr_expect_eq(kv_set(test.kv, count, 0, 8), SPILLKV_EFULL);
    /* Nor one that would go straight to the disk. */
    cr_expect_eq(kv_set(test.kv, count, 0, KV_TINY / 4), SPILLKV_EFULL);
    cr_expect_eq(kv_has(test.kv, count), SPILLKV_NOT_FOUND);
    const char *const needed = strstr(message, "need a max_mem of ");
    cr_assert_neq(needed, NULL, "%s", message);
    uint64_t bytes = 0;
    cr_assert_eq(sscanf(needed, "need a max_mem of %" SCNu64, &bytes), 1);
    /* What is there works on, and is all there. */
    for (uint32_t i = 0; i < count; i += 50) {
        cr_assert_eq(kv_get(test.kv, i, 0, 8), SPILLKV_OK, "%u", i);
        cr_assert_eq(kv_set(test.kv, i, 1, 8), SPILLKV_OK, "%u", i);
    }
    cr_expect_eq(kv_count(test.kv), count);
    KV_OK(kv_del(test.kv, 1));
    KV_OK(spillkv_set_max_mem(test.kv, bytes));
    KV_OK(kv_set(test.kv, count, 0, 8));
    kv_expect_consistent(test.kv);
    kv_close(&test);
}
