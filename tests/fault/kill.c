/* SPDX-License-Identifier: MIT */
/*
 * A process that uses a store is killed at any moment: while it opens it, spills, compacts, clears,
 * changes the limit, closes. The next open works at once, finds nothing, and leaves nothing.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/kv.h"
#include "support/model.h"

#define KILLS       (TEST_SANITIZED ? 40 : 200)
#define LIFE_US     50000u /* at most */
#define THREADS     3u
#define NUMBERS     6000u
#define CALLS       3000u /* of a thread, between an open and a close */
#define OLD_VERSION 1u
#define NEW_VERSION 2u

static struct kv_test test;

static void prepare(void)
{
    kv_options(&test);
    test.options.max_mem = 2 * KV_TINY;
    test.options.shards = 2;
}

static void clean_up(void)
{
    tempdir_remove(&test.dir);
}

TestSuite(kill, .init = prepare, .fini = clean_up, .timeout = 300);

static void *use_heavily(void *argument)
{
    spillkv *const kv = test.kv;
    uint64_t random = *(const uint64_t *)argument;
    for (uint32_t i = 0; i < CALLS; i++) {
        const uint32_t number = (uint32_t)(model_random(&random) % NUMBERS);
        const uint32_t kind = (uint32_t)(model_random(&random) % 1000);
        const size_t size = model_random(&random) % (kind < 10 ? 60000 : 2000);
        if (kind < 600) {
            (void)!kv_set(kv, number, OLD_VERSION, size);
        } else if (kind < 900) {
            (void)kv_get(kv, number, OLD_VERSION, size);
        } else if (kind < 990) {
            (void)!kv_del(kv, number);
        } else if (kind < 997) {
            (void)!spillkv_flush(kv);
        } else if (kind < 999) {
            (void)!spillkv_set_max_mem(kv, KV_TINY + model_random(&random) % KV_TINY);
        } else {
            (void)!spillkv_clear(kv);
        }
    }
    return NULL;
}

/** Opens, uses, closes, again and again, until it is killed. */
_Noreturn static void live(uint64_t random)
{
    for (;;) {
        pthread_t threads[THREADS];
        uint64_t seeds[THREADS];
        if (spillkv_open(&test.options, &test.kv) != SPILLKV_OK) {
            _exit(1);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            seeds[i] = model_random(&random);
            if (pthread_create(&threads[i], NULL, use_heavily, &seeds[i]) != 0) {
                _exit(2);
            }
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            (void)pthread_join(threads[i], NULL);
        }
        if (spillkv_close(test.kv) != SPILLKV_OK) {
            _exit(3);
        }
    }
}

static void expect_killed(pid_t child)
{
    int status;
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
}

/** How many names there are in the store's directory; 0 if it is not there. */
static unsigned count_names(void)
{
    DIR *const directory = opendir(test.path);
    unsigned names = 0;
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        names += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return names;
}

static int count_visit(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    (void)key, (void)key_size, (void)value, (void)value_size;
    ++*(unsigned *)context;
    return 0;
}

/** The store opens at once, is empty, works, and leaves nothing. */
static void expect_fresh_start(void)
{
    unsigned visited = 0;
    kv_open(&test);
    cr_assert_eq(kv_count(test.kv), 0);
    KV_OK(spillkv_each(test.kv, count_visit, &visited));
    cr_assert_eq(visited, 0);
    for (uint32_t i = 0; i < NUMBERS; i += 100) {
        cr_assert_eq(kv_has(test.kv, i), SPILLKV_NOT_FOUND);
        KV_OK(kv_set(test.kv, i, NEW_VERSION, KV_VALUE));
    }
    for (uint32_t i = 0; i < NUMBERS; i += 100) {
        cr_assert_eq(kv_get(test.kv, i, NEW_VERSION, KV_VALUE), SPILLKV_OK);
    }
    KV_OK(spillkv_close(test.kv));
    cr_assert_eq(count_names(), 0);
}

Test(kill, at_any_moment_leaves_a_directory_that_opens_empty)
{
    KV_NEED_OPEN_IN_CHILD();
    uint64_t random = model_seed("kill", 1);
    unsigned left = 0;
    for (int i = 0; i < KILLS; i++) {
        const uint64_t seed = model_random(&random);
        const struct timespec life = {.tv_nsec = (long)(model_random(&random) % LIFE_US) * 1000};
        const pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            live(seed);
        }
        (void)nanosleep(&life, NULL);
        expect_killed(child);
        left += count_names() != 0;
        expect_fresh_start();
        if (i % 2 == 0) {
            /* The next one makes the directory itself. */
            (void)rmdir(test.path);
        }
    }
    cr_expect_gt(left, KILLS / 2, "only %u were killed while their files were there", left);
}

Test(kill, of_the_first_process_lets_a_second_one_in_that_was_refused)
{
    KV_NEED_OPEN_IN_CHILD();
    for (int i = 0; i < 20; i++) {
        int ready[2];
        char byte;
        cr_assert_eq(pipe(ready), 0);
        const pid_t child = fork();
        if (child == 0) {
            kv_open(&test);
            (void)!write(ready[1], "r", 1);
            for (uint32_t number = 0;; number++) {
                (void)!kv_set(test.kv, number % NUMBERS, OLD_VERSION, KV_VALUE);
            }
        }
        (void)close(ready[1]);
        cr_assert_eq(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        cr_assert_eq(spillkv_open(&test.options, &test.kv), SPILLKV_EBUSY);
        cr_assert_null(test.kv);
        expect_killed(child);
        expect_fresh_start();
    }
}
