/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Release builds lock an adaptive pthread mutex inline: critical sections are so short
 * that a little spinning beats sleeping. Debug builds take an error checking one, and each thread
 * keeps the ranks it holds in a small array of its own, so the check needs no lock and no list.
 * Clang's analysis finds missing locks, but in C it knows no order; so the order is checked here,
 * at run time.
 *
 * Invariant: a thread waits only for a lock whose rank is above every rank it holds.
 */
#include "base/mutex.h"

#include <errno.h>
#include <time.h>

#if SKV_DEBUG_LEVEL >= 1
#define MUTEX_TYPE PTHREAD_MUTEX_ERRORCHECK
#else
#define MUTEX_TYPE PTHREAD_MUTEX_ADAPTIVE_NP
#endif

bool skv_mutex_init(struct skv_mutex *mutex, enum skv_lock_rank rank)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0) {
        return false;
    }
    mutex->rank = rank;
    const bool ok = pthread_mutexattr_settype(&attributes, MUTEX_TYPE) == 0 &&
                    pthread_mutex_init(&mutex->raw, &attributes) == 0;
    (void)pthread_mutexattr_destroy(&attributes);
    return ok;
}

void skv_mutex_fini(struct skv_mutex *mutex)
{
    const int failed = pthread_mutex_destroy(&mutex->raw);
    SKV_CHECK_CHEAP(failed == 0);
    (void)failed;
}

#if SKV_DEBUG_LEVEL >= 1

/* More than the ranks there are: trylock may add to them. */
#define HELD_MAX 16

static _Thread_local struct {
    unsigned count;
    enum skv_lock_rank ranks[HELD_MAX]; /* in the order of taking */
} held;

static void push_held(enum skv_lock_rank rank)
{
    SKV_CHECK(held.count < HELD_MAX);
    held.ranks[held.count++] = rank;
}

static void drop_held(enum skv_lock_rank rank)
{
    unsigned i = held.count;
    while (i > 0 && held.ranks[i - 1] != rank) {
        i--;
    }
    SKV_CHECK(i > 0);
    for (; i < held.count; i++) {
        held.ranks[i - 1] = held.ranks[i];
    }
    held.count--;
}

static void lock_raw(struct skv_mutex *mutex) SKV_ACQUIRE(*mutex) SKV_NO_TSA;
static bool trylock_raw(struct skv_mutex *mutex) SKV_TRY_ACQUIRE(true, *mutex) SKV_NO_TSA;
static void unlock_raw(struct skv_mutex *mutex) SKV_RELEASE(*mutex) SKV_NO_TSA;

static void lock_raw(struct skv_mutex *mutex)
{
    SKV_CHECK(pthread_mutex_lock(&mutex->raw) == 0);
}

static bool trylock_raw(struct skv_mutex *mutex)
{
    const int failed = pthread_mutex_trylock(&mutex->raw);
    SKV_CHECK(failed == 0 || failed == EBUSY);
    return failed == 0;
}

static void unlock_raw(struct skv_mutex *mutex)
{
    SKV_CHECK(pthread_mutex_unlock(&mutex->raw) == 0);
}

void skv_mutex_lock(struct skv_mutex *mutex)
{
    for (unsigned i = 0; i < held.count; i++) {
        SKV_CHECK(held.ranks[i] < mutex->rank);
    }
    lock_raw(mutex);
    push_held(mutex->rank);
}

bool skv_mutex_trylock(struct skv_mutex *mutex)
{
    if (!trylock_raw(mutex)) {
        return false;
    }
    push_held(mutex->rank);
    return true;
}

void skv_mutex_unlock(struct skv_mutex *mutex)
{
    drop_held(mutex->rank);
    unlock_raw(mutex);
}

void skv_mutex_assert_none_held(enum skv_lock_rank rank)
{
    for (unsigned i = 0; i < held.count; i++) {
        SKV_CHECK(held.ranks[i] != rank);
    }
}

#endif

bool skv_cond_init(struct skv_cond *cond)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    const bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                    pthread_cond_init(&cond->raw, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok;
}

void skv_cond_fini(struct skv_cond *cond)
{
    (void)pthread_cond_destroy(&cond->raw);
}

void skv_cond_wait(struct skv_cond *cond, struct skv_mutex *mutex)
{
    const int failed = pthread_cond_wait(&cond->raw, &mutex->raw);
    SKV_CHECK_CHEAP(failed == 0);
    (void)failed;
}

bool skv_cond_wait_ms(struct skv_cond *cond, struct skv_mutex *mutex, uint32_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    const int failed = pthread_cond_timedwait(&cond->raw, &mutex->raw, &until);
    SKV_CHECK_CHEAP(failed == 0 || failed == ETIMEDOUT);
    return failed == 0;
}

void skv_cond_signal(struct skv_cond *cond)
{
    (void)pthread_cond_signal(&cond->raw);
}

void skv_cond_broadcast(struct skv_cond *cond)
{
    (void)pthread_cond_broadcast(&cond->raw);
}
