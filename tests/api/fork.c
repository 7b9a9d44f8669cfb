/* SPDX-License-Identifier: MIT */
/* A child made by fork() gets SPILLKV_EFORKED from every call; the parent's store is unharmed. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/kv.h"

static struct kv_test test;

static void open_filled(void)
{
    kv_open_tiny(&test);
    kv_fill(test.kv, 0, KV_MANY);
}

static void close_test(void)
{
    kv_close(&test);
}

TestSuite(fork, .init = open_filled, .fini = close_test, .timeout = 60);

static int visit_none(void *context, const void *key, size_t key_size, const void *value,
                      size_t value_size)
{
    (void)context, (void)key, (void)key_size, (void)value, (void)value_size;
    return 0;
}

/** In a child: has every call be refused and set its outputs; returns the number of the first that
 *  is not, 0 if there is none. */
static int first_call_not_refused(spillkv *kv)
{
    char buffer[8];
    void *value = buffer;
    size_t size = 99;
    uint64_t count = 99;
    spillkv_pinned pinned = {.value = buffer};
    spillkv_stats_data stats;
    spillkv_counters counters;
    spillkv_item item = {.key = "key-00000001",
                         .key_size = 12,
                         .value_size = 99,
                         .buffer = buffer,
                         .capacity = sizeof(buffer)};
    memset(&stats, 1, sizeof(stats));
    memset(&counters, 1, sizeof(counters));
    const bool refused[] = {
        spillkv_set(kv, "key-00000001", 12, "value", 5) == SPILLKV_EFORKED,
        spillkv_get(kv, "key-00000001", 12, buffer, sizeof(buffer), &size) == SPILLKV_EFORKED,
        size == 0,
        spillkv_get_copy(kv, "key-00000001", 12, &value, &size) == SPILLKV_EFORKED && value == NULL,
        spillkv_unpin(kv, &pinned) == SPILLKV_EFORKED && pinned.value == buffer,
        spillkv_pin(kv, "key-00000001", 12, &pinned) == SPILLKV_EFORKED && pinned.value == NULL,
        spillkv_try_pin(kv, "key-00000001", 12, &pinned) == SPILLKV_EFORKED,
        spillkv_try_set(kv, "key-00000001", 12, "value", 5) == SPILLKV_EFORKED,
        spillkv_try_get(kv, "key-00000001", 12, buffer, sizeof(buffer), NULL) == SPILLKV_EFORKED,
        spillkv_try_get_copy(kv, "key-00000001", 12, &value, &size) == SPILLKV_EFORKED,
        spillkv_try_del(kv, "key-00000001", 12) == SPILLKV_EFORKED,
        spillkv_try_has(kv, "key-00000001", 12) == SPILLKV_EFORKED,
        spillkv_del(kv, "key-00000001", 12) == SPILLKV_EFORKED,
        spillkv_get_many(kv, &item, 1) == SPILLKV_EFORKED && item.status == SPILLKV_EFORKED,
        item.value_size == 0 && item.value == NULL,
        spillkv_set_many(kv, &item, 1) == SPILLKV_EFORKED && item.status == SPILLKV_EFORKED,
        spillkv_del_many(kv, &item, 1) == SPILLKV_EFORKED && item.status == SPILLKV_EFORKED,
        spillkv_has(kv, "key-00000001", 12) == SPILLKV_EFORKED,
        spillkv_count(kv, &count) == SPILLKV_EFORKED && count == 0,
        spillkv_clear(kv) == SPILLKV_EFORKED,
        spillkv_each(kv, visit_none, NULL) == SPILLKV_EFORKED,
        spillkv_flush(kv) == SPILLKV_EFORKED,
        spillkv_stats(kv, &stats) == SPILLKV_EFORKED && stats.memory.total == 0,
        spillkv_shard_stats(kv, 0, &counters) == SPILLKV_EFORKED && counters.sets == 0,
        spillkv_close(kv) == SPILLKV_EFORKED,
        spillkv_close(kv) == SPILLKV_EFORKED,
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (!refused[i]) {
            return (int)i + 1;
        }
    }
    return 0;
}

