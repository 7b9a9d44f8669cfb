/* SPDX-License-Identifier: MIT */
/* Pins that hold all memory, pins and mistakes, pins and other processes and threads. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fault_vfs.h"
#include "support/kv.h"

static struct kv_test test;

TestSuite(pins_limits, .timeout = 120);

/* Too many. */

#define HELD_MOST 40000u

/** Sets keys and pins each, until a call refuses; returns how many are pinned. */
static uint32_t pin_until_full(spillkv_pinned *pinned, spillkv_status *status_out)
{
    uint32_t count = 0;
    spillkv_status status = SPILLKV_OK;
    /* A cache may drop a key before it is pinned. */
    for (uint32_t i = 0; status != SPILLKV_EFULL && i < HELD_MOST; i++) {
        status = kv_set(test.kv, count, 0, KV_VALUE);
        status = status == SPILLKV_OK ? kv_pin(test.kv, count, &pinned[count]) : status;
        count += status == SPILLKV_OK;
    }
    *status_out = status;
    return count;
}

static void expect_all_and_unpin(spillkv_pinned *pinned, uint32_t count)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        wrong += !kv_pinned_is(&pinned[i], i, 0, KV_VALUE);
        kv_unpin(test.kv, &pinned[i]);
    }
    cr_expect_eq(wrong, 0);
}

Test(pins_limits, that_hold_all_memory_make_sets_fail_and_nothing_else)
{
    spillkv_pinned *const pinned = malloc(HELD_MOST * sizeof(*pinned));
    spillkv_status status;
    spillkv_pinned more;
    kv_open_tiny(&test);
    KV_OK(kv_set(test.kv, 90000, 1, 100 << 10));
    kv_fill(test.kv, 50000, 50000 + 6000);
    const uint32_t count = pin_until_full(pinned, &status);
    cr_expect_eq(status, SPILLKV_EFULL, "%s", spillkv_strerror(status));
    cr_expect_gt(count, 1000);
    cr_expect_leq(kv_stats(test.kv).memory.total, KV_TINY);
    cr_expect_eq(kv_set(test.kv, 60000, 0, KV_VALUE), SPILLKV_EFULL);
    cr_expect_eq(kv_has(test.kv, 60000), SPILLKV_NOT_FOUND);
    cr_expect_eq(kv_pin(test.kv, 90000, &more), SPILLKV_EFULL);
    cr_expect(kv_pinned_is_none(&more));
    kv_expect_filled(test.kv, 50000, 50000 + 6000);
    cr_expect_eq(kv_get(test.kv, 90000, 1, 100 << 10), SPILLKV_OK);
    KV_OK(kv_del(test.kv, 50000));
    expect_all_and_unpin(pinned, count);
    kv_fill(test.kv, 60000, 60000 + KV_MANY);
    kv_expect_filled(test.kv, 60000, 60000 + KV_MANY);
    kv_expect_filled(test.kv, 0, count);
    kv_expect_consistent(test.kv);
    kv_close(&test);
    free(pinned);
}

Test(pins_limits, that_hold_all_memory_of_a_store_without_disk_lose_nothing)
{
    spillkv_pinned *const pinned = malloc(HELD_MOST * sizeof(*pinned));
    spillkv_status status;
    kv_open_memory(&test, KV_TINY, SPILLKV_FULL_FAIL);
    const uint32_t count = pin_until_full(pinned, &status);
    cr_expect_eq(status, SPILLKV_EFULL);
    for (uint32_t i = 0; i < count; i += 2) {
        KV_OK(kv_del(test.kv, i));
    }
    cr_expect_eq(kv_set(test.kv, 60000, 0, 64 << 10), SPILLKV_EFULL);
    expect_all_and_unpin(pinned, count);
    KV_OK(kv_set(test.kv, 60000, 0, 64 << 10));
    for (uint32_t i = 1; i < count; i += 2) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
    free(pinned);
}

Test(pins_limits, that_hold_all_memory_of_a_cache_keep_their_values)
{
    spillkv_pinned *const pinned = malloc(HELD_MOST * sizeof(*pinned));
    spillkv_status status;
    kv_open_memory(&test, KV_TINY, SPILLKV_FULL_DROP);
    const uint32_t count = pin_until_full(pinned, &status);
    cr_expect_eq(status, SPILLKV_EFULL);
    expect_all_and_unpin(pinned, count);
    kv_fill(test.kv, 60000, 60000 + KV_MANY);
    kv_expect_consistent(test.kv);
    kv_close(&test);
    free(pinned);
}

/* Mistakes and failures. */

