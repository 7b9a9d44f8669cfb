/* SPDX-License-Identifier: MIT */
/**
 * Mutexes with a rank, and condition variables.
 *
 * The ranks are the lock order of the whole library: a thread that holds a lock may only take locks
 * of a higher rank, so it never holds two of one rank. Debug builds (SKV_DEBUG_LEVEL >= 1) keep the
 * ranks each thread holds and abort on a violation.
 */
#ifndef SKV_BASE_MUTEX_H
#define SKV_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/check.h"
#include "base/tsa.h"

/** In acquisition order. A shard's table and its I/O have one rank: never held together. */
enum skv_lock_rank {
    SKV_RANK_ENGINE = 1,          /* sleeping and waking of the spillers */
    SKV_RANK_SPILL,               /* one per shard: who spills, compacts or clears it */
    SKV_RANK_SHARD,               /* one per shard: its table and its RAM log */
    SKV_RANK_IO = SKV_RANK_SHARD, /* one per shard: its SQLite connection */
    SKV_RANK_BUDGET,              /* the account of memory: a leaf */
    SKV_RANK_LEAF                 /* nothing is taken under it */
};

struct SKV_CAPABILITY("mutex") skv_mutex {
    pthread_mutex_t raw;
    enum skv_lock_rank rank; /* constant after init */
};

/** Returns false when the system refuses a lock. */
SKV_MUST_CHECK bool skv_mutex_init(struct skv_mutex *mutex, enum skv_lock_rank rank);
void skv_mutex_fini(struct skv_mutex *mutex);

#if SKV_DEBUG_LEVEL >= 1

void skv_mutex_lock(struct skv_mutex *mutex) SKV_ACQUIRE(*mutex);
/** May be tried in any order, as it never waits; the rank counts as held all the same. */
SKV_MUST_CHECK bool skv_mutex_trylock(struct skv_mutex *mutex) SKV_TRY_ACQUIRE(true, *mutex);
void skv_mutex_unlock(struct skv_mutex *mutex) SKV_RELEASE(*mutex);

/** Aborts in debug builds when this thread holds any lock of the rank. */
void skv_mutex_assert_none_held(enum skv_lock_rank rank);

#else

/* Inline: every call of the library passes here at least twice. */
static inline void skv_mutex_lock(struct skv_mutex *mutex) SKV_ACQUIRE(*mutex) SKV_NO_TSA;
SKV_MUST_CHECK static inline bool skv_mutex_trylock(struct skv_mutex *mutex)
    SKV_TRY_ACQUIRE(true, *mutex) SKV_NO_TSA;
static inline void skv_mutex_unlock(struct skv_mutex *mutex) SKV_RELEASE(*mutex) SKV_NO_TSA;

static inline void skv_mutex_lock(struct skv_mutex *mutex)
{
    (void)pthread_mutex_lock(&mutex->raw);
}

static inline bool skv_mutex_trylock(struct skv_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->raw) == 0;
}

static inline void skv_mutex_unlock(struct skv_mutex *mutex)
{
    (void)pthread_mutex_unlock(&mutex->raw);
}

static inline void skv_mutex_assert_none_held(enum skv_lock_rank rank)
{
    (void)rank;
}

#endif

struct skv_cond {
    pthread_cond_t raw; /* waits by the monotonic clock */
};

SKV_MUST_CHECK bool skv_cond_init(struct skv_cond *cond);
void skv_cond_fini(struct skv_cond *cond);
void skv_cond_wait(struct skv_cond *cond, struct skv_mutex *mutex) SKV_REQUIRES(*mutex);
/** Returns false when the time ran out. */
bool skv_cond_wait_ms(struct skv_cond *cond, struct skv_mutex *mutex, uint32_t ms)
    SKV_REQUIRES(*mutex);
void skv_cond_signal(struct skv_cond *cond);
void skv_cond_broadcast(struct skv_cond *cond);

#endif
