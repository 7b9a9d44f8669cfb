/* SPDX-License-Identifier: MIT */
/* The spillkv_try_ calls: never the disk, never a wait, and no change where they cannot answer. */
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <string.h>

#include "support/fault_vfs.h"
#include "support/kv.h"

#define LARGE ((size_t)5000) /* a value that no inbox takes */
#define COLD  4000u          /* keys below are on disk */
#define HOT   900000u        /* in RAM */
#define NONE  700000u        /* not in the store */

static struct kv_test test;

/** Keys 0 .. COLD - 1 are set and spilled, key HOT is not. */
static void open_test(void)
{
    fault_vfs_register();
    kv_options(&test);
    test.options.sqlite_vfs = FAULT_VFS_NAME;
    test.options.policy = SPILLKV_POLICY_LRU;
    kv_open(&test);
    kv_fill(test.kv, 0, COLD);
    kv_fill(test.kv, COLD, COLD + KV_MANY);
    KV_OK(kv_set(test.kv, HOT, 1, KV_VALUE));
    KV_OK(spillkv_flush(test.kv));
}

static void close_test(void)
{
    fault_vfs_clear();
    fault_vfs_release();
    (void)!spillkv_flush(test.kv);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(nowait, .init = open_test, .fini = close_test, .timeout = 60);

/** From here on there is room, and nothing to spill or to compact in the background. */
static void calm_down(void)
{
    KV_OK(spillkv_set_max_mem(test.kv, 2 * KV_TINY));
    KV_OK(spillkv_flush(test.kv));
}

/** From here on every use of the disk fails, and is counted. */
static void forbid_disk(void)
{
    calm_down();
    fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
    fault_vfs_set(FAULT_WRITE, 1, SQLITE_IOERR_WRITE, true);
}

static void expect_disk_untouched(void)
{
    cr_expect_eq(fault_vfs_failures(), 0);
    fault_vfs_clear();
}

static spillkv_status try_set(uint32_t number, uint32_t version, size_t size)
{
    static uint8_t value[1 << 20];
    char key[KV_KEY];
    kv_make_key(key, number);
    kv_make_value(value, size, number, version);
    return spillkv_try_set(test.kv, key, sizeof(key), value, size);
}

/** All the calls that read; expects that they agree, and returns what they say. */
static spillkv_status try_read(uint32_t number, uint32_t version, size_t size)
{
    static uint8_t buffer[1 << 20];
    char key[KV_KEY];
    size_t got = 1;
    size_t copied = 1;
    void *copy = buffer;
    spillkv_pinned pinned;
    memset(&pinned, 1, sizeof(pinned));
    kv_make_key(key, number);
    const spillkv_status status =
        spillkv_try_get(test.kv, key, sizeof(key), buffer, sizeof(buffer), &got);
    cr_expect_eq(spillkv_try_get_copy(test.kv, key, sizeof(key), &copy, &copied), status);
    cr_expect_eq(spillkv_try_pin(test.kv, key, sizeof(key), &pinned), status);
    cr_expect_eq(spillkv_try_has(test.kv, key, sizeof(key)), status);
    if (status == SPILLKV_OK) {
        cr_expect(kv_value_is(buffer, got, number, version, size));
        cr_expect(kv_value_is(copy, copied, number, version, size));
        cr_expect(kv_pinned_is(&pinned, number, version, size));
        kv_unpin(test.kv, &pinned);
    } else {
        cr_expect_eq(got, 0);
        cr_expect(copy == NULL && copied == 0);
        cr_expect(kv_pinned_is_none(&pinned));
    }
    spillkv_free(copy);
    return status;
}

static spillkv_status try_del(uint32_t number)
{
    char key[KV_KEY];
    kv_make_key(key, number);
    return spillkv_try_del(test.kv, key, sizeof(key));
}

Test(nowait, a_key_in_memory_is_served_as_ever_without_the_disk)
{
    forbid_disk();
    cr_expect_eq(try_read(HOT, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(try_set(HOT, 2, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(try_read(HOT, 2, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(try_set(HOT, 3, LARGE), SPILLKV_OK);
    cr_expect_eq(try_read(HOT, 3, LARGE), SPILLKV_OK);
    cr_expect_eq(try_set(HOT, 4, 10), SPILLKV_OK);
    cr_expect_eq(try_read(HOT, 4, 10), SPILLKV_OK);
    cr_expect_eq(try_del(HOT), SPILLKV_OK);
    cr_expect_eq(try_read(HOT, 4, 10), SPILLKV_NOT_FOUND);
    cr_expect_eq(try_del(HOT), SPILLKV_NOT_FOUND);
    expect_disk_untouched();
}

Test(nowait, a_buffer_too_small_is_said_so_as_ever)
{
    char key[KV_KEY];
    size_t size = 0;
    kv_make_key(key, HOT);
    cr_expect_eq(spillkv_try_get(test.kv, key, sizeof(key), NULL, 0, &size), SPILLKV_TOO_SMALL);
    cr_expect_eq(size, KV_VALUE);
}

Test(nowait, a_spilled_key_would_block_and_nothing_changes)
{
    forbid_disk();
    const spillkv_stats_data before = kv_stats(test.kv);
    for (uint32_t i = 0; i < COLD; i += 10) {
        cr_expect_eq(try_read(i, 0, KV_VALUE), SPILLKV_WOULD_BLOCK);
        cr_expect_eq(try_del(i), SPILLKV_WOULD_BLOCK);
        cr_expect_eq(try_set(i, 1, LARGE), SPILLKV_WOULD_BLOCK);
    }
    expect_disk_untouched();
    const spillkv_stats_data after = kv_stats(test.kv);
    cr_expect_eq(memcmp(&after.total, &before.total, sizeof(after.total)), 0);
    kv_expect_filled(test.kv, 0, COLD);
}

Test(nowait, a_small_set_of_a_spilled_key_needs_no_disk)
{
    bool set[100];
    uint32_t accepted = 0;
    const uint64_t count = kv_count(test.kv);
    forbid_disk();
    for (uint32_t i = 0; i < 100; i++) {
        const spillkv_status status = try_set(i, 1, 100);
        cr_expect(status == SPILLKV_OK || status == SPILLKV_WOULD_BLOCK);
        cr_expect_eq(try_read(i, 1, 100), status, "key %u", i);
        set[i] = status == SPILLKV_OK;
        accepted += set[i];
    }
    cr_expect_eq(try_set(HOT, 2, 100), SPILLKV_OK, "others go on");
    cr_expect_eq(try_read(HOT, 2, 100), SPILLKV_OK);
    expect_disk_untouched();
    cr_expect_geq(accepted, 8);
    cr_expect_leq(accepted, 16, "no more than can wait");
    for (uint32_t i = 0; i < 100; i++) {
        const size_t size = set[i] ? 100 : KV_VALUE;
        cr_expect_eq(kv_get(test.kv, i, set[i], size), SPILLKV_OK, "key %u", i);
    }
    cr_expect_eq(kv_count(test.kv), count);
}

Test(nowait, a_small_set_of_a_spilled_key_has_memory_found_for_it)
{
    calm_down();
    /* In steps that go through some segments: the open one has no room left at times. */
    for (uint32_t i = 0; i < 200; i++) {
        KV_OK(try_set(NONE + i, 1, 100));
        fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
        cr_expect_eq(try_set(i, 1, 400), SPILLKV_OK, "key %u", i);
        cr_expect_eq(try_read(i, 1, 400), SPILLKV_OK);
        fault_vfs_clear();
        cr_expect_eq(kv_count(test.kv), COLD + KV_MANY + 1 + i + 1, "none waits any more");
    }
}

Test(nowait, a_key_that_is_not_there_is_answered_nearly_always)
{
    uint32_t blocked = 0;
    forbid_disk();
    for (uint32_t i = NONE; i < NONE + 5000; i++) {
        const spillkv_status status = try_read(i, 0, 0);
        cr_expect(status == SPILLKV_NOT_FOUND || status == SPILLKV_WOULD_BLOCK);
        blocked += status != SPILLKV_NOT_FOUND;
    }
    cr_expect_lt(blocked, 25);
    expect_disk_untouched();
}

static void *get_cold(void *status_out)
{
    *(int *)status_out = kv_get(test.kv, 1, 0, KV_VALUE);
    return NULL;
}

Test(nowait, others_in_the_middle_of_a_read_are_not_waited_for)
{
    pthread_t thread;
    int status = KV_WRONG;
    /* SQLite's page cache must not have the page. */
    kv_expect_filled(test.kv, COLD, COLD + KV_MANY);
    KV_OK(kv_set(test.kv, HOT, 1, KV_VALUE));
    calm_down();
    fault_vfs_hold(FAULT_READ);
    cr_assert_eq(pthread_create(&thread, NULL, get_cold, &status), 0);
    fault_vfs_wait_held();
    cr_expect_eq(try_read(HOT, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(try_set(HOT, 2, LARGE), SPILLKV_OK);
    cr_expect_eq(try_read(HOT, 2, LARGE), SPILLKV_OK);
    cr_expect_eq(try_set(NONE, 1, KV_VALUE), SPILLKV_OK);
    for (uint32_t i = 0; i < 50; i++) {
        cr_expect_eq(try_read(i, 0, KV_VALUE), SPILLKV_WOULD_BLOCK);
        cr_expect_eq(try_del(i), SPILLKV_WOULD_BLOCK);
        cr_expect_eq(try_set(i, 1, LARGE), SPILLKV_WOULD_BLOCK);
    }
    cr_expect(fault_vfs_is_held(0), "the other still reads");
    fault_vfs_release();
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(status, SPILLKV_OK);
}

/** Sets new keys, with the disk held, until one would block; returns which. */
static uint32_t set_until_it_would_block(size_t size)
{
    uint32_t number = NONE;
    spillkv_status status = SPILLKV_OK;
    while (status == SPILLKV_OK && number < NONE + 100000) {
        status = try_set(number, 1, size);
        number += status == SPILLKV_OK;
    }
    cr_expect_eq(status, SPILLKV_WOULD_BLOCK);
    return number;
}

/** What a later try needs was set going by the first one: the suite's time-out is the limit. */
static void set_in_the_end(uint32_t number, size_t size)
{
    spillkv_status status;
    while ((status = try_set(number, 1, size)) == SPILLKV_WOULD_BLOCK) {
        (void)sched_yield();
    }
    cr_expect_eq(status, SPILLKV_OK);
    cr_expect_eq(try_read(number, 1, size), SPILLKV_OK);
}

Test(nowait, a_set_would_block_when_memory_is_full_and_a_later_one_succeeds)
{
    fault_vfs_hold(FAULT_WRITE);
    const uint32_t number = set_until_it_would_block(100);
    fault_vfs_wait_held();
    cr_expect_eq(try_read(number, 1, 100), SPILLKV_NOT_FOUND);
    cr_expect_eq(try_read(HOT, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_leq(kv_stats(test.kv).memory.total, KV_TINY);
    fault_vfs_release();
    set_in_the_end(number, 100);
}

Test(nowait, a_large_set_has_room_made_for_it_in_the_background)
{
    const size_t size = 300 << 10; /* more than what is kept free, less than an eighth */
    const uint32_t number = set_until_it_would_block(size);
    cr_expect_eq(try_read(number, 1, size), SPILLKV_NOT_FOUND);
    set_in_the_end(number, size);
}

Test(nowait, a_value_that_goes_straight_to_disk_would_block)
{
    const size_t size = 900 << 10;
    forbid_disk();
    cr_expect_eq(try_set(NONE, 1, size), SPILLKV_WOULD_BLOCK);
    cr_expect_eq(try_set(HOT, 1, size), SPILLKV_WOULD_BLOCK);
    expect_disk_untouched();
    cr_expect_eq(try_read(HOT, 1, KV_VALUE), SPILLKV_OK);
    cr_expect_eq(kv_set(test.kv, NONE, 1, size), SPILLKV_OK);
    cr_expect_eq(try_read(NONE, 1, size), SPILLKV_WOULD_BLOCK);
}

TestSuite(nowait_in_memory, .timeout = 60);

Test(nowait_in_memory, without_disk_nothing_would_block_and_a_full_store_says_so)
{
    uint32_t number = 0;
    spillkv_status status = SPILLKV_OK;
    kv_open_memory(&test, KV_TINY, SPILLKV_FULL_FAIL);
    while ((status = try_set(number, 1, KV_VALUE)) == SPILLKV_OK) {
        number++;
    }
    cr_expect_eq(status, SPILLKV_EFULL);
    for (uint32_t i = 0; i < number; i++) {
        cr_expect_eq(try_read(i, 1, KV_VALUE), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < number; i += 3) {
        cr_expect_eq(try_del(i), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < number; i += 3) {
        cr_expect_eq(try_set(i, 2, KV_VALUE), SPILLKV_OK, "the garbage is used again");
    }
    kv_close(&test);
}

Test(nowait_in_memory, a_cache_drops_for_room_as_ever)
{
    kv_open_memory(&test, KV_TINY, SPILLKV_FULL_DROP);
    for (uint32_t i = 0; i < KV_MANY; i++) {
        cr_expect_eq(try_set(i, 1, KV_VALUE), SPILLKV_OK);
    }
    cr_expect_gt(kv_stats(test.kv).total.drops, 0);
    kv_close(&test);
}

Test(nowait_in_memory, bad_arguments_are_refused)
{
    kv_open_memory(&test, 0, SPILLKV_FULL_FAIL);
    char byte;
    void *copy = &byte;
    size_t size = 1;
    cr_expect_eq(spillkv_try_set(test.kv, "", 0, "v", 1), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_set(test.kv, "k", 1, NULL, 1), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_get(test.kv, NULL, 1, &byte, 1, &size), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_get(test.kv, "k", 1, NULL, 1, &size), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_get_copy(test.kv, "k", 1, NULL, &size), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_get_copy(NULL, "k", 1, &copy, &size), SPILLKV_EINVAL);
    cr_expect_null(copy);
    cr_expect_eq(spillkv_try_del(test.kv, NULL, 1), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_has(NULL, "k", 1), SPILLKV_EINVAL);
    kv_close(&test);
}
