/* SPDX-License-Identifier: MIT */
/* A few threads at once on one small store; the long runs are in tests/stress. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/kv.h"

#define THREADS 3
#define OWN     4000u /* keys of each thread */

static struct kv_test test;

static void open_test(void)
{
    kv_options(&test);
    test.options.shards = 2;
    test.options.max_mem = 2 * KV_TINY;
    kv_open(&test);
}

static void close_test(void)
{
    (void)!spillkv_flush(test.kv);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

TestSuite(threads, .init = open_test, .fini = close_test, .timeout = 60);

struct worker {
    pthread_t thread;
    uint32_t index;
    uint32_t wrong;
};

static void run_all(void *(*body)(void *worker))
{
    struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.index = i};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
        cr_expect_eq(workers[i].wrong, 0, "thread %u: %u wrong answers", i, workers[i].wrong);
    }
}

/** Each thread has keys of its own and knows what they hold. */
static void *own_keys(void *argument)
{
    struct worker *const worker = argument;
    const uint32_t first = worker->index * OWN;
    for (uint32_t version = 0; version < 3; version++) {
        for (uint32_t i = first; i < first + OWN; i++) {
            worker->wrong += kv_set(test.kv, i, version, KV_VALUE + version) != SPILLKV_OK;
        }
        for (uint32_t i = first; i < first + OWN; i++) {
            worker->wrong += kv_get(test.kv, i, version, KV_VALUE + version) != SPILLKV_OK;
        }
    }
    for (uint32_t i = first; i < first + OWN; i += 2) {
        worker->wrong += kv_del(test.kv, i) != SPILLKV_OK;
        worker->wrong += kv_has(test.kv, i) != SPILLKV_NOT_FOUND;
        worker->wrong += kv_has(test.kv, i + 1) != SPILLKV_OK;
    }
    return NULL;
}

Test(threads, each_sees_its_own_writes)
{
    run_all(own_keys);
    cr_expect_eq(kv_count(test.kv), THREADS * OWN / 2);
}

/** All threads set, read and delete the same keys; a value is always one that was set. */
static void *shared_keys(void *argument)
{
    struct worker *const worker = argument;
    uint32_t random = worker->index + 1;
    for (uint32_t step = 0; step < 8000; step++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t number = (random >> 8) % 64;
        int status = SPILLKV_OK;
        switch ((random >> 20) % 4) {
        case 0:
            status = kv_del(test.kv, number);
            break;
        case 1:
            status = kv_set(test.kv, number, 0, KV_VALUE);
            break;
        default:
            status = kv_get(test.kv, number, 0, KV_VALUE);
            break;
        }
        worker->wrong += status != SPILLKV_OK && status != SPILLKV_NOT_FOUND;
        /* So that the shared keys are spilled now and then. */
        worker->wrong +=
            kv_set(test.kv, 1000 + worker->index * 10000 + step, 0, 1000) != SPILLKV_OK;
    }
    return NULL;
}

Test(threads, share_keys_without_torn_values)
{
    run_all(shared_keys);
}

static atomic_uint turn;

/** One writer counts a key up; the others never see it go back. */
static void *monotonic(void *argument)
{
    struct worker *const worker = argument;
    uint64_t last = 0;
    for (uint64_t step = 1; worker->index == 0 ? step <= 6000 : !atomic_load(&turn); step++) {
        uint64_t seen = 0;
        if (worker->index == 0) {
            worker->wrong += spillkv_set(test.kv, "count", 5, &step, sizeof(step)) != SPILLKV_OK;
            worker->wrong += kv_set(test.kv, (uint32_t)step, 0, 2000) != SPILLKV_OK;
            continue;
        }
        const spillkv_status status = spillkv_get(test.kv, "count", 5, &seen, sizeof(seen), NULL);
        worker->wrong += status != SPILLKV_OK && status != SPILLKV_NOT_FOUND;
        worker->wrong += status == SPILLKV_OK && seen < last;
        last = status == SPILLKV_OK ? seen : last;
    }
    if (worker->index == 0) {
        atomic_store(&turn, 1);
    }
    return NULL;
}