/** Runs `body` in a child, expects that it returns 0. */
static void expect_in_child(int (*body)(spillkv *kv))
{
    int status = -1;
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        _exit(body(test.kv));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

Test(fork, every_call_in_a_child_is_refused)
{
    expect_in_child(first_call_not_refused);
}

Test(fork, the_parent_goes_on)
{
    expect_in_child(first_call_not_refused);
    cr_expect(tempdir_has(&test.dir, "store/shard-000.db"));
    kv_expect_filled(test.kv, 0, KV_MANY);
    kv_fill(test.kv, KV_MANY, KV_MANY + 6000);
    kv_expect_filled(test.kv, KV_MANY, KV_MANY + 6000);
    cr_expect_eq(kv_count(test.kv), KV_MANY + 6000);
}

static int refuse_in_grandchild(spillkv *kv)
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
        _exit(first_call_not_refused(kv));
    }
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

Test(fork, a_grandchild_is_refused_too)
{
    expect_in_child(refuse_in_grandchild);
}

/** A child may have stores of its own. */
static int use_own_store(spillkv *kv)
{
    spillkv_options options = test.options;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s-child", test.path);
    options.path = path;
    if (first_call_not_refused(kv) != 0 || spillkv_open(&options, &kv) != SPILLKV_OK) {
        return 1;
    }
    for (uint32_t i = 0; i < 6000; i++) {
        if (kv_set(kv, i, 3, KV_VALUE) != SPILLKV_OK) {
            return 2;
        }
    }
    for (uint32_t i = 0; i < 6000; i++) {
        if (kv_get(kv, i, 3, KV_VALUE) != SPILLKV_OK) {
            return 3;
        }
    }
    return spillkv_close(kv) == SPILLKV_OK ? 0 : 4;
}

Test(fork, a_child_may_open_a_store_of_its_own)
{
    KV_NEED_OPEN_IN_CHILD();
    /* No thread may be in SQLite: its locks would be held in the child for ever. */
    KV_OK(spillkv_flush(test.kv));
    expect_in_child(use_own_store);
    cr_expect_not(tempdir_has(&test.dir, "store-child"));
    kv_expect_filled(test.kv, 0, KV_MANY);
}

static int find_directory_busy(spillkv *kv)
{
    return spillkv_open(&test.options, &kv) == SPILLKV_EBUSY ? 0 : 1;
}

Test(fork, a_child_finds_the_directory_busy)
{
    expect_in_child(find_directory_busy);
}

Test(fork, a_child_that_lives_on_does_not_keep_the_directory)
{
    int hold[2];
    int status;
    cr_assert_eq(pipe(hold), 0);
    const pid_t child = fork();
    if (child == 0) {
        char byte;
        (void)close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    KV_OK(spillkv_close(test.kv));
    cr_expect_not(tempdir_has(&test.dir, "store"));
    kv_open(&test);
    (void)close(hold[1]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    kv_fill(test.kv, 0, 6000);
    kv_expect_filled(test.kv, 0, 6000);
}

static atomic_bool stop;

static void *keep_busy(void *argument)
{
    uint32_t failures = 0;
    const uint32_t first = *(uint32_t *)argument;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        const uint32_t number = first + i % 4000;
        failures += kv_set(test.kv, number, 0, KV_VALUE) != SPILLKV_OK;
        failures += kv_get(test.kv, (number * 7) % KV_MANY, 0, KV_VALUE) != SPILLKV_OK;
    }
    *(uint32_t *)argument = failures;
    return NULL;
}

Test(fork, works_while_other_threads_hold_locks)
{
    pthread_t threads[2];
    uint32_t firsts[2] = {0, 8000};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_busy, &firsts[i]), 0);
    }
    for (int i = 0; i < 30; i++) {
        expect_in_child(first_call_not_refused);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_expect_eq(firsts[i], 0);
    }
    kv_expect_filled(test.kv, 0, KV_MANY);
}
