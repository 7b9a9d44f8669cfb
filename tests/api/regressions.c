/* SPDX-License-Identifier: MIT */
/* One test for each fault of the design that this library replaces, named after the remedy. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/fault_vfs.h"
#include "support/kv.h"

static struct kv_test test;

static void open_test(void)
{
    fault_vfs_register();
    kv_options(&test);
    test.options.sqlite_vfs = FAULT_VFS_NAME;
    kv_open(&test);
}

static void close_test(void)
{
    fault_vfs_release();
    fault_vfs_clear();
    (void)!spillkv_flush(test.kv);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(regressions, .init = open_test, .fini = close_test, .timeout = 60);

/** How many of the keys first .. end - 1 are answered from RAM; it promotes the others. */
static uint32_t residents(uint32_t first, uint32_t end)
{
    const uint64_t before = kv_stats(test.kv).total.hits;
    kv_expect_filled(test.kv, first, end);
    return (uint32_t)(kv_stats(test.kv).total.hits - before);
}

/** Sets `count` new keys from `first` on, and uses keys 0 .. hot - 1 in between, one for each. */
static void flood(uint32_t first, uint32_t count, uint32_t hot)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(kv_get(test.kv, i % hot, 0, KV_VALUE), SPILLKV_OK);
        kv_fill(test.kv, first + i, first + i + 1);
    }
}

/* It evicted the MOST used keys. */
Test(regressions, the_most_used_keys_stay_in_memory)
{
    kv_fill(test.kv, 0, 400);
    flood(1000, KV_MANY, 400);
    const uint32_t stayed = residents(0, 400);
    cr_expect_gt(stayed, 360, "%u", stayed);
}

/* Overwriting a hot key made it the coldest. */
Test(regressions, overwriting_a_hot_key_keeps_it_hot)
{
    kv_fill(test.kv, 0, 400);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        /* Another size first, so that it does not stay in its place. */
        KV_OK(kv_set(test.kv, i % 400, 1, KV_VALUE / 2));
        KV_OK(kv_set(test.kv, i % 400, 0, KV_VALUE));
        kv_fill(test.kv, 1000 + i, 1001 + i);
    }
    const uint32_t stayed = residents(0, 400);
    cr_expect_gt(stayed, 360, "%u", stayed);
}

/* Counts never aged. */
Test(regressions, keys_that_were_hot_once_make_room_for_new_ones)
{
    const uint32_t hot = 800;
    kv_fill(test.kv, 0, hot);
    flood(100000, 100 * hot, hot);
    cr_expect_gt(residents(0, hot), hot * 9 / 10);
    /* From now on others are hot, by far not so long. */
    for (uint32_t i = 0; i < 40 * hot; i++) {
        if (i < hot) {
            kv_fill(test.kv, 10000 + i, 10001 + i);
        }
        cr_assert_eq(kv_get(test.kv, 10000 + i % (i < hot ? i + 1 : hot), 0, KV_VALUE), SPILLKV_OK);
        kv_fill(test.kv, 300000 + i, 300001 + i);
    }
    const uint32_t fresh = residents(10000, 10000 + hot);
    const uint32_t stale = residents(0, hot);
    cr_expect_gt(fresh, hot * 8 / 10, "%u", fresh);
    cr_expect_lt(stale, hot / 4, "%u", stale);
}

/** Keys, the oldest first, are being written when this returns: a call waits in the VFS. */
static void hold_a_spill(void)
{
    kv_fill(test.kv, 0, 2000);
    fault_vfs_hold(FAULT_WRITE);
    /* One by one: if memory were used up, the next set would help to spill, and wait too. */
    const uint64_t nearly_full = KV_TINY * 95 / 100;
    uint64_t used = 0;
    for (uint32_t i = 2000; !fault_vfs_is_held(used > nearly_full ? 5 : 0); i++) {
        kv_fill(test.kv, i, i + 1);
        const spillkv_memory memory = kv_stats(test.kv).memory;
        used = memory.total - memory.unused;
    }
}

/* A set that happened while its key was being spilled was lost. */
Test(regressions, a_set_while_its_key_is_being_spilled_is_not_lost)
{
    hold_a_spill();
    for (uint32_t i = 0; i < 30; i++) {
        KV_OK(kv_set(test.kv, i, 1, 100));
        cr_assert_eq(kv_get(test.kv, i, 1, 100), SPILLKV_OK);
    }
    fault_vfs_release();
    KV_OK(spillkv_flush(test.kv));
    for (uint32_t i = 0; i < 30; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, 100), SPILLKV_OK, "key %u", i);
    }
    kv_expect_filled(test.kv, 30, 2000);
}