Test(threads, never_see_an_older_value_again)
{
    run_all(monotonic);
}

static int count_visit(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    (void)value, (void)value_size;
    if (key_size == 12 && memcmp(key, "key-0009", 8) == 0) {
        ++*(uint32_t *)context;
    }
    return 0;
}

/** One iterates: keys 90000 .. 92999 stay meanwhile, the others come and go. */
static void *iterate_or_churn(void *argument)
{
    struct worker *const worker = argument;
    if (worker->index == 0) {
        for (int round = 0; round < 4; round++) {
            uint32_t visited = 0;
            worker->wrong += spillkv_each(test.kv, count_visit, &visited) != SPILLKV_OK;
            worker->wrong += visited != 3000;
        }
        atomic_store(&turn, 1);
        return NULL;
    }
    for (uint32_t step = 0; !atomic_load(&turn); step++) {
        const uint32_t number = worker->index * 10000 + step % 5000;
        worker->wrong += kv_set(test.kv, number, 0, KV_VALUE) != SPILLKV_OK;
        worker->wrong += kv_get(test.kv, 90000 + step % 3000, 0, KV_VALUE) != SPILLKV_OK;
        if (step % 3 == 0) {
            worker->wrong += kv_del(test.kv, number) != SPILLKV_OK;
        }
    }
    return NULL;
}

Test(threads, iterate_while_others_write)
{
    kv_fill(test.kv, 90000, 93000);
    run_all(iterate_or_churn);
    kv_expect_filled(test.kv, 90000, 93000);
}

static void *clear_or_write(void *argument)
{
    struct worker *const worker = argument;
    for (uint32_t i = 0; i < 6000; i++) {
        if (worker->index == 0 && i % 500 == 0) {
            worker->wrong += spillkv_clear(test.kv) != SPILLKV_OK;
        }
        const uint32_t number = worker->index * 10000 + i;
        worker->wrong += kv_set(test.kv, number, 0, KV_VALUE) != SPILLKV_OK;
        const int status = kv_get(test.kv, number, 0, KV_VALUE);
        worker->wrong += status != SPILLKV_OK && status != SPILLKV_NOT_FOUND;
    }
    return NULL;
}

Test(threads, clear_while_others_write)
{
    run_all(clear_or_write);
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(kv_count(test.kv), 0);
}

static void *open_and_close(void *argument)
{
    struct worker *const worker = argument;
    char path[PATH_MAX + 32];
    for (int round = 0; round < 10; round++) {
        spillkv_options options = test.options;
        spillkv *kv;
        snprintf(path, sizeof(path), "%s-%u", test.path, worker->index);
        options.path = path;
        const spillkv_status status = spillkv_open(&options, &kv);
        worker->wrong += status != SPILLKV_OK;
        if (status == SPILLKV_OK) {
            worker->wrong += kv_set(kv, 1, 0, KV_VALUE) != SPILLKV_OK;
            worker->wrong += spillkv_close(kv) != SPILLKV_OK;
        }
    }
    return NULL;
}

Test(threads, open_and_close_stores_of_their_own)
{
    run_all(open_and_close);
}

/** All want the same directory: one at a time gets it, the others are told. */
static void *contend(void *argument)
{
    struct worker *const worker = argument;
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s-shared", test.path);
    for (int round = 0; round < 30; round++) {
        spillkv_options options = test.options;
        spillkv *kv;
        options.path = path;
        const spillkv_status status = spillkv_open(&options, &kv);
        worker->wrong += status != SPILLKV_OK && status != SPILLKV_EBUSY;
        if (status == SPILLKV_OK) {
            worker->wrong += kv_set(kv, 1, 0, KV_VALUE) != SPILLKV_OK;
            worker->wrong += spillkv_close(kv) != SPILLKV_OK;
        }
    }
    return NULL;
}

Test(threads, get_a_directory_one_at_a_time)
{
    run_all(contend);
    /* Who takes it over while its creator closes did not create it, and leaves it: but empty. */
    if (tempdir_has(&test.dir, "store-shared")) {
        cr_expect_eq(rmdir(tempdir_file(&test.dir, "store-shared")), 0);
    }
}
