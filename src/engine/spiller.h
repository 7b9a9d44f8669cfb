/* SPDX-License-Identifier: MIT */
/**
 * Who frees memory, and when: background threads below the target, callers at the trigger.
 *
 * The target is a little room below max_mem that the spillers keep free. The trigger is no room at
 * all: then the caller spills a batch itself, bounded work, and tries again. Which shard gives way
 * is decided for the whole store: the one whose oldest segment is the oldest.
 *
 * Threads: every function but start and stop is safe from any thread.
 */
#ifndef SKV_ENGINE_SPILLER_H
#define SKV_ENGINE_SPILLER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"
#include "base/mutex.h"
#include "budget/budget.h"
#include "shard/shard.h"

#define SKV_SPILLERS_MAX 64

struct skv_spillers {
    /* Constant after start. */
    struct skv_budget *budget;
    struct skv_shard **shards;
    uint32_t shard_count;
    pthread_t threads[SKV_SPILLERS_MAX];

    struct skv_mutex lock;
    struct skv_cond wake;
    /* Guarded by lock. */
    bool stopping;
    uint32_t thread_count; /* once started they stay */
    /* Atomic, relaxed: bytes kept free. */
    _Atomic uint64_t target_room;
    /* Atomic: set by callers without the lock, so that a hot call pays one load; a spiller clears
       it before it looks at the room, so no wish is lost. */
    _Atomic bool wanted;
    /* Atomic, relaxed: bytes of room that somebody asked for since a spiller last looked. */
    _Atomic uint64_t asked;
};

/** Prepares without threads; false when the system refuses a lock. */
SKV_MUST_CHECK bool skv_spillers_init(struct skv_spillers *spillers, struct skv_budget *budget,
                                      struct skv_shard **shards, uint32_t shard_count);
/** Stops and joins the threads, if any, and frees the locks. */
void skv_spillers_fini(struct skv_spillers *spillers);
/** Starts threads until there are `count`, with all signals blocked; false when the system refuses
 *  one. */
SKV_MUST_CHECK bool skv_spillers_start(struct skv_spillers *spillers, uint32_t count);
uint32_t skv_spillers_count(struct skv_spillers *spillers);
/** Keeps as much room free as befits a limit. */
void skv_spillers_set_limit(struct skv_spillers *spillers, uint64_t limit);

/** Wakes a spiller if room is below the target. Called after anything that may have used memory. */
static inline void skv_spillers_nudge(struct skv_spillers *spillers);

/**
 * Frees memory in the caller's own thread.
 *
 * @return SPILLKV_OK when something was freed; else the failure that kept it from being freed, or
 *         SPILLKV_EFULL when there is nothing left that could be
 */
SKV_MUST_CHECK spillkv_status skv_spillers_help(struct skv_spillers *spillers);
/** The same, about `goal` bytes, as far as one batch goes. */
SKV_MUST_CHECK spillkv_status skv_spillers_free(struct skv_spillers *spillers, uint64_t goal);

/** Has a spiller make room for so many bytes, once, and does not wait for it. */
void skv_spillers_ask(struct skv_spillers *spillers, uint64_t bytes);

/** Bytes that the spillers keep free under a limit. */
uint64_t skv_spillers_target(uint64_t limit, size_t segment_bytes);

void skv_spillers_wake(struct skv_spillers *spillers);

/** Whether room is below the target. */
static inline bool skv_spillers_are_wanted(const struct skv_spillers *spillers)
{
    return skv_budget_room(spillers->budget) <
           atomic_load_explicit(&spillers->target_room, memory_order_relaxed);
}

static inline void skv_spillers_nudge(struct skv_spillers *spillers)
{
    if (SKV_UNLIKELY(skv_spillers_are_wanted(spillers)) &&
        !atomic_load_explicit(&spillers->wanted, memory_order_relaxed)) {
        skv_spillers_wake(spillers);
    }
}

/** Wakes a spiller if a shard's file wants compaction. Called after something was deleted. */
static inline void skv_spillers_nudge_compaction(struct skv_spillers *spillers,
                                                 const struct skv_shard *shard)
{
    if (SKV_UNLIKELY(skv_shard_wants_compaction(shard)) &&
        !atomic_load_explicit(&spillers->wanted, memory_order_relaxed)) {
        skv_spillers_wake(spillers);
    }
}

#endif