Test(pins_limits, of_nothing_are_refused)
{
    static const spillkv_pinned garbage[] = {
        {.value = "x", .value_size = 1},
        {.value = "x", .value_size = 1, .reserved = {1, 0}},
        {.value = "x", .value_size = SIZE_MAX, .reserved = {UINT32_MAX, 1}},
        {.value = NULL, .value_size = 0, .reserved = {UINT64_MAX, UINT64_MAX}},
        {.value = NULL, .value_size = 5, .reserved = {UINT64_C(1) << 32 | 1, 0}},
    };

    spillkv_pinned pinned;
    kv_open_tiny(&test);
    KV_OK(kv_set(test.kv, 1, 1, 100));
    KV_OK(kv_pin(test.kv, 1, &pinned));
    const spillkv_pinned copy = pinned;
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        spillkv_pinned wrong = garbage[i];
        cr_expect_eq(spillkv_unpin(test.kv, &wrong), SPILLKV_EINVAL, "garbage %zu", i);
        cr_expect_eq(memcmp(&wrong, &garbage[i], sizeof(wrong)), 0);
    }
    cr_expect_eq(spillkv_unpin(test.kv, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_unpin(NULL, &pinned), SPILLKV_EINVAL);
    cr_expect(kv_pinned_is(&pinned, 1, 1, 100));
    kv_unpin(test.kv, &pinned);
    cr_expect_eq(spillkv_unpin(test.kv, &pinned), SPILLKV_EINVAL, "the same again");
    spillkv_pinned again = copy;
    cr_expect_eq(spillkv_unpin(test.kv, &again), SPILLKV_EINVAL, "a copy of it");
    cr_expect_eq(kv_stats(test.kv).total.pinned, 0);
    kv_close(&test);
}

Test(pins_limits, of_another_store_are_refused)
{
    struct kv_test other;
    spillkv_pinned pinned[2];
    kv_open_tiny(&test);
    kv_open_tiny(&other);
    KV_OK(kv_set(test.kv, 1, 1, 100));
    KV_OK(kv_set(other.kv, 1, 1, 100));
    KV_OK(kv_pin(test.kv, 1, &pinned[0]));
    KV_OK(kv_pin(other.kv, 1, &pinned[1]));
    cr_expect_eq(spillkv_unpin(other.kv, &pinned[0]), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_unpin(test.kv, &pinned[1]), SPILLKV_EINVAL);
    kv_unpin(test.kv, &pinned[0]);
    KV_OK(spillkv_unpin(other.kv, &pinned[1]));
    kv_close(&other);
    kv_close(&test);
}

Test(pins_limits, with_bad_arguments_are_refused)
{
    spillkv_pinned pinned;
    kv_open_tiny(&test);
    memset(&pinned, 1, sizeof(pinned));
    cr_expect_eq(spillkv_pin(test.kv, NULL, 3, &pinned), SPILLKV_EINVAL);
    cr_expect(kv_pinned_is_none(&pinned));
    memset(&pinned, 1, sizeof(pinned));
    cr_expect_eq(spillkv_pin(test.kv, "key", 0, &pinned), SPILLKV_EINVAL);
    cr_expect(kv_pinned_is_none(&pinned));
    cr_expect_eq(spillkv_pin(NULL, "key", 3, &pinned), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_pin(test.kv, "key", 3, NULL), SPILLKV_EINVAL);
    cr_expect_eq(spillkv_try_pin(test.kv, "key", SPILLKV_KEY_MAX + 1, &pinned), SPILLKV_EINVAL);
    kv_close(&test);
}

Test(pins_limits, keep_a_store_from_being_closed)
{
    spillkv_pinned pinned;
    kv_open_tiny(&test);
    kv_fill(test.kv, 0, KV_MANY);
    KV_OK(kv_pin(test.kv, 7, &pinned));
    cr_expect_eq(spillkv_close(test.kv), SPILLKV_EBUSY);
    cr_expect(kv_pinned_is(&pinned, 7, 0, KV_VALUE));
    kv_fill(test.kv, KV_MANY, KV_MANY + 6000);
    kv_expect_filled(test.kv, 0, KV_MANY + 6000);
    kv_unpin(test.kv, &pinned);
    kv_close(&test);
}

Test(pins_limits, of_a_spilled_value_say_that_the_disk_fails)
{
    static const size_t lengths[] = {600, 100 << 10};

    spillkv_pinned pinned;
    fault_vfs_register();
    kv_options(&test);
    test.options.sqlite_vfs = FAULT_VFS_NAME;
    kv_open(&test);
    for (uint32_t i = 0; i < 2; i++) {
        KV_OK(kv_set(test.kv, i, 1, lengths[i]));
    }
    kv_fill(test.kv, 100, 100 + KV_MANY);
    KV_OK(spillkv_flush(test.kv));
    const uint64_t entries = kv_stats(test.kv).memory.entries;
    fault_vfs_set(FAULT_READ, 1, SQLITE_IOERR_READ, true);
    for (uint32_t i = 0; i < 2; i++) {
        cr_expect_eq(kv_pin(test.kv, i, &pinned), SPILLKV_EIO);
        cr_expect(kv_pinned_is_none(&pinned));
    }
    fault_vfs_clear();
    cr_expect_leq(kv_stats(test.kv).memory.entries, entries);
    for (uint32_t i = 0; i < 2; i++) {
        KV_OK(kv_pin(test.kv, i, &pinned));
        cr_expect(kv_pinned_is(&pinned, i, 1, lengths[i]));
        kv_unpin(test.kv, &pinned);
    }
    kv_close(&test);
}

