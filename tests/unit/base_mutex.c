/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <time.h>

#include "base/mutex.h"

static void mutex_init(struct skv_mutex *mutex, enum skv_lock_rank rank)
{
    cr_assert(skv_mutex_init(mutex, rank));
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define THREADS 4
#define ROUNDS  20000

struct shared {
    struct skv_mutex mutex;
    struct skv_cond cond;
    unsigned counter;
};

static void *count_up(void *context)
{
    struct shared *const shared = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        skv_mutex_lock(&shared->mutex);
        shared->counter++;
        skv_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

Test(mutex, lets_one_thread_in_at_a_time, .timeout = 30)
{
    struct shared shared = {.counter = 0};
    pthread_t threads[THREADS];
    cr_assert(skv_mutex_init(&shared.mutex, SKV_RANK_SHARD));
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_expect_eq(shared.counter, THREADS * ROUNDS);
    skv_mutex_fini(&shared.mutex);
}

static void *try_once(void *context)
{
    struct shared *const shared = context;
    if (skv_mutex_trylock(&shared->mutex)) {
        shared->counter++;
        skv_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

static void try_elsewhere(struct shared *shared)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, try_once, shared), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(mutex, trylock_gets_a_free_lock_only, .timeout = 30)
{
    struct shared shared = {.counter = 0};
    cr_assert(skv_mutex_init(&shared.mutex, SKV_RANK_SHARD));
    skv_mutex_lock(&shared.mutex);
    try_elsewhere(&shared);
    cr_expect_eq(shared.counter, 0);
    skv_mutex_unlock(&shared.mutex);
    try_elsewhere(&shared);
    cr_expect_eq(shared.counter, 1);
    skv_mutex_fini(&shared.mutex);
}

Test(mutex, ranks_may_be_taken_upwards_again_and_again)
{
    struct skv_mutex engine;
    mutex_init(&engine, SKV_RANK_ENGINE);
    struct skv_mutex shard;
    mutex_init(&shard, SKV_RANK_SHARD);
    struct skv_mutex leaf;
    mutex_init(&leaf, SKV_RANK_LEAF);
    for (unsigned i = 0; i < 100; i++) {
        skv_mutex_lock(&engine);
        skv_mutex_lock(&shard);
        skv_mutex_unlock(&engine);
        skv_mutex_lock(&leaf);
        skv_mutex_assert_none_held(SKV_RANK_ENGINE);
        skv_mutex_assert_none_held(SKV_RANK_SPILL);
        skv_mutex_unlock(&shard);
        skv_mutex_unlock(&leaf);
    }
    skv_mutex_fini(&leaf);
    skv_mutex_fini(&shard);
    skv_mutex_fini(&engine);
}

Test(mutex, trylock_may_go_against_the_ranks)
{
    struct skv_mutex shard;
    mutex_init(&shard, SKV_RANK_SHARD);
    struct skv_mutex engine;
    mutex_init(&engine, SKV_RANK_ENGINE);
    skv_mutex_lock(&shard);
    bool locked = false;
    if (skv_mutex_trylock(&engine)) {
        locked = true;
        skv_mutex_unlock(&engine);
    }
    skv_mutex_unlock(&shard);
    cr_expect(locked);
    skv_mutex_fini(&engine);
    skv_mutex_fini(&shard);
}

Test(cond, wait_ends_when_the_time_is_over, .timeout = 30)
{
    struct shared shared = {.counter = 0};
    cr_assert(skv_mutex_init(&shared.mutex, SKV_RANK_ENGINE));
    cr_assert(skv_cond_init(&shared.cond));
    const uint64_t before = now_ms();
    skv_mutex_lock(&shared.mutex);
    while (skv_cond_wait_ms(&shared.cond, &shared.mutex, 30)) {
    }
    cr_expect(!skv_cond_wait_ms(&shared.cond, &shared.mutex, 0));
    skv_mutex_unlock(&shared.mutex);
    cr_expect_geq(now_ms() - before, 29);
    skv_cond_fini(&shared.cond);
    skv_mutex_fini(&shared.mutex);
}

static void *answer(void *context)
{
    struct shared *const shared = context;
    skv_mutex_lock(&shared->mutex);
    while (shared->counter != 1) {
        skv_cond_wait(&shared->cond, &shared->mutex);
    }
    shared->counter = 2;
    skv_cond_broadcast(&shared->cond);
    skv_mutex_unlock(&shared->mutex);
    return NULL;
}

Test(cond, wakes_the_thread_that_waits, .timeout = 30)
{
    struct shared shared = {.counter = 0};
    pthread_t thread;
    cr_assert(skv_mutex_init(&shared.mutex, SKV_RANK_ENGINE));
    cr_assert(skv_cond_init(&shared.cond));
    cr_assert_eq(pthread_create(&thread, NULL, answer, &shared), 0);
    skv_mutex_lock(&shared.mutex);
    shared.counter = 1;
    skv_cond_signal(&shared.cond);
    while (shared.counter != 2) {
        (void)skv_cond_wait_ms(&shared.cond, &shared.mutex, 60000);
    }
    skv_mutex_unlock(&shared.mutex);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    skv_cond_fini(&shared.cond);
    skv_mutex_fini(&shared.mutex);
}

#if SKV_DEBUG_LEVEL >= 1

Test(mutex, aborts_when_a_lower_rank_is_taken_second, .signal = SIGABRT)
{
    struct skv_mutex shard;
    mutex_init(&shard, SKV_RANK_SHARD);
    struct skv_mutex engine;
    mutex_init(&engine, SKV_RANK_ENGINE);
    skv_mutex_lock(&shard);
    skv_mutex_lock(&engine);
    skv_mutex_unlock(&engine);
    skv_mutex_unlock(&shard);
}

Test(mutex, aborts_when_two_locks_of_a_rank_are_taken, .signal = SIGABRT)
{
    struct skv_mutex shard;
    mutex_init(&shard, SKV_RANK_SHARD);
    struct skv_mutex io;
    mutex_init(&io, SKV_RANK_IO);
    skv_mutex_lock(&shard);
    skv_mutex_lock(&io);
    skv_mutex_unlock(&io);
    skv_mutex_unlock(&shard);
}

Test(mutex, aborts_when_a_tried_rank_is_above, .signal = SIGABRT)
{
    struct skv_mutex leaf;
    mutex_init(&leaf, SKV_RANK_LEAF);
    struct skv_mutex shard;
    mutex_init(&shard, SKV_RANK_SHARD);
    if (skv_mutex_trylock(&leaf)) {
        skv_mutex_lock(&shard);
        skv_mutex_unlock(&shard);
        skv_mutex_unlock(&leaf);
    }
}

static void unlock_unheld(struct skv_mutex *mutex) SKV_NO_TSA;

static void unlock_unheld(struct skv_mutex *mutex)
{
    skv_mutex_unlock(mutex);
}

Test(mutex, aborts_when_unlocked_without_being_held, .signal = SIGABRT)
{
    struct skv_mutex mutex;
    mutex_init(&mutex, SKV_RANK_SHARD);
    unlock_unheld(&mutex);
}

Test(mutex, aborts_when_a_rank_is_held_that_must_not_be, .signal = SIGABRT)
{
    struct skv_mutex mutex;
    mutex_init(&mutex, SKV_RANK_SHARD);
    skv_mutex_lock(&mutex);
    skv_mutex_assert_none_held(SKV_RANK_IO);
    skv_mutex_unlock(&mutex);
}

#endif