/* The same for a delete. */
Test(regressions, a_delete_while_its_key_is_being_spilled_is_final)
{
    hold_a_spill();
    for (uint32_t i = 0; i < 1000; i++) {
        KV_OK(kv_del(test.kv, i));
    }
    fault_vfs_release();
    kv_fill(test.kv, KV_MANY, KV_MANY + 8000);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_NOT_FOUND, "key %u", i);
    }
}

/* delete never reached SQLite, so deleted keys came back. */
Test(regressions, a_deleted_key_does_not_come_back_from_disk)
{
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    for (uint32_t i = 0; i < KV_MANY; i++) {
        KV_OK(kv_del(test.kv, i));
    }
    kv_fill(test.kv, KV_MANY, 2 * KV_MANY);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_NOT_FOUND);
    }
}

/* Rows left by an earlier run were served as live data. */
Test(regressions, what_a_killed_process_left_is_not_served)
{
    int status;
    KV_NEED_OPEN_IN_CHILD();
    KV_OK(spillkv_close(test.kv));
    const pid_t child = fork();
    if (child == 0) {
        kv_open(&test);
        kv_fill(test.kv, 0, KV_MANY);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert(tempdir_has(&test.dir, "store/shard-000.db"));
    kv_open(&test);
    cr_expect_eq(kv_count(test.kv), 0);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_NOT_FOUND);
    }
    /* The directory was there when it was opened: this one stays. */
    KV_OK(spillkv_close(test.kv));
    cr_expect_eq(rmdir(test.path), 0);
    kv_open(&test);
}

/* Every reader waited behind the one lock while SQLite worked. */
Test(regressions, hot_keys_are_served_while_a_write_is_stuck)
{
    hold_a_spill();
    /* If one of these waited for the disk, it would wait for ever. */
    kv_expect_filled(test.kv, 0, 2000);
    for (uint32_t i = 0; i < 2000; i++) {
        KV_OK(kv_has(test.kv, i));
    }
    cr_expect_eq(kv_has(test.kv, KV_MANY), SPILLKV_NOT_FOUND);
    cr_expect_geq(kv_count(test.kv), 2000);
    KV_OK(kv_set(test.kv, 5, 2, 50));
    KV_OK(kv_del(test.kv, 6));
    cr_expect_eq(kv_get(test.kv, 5, 2, 50), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 6, 0, KV_VALUE), SPILLKV_NOT_FOUND);
    fault_vfs_release();
}

static atomic_bool reading_is_over;

static void *read_spilled(void *argument)
{
    *(int *)argument = kv_get(test.kv, 1, 0, KV_VALUE);
    atomic_store(&reading_is_over, true);
    return NULL;
}

/* The same for a read of a cold key. */
Test(regressions, hot_keys_are_served_while_a_read_is_stuck)
{
    pthread_t reader;
    int status = -1;
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    fault_vfs_hold(FAULT_READ);
    cr_assert_eq(pthread_create(&reader, NULL, read_spilled, &status), 0);
    fault_vfs_wait_held();
    kv_expect_filled(test.kv, KV_MANY - 500, KV_MANY);
    KV_OK(kv_set(test.kv, KV_MANY, 0, KV_VALUE));
    cr_expect_not(atomic_load(&reading_is_over));
    fault_vfs_release();
    cr_assert_eq(pthread_join(reader, NULL), 0);
    cr_expect_eq(status, SPILLKV_OK);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/** What asking for the account costs. */
static uint64_t stats_cost(spillkv *kv)
{
    const uint64_t begin = cpu_ns();
    for (int i = 0; i < 2000; i++) {
        (void)kv_stats(kv);
    }
    return cpu_ns() - begin;
}

/* Size was measured again and again by walking over the whole map. */
Test(regressions, the_account_is_exact_after_every_call_and_costs_the_same_at_any_size)
{
    spillkv *kv;
    uint64_t bytes = 0;
    KV_OK(spillkv_open(NULL, &kv));
    const uint64_t cost_empty = stats_cost(kv);
    for (uint32_t i = 0; i < 50000; i++) {
        KV_OK(kv_set(kv, i, 0, i % 300));
        bytes += 12 + i % 300;
        if (i % 3 == 0) {
            KV_OK(kv_del(kv, i / 3));
            bytes -= 12 + i / 3 % 300;
        }
        cr_assert(i % 50 != 0 || kv_stats(kv).total.bytes_ram == bytes, "after key %u", i);
    }
    const uint64_t cost_full = stats_cost(kv);
    cr_expect_lt(cost_full, 20 * cost_empty + 20000000, "%lu, %lu", (unsigned long)cost_empty,
                 (unsigned long)cost_full);
    KV_OK(spillkv_close(kv));
}

static void *write_a_lot(void *argument)
{
    const uint32_t first = *(const uint32_t *)argument;
    for (uint32_t i = 0; i < KV_MANY; i++) {
        if (kv_set(test.kv, first + i, 0, KV_VALUE) != SPILLKV_OK) {
            return argument;
        }
    }
    return NULL;
}

/* A writer could outrun eviction without bound. */
Test(regressions, writers_cannot_outrun_eviction)
{
    pthread_t writers[2];
    uint32_t firsts[2] = {0, KV_MANY};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&writers[i], NULL, write_a_lot, &firsts[i]), 0);
    }
    while (kv_stats(test.kv).total.sets < 2 * KV_MANY) {
        cr_assert_leq(kv_stats(test.kv).memory.total, KV_TINY);
    }
    for (int i = 0; i < 2; i++) {
        void *failed;
        cr_assert_eq(pthread_join(writers[i], &failed), 0);
        cr_expect_null(failed);
    }
    kv_expect_filled(test.kv, 0, 2 * KV_MANY);
}