/** In a child the value is there, and only there to be read. */
Test(pins_limits, stay_readable_in_a_forked_child)
{
    spillkv_pinned pinned;
    int status = -1;
    kv_open_tiny(&test);
    KV_OK(kv_set(test.kv, 1, 1, 64 << 10));
    KV_OK(kv_pin(test.kv, 1, &pinned));
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        spillkv_pinned copy = pinned;
        const bool fine = spillkv_unpin(test.kv, &copy) == SPILLKV_EFORKED &&
                          kv_pinned_is(&copy, 1, 1, 64 << 10) &&
                          kv_pin(test.kv, 1, &copy) == SPILLKV_EFORKED &&
                          kv_pinned_is_none(&copy) && kv_pinned_is(&pinned, 1, 1, 64 << 10);
        _exit(fine ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect(kv_pinned_is(&pinned, 1, 1, 64 << 10));
    kv_unpin(test.kv, &pinned);
    kv_close(&test);
}

/* Threads. */

#define THREADS 3
#define SHARED  64u
#define ROUNDS  3000u

struct hand_over {
    pthread_mutex_t lock;
    spillkv_pinned pinned;
    uint32_t number;
    bool full;
};

static struct hand_over slots[8] = {
    {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false}, {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false},
    {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false}, {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false},
    {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false}, {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false},
    {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false}, {PTHREAD_MUTEX_INITIALIZER, {0}, 0, false},
};

static _Atomic uint32_t wrong;

static size_t size_of(uint32_t number)
{
    return number % 8 == 0 ? 40000 : 50 + number * 20;
}

/** Whether it is the value of any version: the first word tells. */
static bool is_some_version(const spillkv_pinned *pinned, uint32_t number)
{
    for (uint32_t version = 0; version < 4; version++) {
        if (kv_pinned_is(pinned, number, version, size_of(number))) {
            return true;
        }
    }
    return false;
}

/** Puts a pin where any thread may take and end it. */
static void hand_over(uint32_t number, spillkv_pinned pinned)
{
    struct hand_over *const slot = &slots[number % 8];
    pthread_mutex_lock(&slot->lock);
    struct hand_over before = {.pinned = slot->pinned, .number = slot->number, .full = slot->full};
    slot->pinned = pinned;
    slot->number = number;
    slot->full = true;
    pthread_mutex_unlock(&slot->lock);
    if (before.full) {
        wrong += !is_some_version(&before.pinned, before.number);
        wrong += spillkv_unpin(test.kv, &before.pinned) != SPILLKV_OK;
    }
}

static void *pin_and_change(void *argument)
{
    uint32_t random = *(const uint32_t *)argument * 7919 + 1;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        const uint32_t number = (random >> 16) % SHARED;
        spillkv_pinned pinned;
        switch ((random >> 8) % 4) {
        case 0:
            wrong += kv_set(test.kv, number, random >> 30, size_of(number)) != SPILLKV_OK;
            break;
        case 1:
            if (i % 16 == 0) {
                const spillkv_status deleted = kv_del(test.kv, number);
                wrong += deleted != SPILLKV_OK && deleted != SPILLKV_NOT_FOUND;
            }
            wrong += kv_set(test.kv, SHARED + i, 0, KV_VALUE) != SPILLKV_OK;
            break;
        default: {
            const spillkv_status status = kv_pin(test.kv, number, &pinned);
            wrong += status != SPILLKV_OK && status != SPILLKV_NOT_FOUND;
            if (status == SPILLKV_OK) {
                wrong += !is_some_version(&pinned, number);
                hand_over(number, pinned);
            }
        }
        }
    }
    return NULL;
}

Test(pins_limits, are_taken_and_ended_by_different_threads_while_the_keys_change)
{
    pthread_t threads[THREADS];
    uint32_t seeds[THREADS];
    kv_options(&test);
    test.options.shards = 2;
    test.options.max_mem = 2 * KV_TINY;
    kv_open(&test);
    for (uint32_t i = 0; i < THREADS; i++) {
        seeds[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, pin_and_change, &seeds[i]), 0);
    }
    for (uint32_t i = 0; i < 20; i++) {
        KV_OK(spillkv_clear(test.kv));
        kv_fill(test.kv, 100000, 100000 + 1000);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        if (slots[i].full) {
            cr_expect(is_some_version(&slots[i].pinned, slots[i].number));
            kv_unpin(test.kv, &slots[i].pinned);
        }
    }
    cr_expect_eq(wrong, 0);
    cr_expect_eq(kv_stats(test.kv).total.pinned, 0);
    (void)!spillkv_flush(test.kv);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}