/* One SQLite error killed eviction for good. */
Test(regressions, one_error_does_not_end_spilling)
{
    uint32_t number = 0;
    for (int round = 0; round < 4; round++) {
        fault_vfs_set(FAULT_WRITE, 1, round % 2 == 0 ? SQLITE_IOERR_WRITE : SQLITE_FULL, true);
        while (kv_set(test.kv, number, 0, KV_VALUE) == SPILLKV_OK) {
            number++;
        }
        fault_vfs_clear();
        const uint64_t spills = kv_stats(test.kv).total.spills;
        kv_fill(test.kv, number, number + 5000);
        number += 5000;
        cr_expect_gt(kv_stats(test.kv).total.spills, spills);
    }
    kv_expect_filled(test.kv, 0, number);
}

static int visit(void *context, const void *key, size_t key_size, const void *value,
                 size_t value_size)
{
    (void)key, (void)key_size, (void)value, (void)value_size;
    ++*(uint32_t *)context;
    return 0;
}

/* length and iteration saw RAM only. */
Test(regressions, count_and_iteration_see_both_tiers)
{
    uint32_t visited = 0;
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    cr_expect_gt(kv_stats(test.kv).total.entries_spilled, 0);
    cr_expect_eq(kv_count(test.kv), KV_MANY);
    KV_OK(spillkv_each(test.kv, visit, &visited));
    cr_expect_eq(visited, KV_MANY);
}

/* A promoted entry was written again although nothing had changed. */
Test(regressions, an_unchanged_promoted_entry_is_not_written_again)
{
    kv_fill(test.kv, 0, KV_MANY);
    /* Those that stay in memory throughout may not have been written yet. */
    for (int round = 0; round < 20; round++) {
        KV_OK(spillkv_flush(test.kv));
        kv_expect_filled(test.kv, 0, KV_MANY);
    }
    KV_OK(spillkv_flush(test.kv));
    const spillkv_counters counters = kv_stats(test.kv).total;
    cr_expect_gt(counters.clean_evictions, KV_MANY);
    cr_expect_leq(counters.spills, KV_MANY, "none was written twice");
    cr_expect_gt(counters.spills, KV_MANY / 2);
}

/* Illegal settings were silently ignored. */
Test(regressions, illegal_options_are_refused)
{
    spillkv *kv;
    spillkv_options options;
    spillkv_options_init(&options);
    options.shards = SPILLKV_SHARDS_MAX + 1;
    cr_expect_eq(spillkv_open(&options, &kv), SPILLKV_EINVAL);
    spillkv_options_init(&options);
    options.max_mem = 1;
    cr_expect_eq(spillkv_open(&options, &kv), SPILLKV_EINVAL);
    spillkv_options_init(&options);
    options.on_full = (spillkv_on_full)7;
    cr_expect_eq(spillkv_open(&options, &kv), SPILLKV_EINVAL);
    spillkv_options_init(&options);
    options.reserved[3] = 1;
    cr_expect_eq(spillkv_open(&options, &kv), SPILLKV_EINVAL);
}
