/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. One decision for callers and threads alike: take the shard whose oldest segment is the
 * oldest of the store, so the shards behave like one long log and a hot one may hold more than its
 * part. While another thread is at that shard a nearly as old one does as well, so that all who
 * need memory work side by side. If that shard has nothing to give the others are tried in turn.
 *
 * A thread sleeps until it is wanted, works until the target is reached, compacts where a shard
 * asks for it, and after a failure waits longer and longer before it tries again, so that a full
 * disk costs nothing and is noticed soon after it has room again. The stop comes first in every
 * wait.
 */
#include "engine/spiller.h"

#include <signal.h>

/** What one step of a spiller frees at most. */
#define STEP_BYTES ((uint64_t)2 << 20)
/** Segments that were opened by all shards together between the oldest of the store and one nearly
 *  as old: so many for each shard. A batch takes 1 to 16 of them out of one shard. */
#define NEARLY_AS_OLD 4
/** Pauses after a failure, and when nothing is left to spill though the target is not reached. */
#define FIRST_PAUSE_MS   10
#define LONGEST_PAUSE_MS 1000

uint64_t skv_spillers_target(uint64_t limit, size_t segment_bytes)
{
    const uint64_t most = (uint64_t)64 << 20;
    const uint64_t least = 4 * (uint64_t)segment_bytes;
    const uint64_t room = limit / 128;
    return limit == UINT64_MAX ? 0 : room < least ? least : room > most ? most : room;
}

static uint32_t oldest_shard(const struct skv_spillers *spillers)
{
    uint32_t oldest = 0;
    uint64_t born = UINT64_MAX;
    for (uint32_t i = 0; i < spillers->shard_count; i++) {
        const uint64_t at = skv_shard_oldest(spillers->shards[i]);
        if (at < born) {
            born = at;
            oldest = i;
        }
    }
    return oldest;
}

/** Works on the first shard, from `first` on, that is nearly as old and nobody else works on. False
 *  when that freed nothing or there is none. */
static bool free_side_by_side(struct skv_spillers *spillers, uint32_t first, uint64_t goal,
                              uint64_t enough)
{
    const uint64_t near = NEARLY_AS_OLD * (uint64_t)spillers->shard_count;
    const uint64_t born = skv_shard_oldest(spillers->shards[first]);
    for (uint32_t i = 0; i < spillers->shard_count; i++) {
        bool worked;
        struct skv_shard *const shard = spillers->shards[(first + i) % spillers->shard_count];
        if (skv_shard_oldest(shard) - born > near) {
            continue;
        }
        const spillkv_status status = skv_shard_try_spill_until(shard, goal, enough, &worked);
        if (worked || status != SPILLKV_OK) {
            return worked;
        }
    }
    return false;
}

/** Frees so much unless there is `enough` room already, which another thread may have made while
 *  this one waited for it. */
static spillkv_status free_until(struct skv_spillers *spillers, uint64_t goal, uint64_t enough)
{
    const uint32_t first = oldest_shard(spillers);
    spillkv_status failure = SPILLKV_EFULL;
    bool worked;
    if (free_side_by_side(spillers, first, goal, enough)) {
        return SPILLKV_OK;
    }
    for (uint32_t i = 0; i < spillers->shard_count; i++) {
        struct skv_shard *const shard = spillers->shards[(first + i) % spillers->shard_count];
        const spillkv_status status = skv_shard_spill_until(shard, goal, enough, &worked);
        if (worked) {
            return SPILLKV_OK;
        }
        if (status != SPILLKV_OK && failure == SPILLKV_EFULL) {
            failure = status;
        }
    }
    return failure;
}

spillkv_status skv_spillers_free(struct skv_spillers *spillers, uint64_t goal)
{
    return free_until(spillers, goal, UINT64_MAX);
}

spillkv_status skv_spillers_help(struct skv_spillers *spillers)
{
    return skv_spillers_free(spillers, spillers->budget->segment_bytes);
}

/** Works until the target is reached, and what was asked for. */
static spillkv_status reach_target(struct skv_spillers *spillers)
{
    const uint64_t asked = atomic_exchange_explicit(&spillers->asked, 0, memory_order_relaxed);
    for (;;) {
        const uint64_t usual = atomic_load_explicit(&spillers->target_room, memory_order_relaxed);
        const uint64_t target = usual > asked ? usual : asked;
        const uint64_t room = skv_budget_room(spillers->budget);
        if (room >= target) {
            return SPILLKV_OK;
        }
        const uint64_t goal = target - room;
        const spillkv_status status =
            free_until(spillers, goal < STEP_BYTES ? goal : STEP_BYTES, target);
        if (status != SPILLKV_OK) {
            return status;
        }
    }
}

/** One step of compaction for each shard that asks for it; returns whether one still does. */
static spillkv_status compact_some(struct skv_spillers *spillers, bool *more_out)
{
    spillkv_status failure = SPILLKV_OK;
    *more_out = false;
    for (uint32_t i = 0; i < spillers->shard_count; i++) {
        struct skv_shard *const shard = spillers->shards[i];
        if (skv_shard_wants_compaction(shard)) {
            const spillkv_status status = skv_shard_compact(shard);
            failure = failure == SPILLKV_OK ? status : failure;
            *more_out = *more_out || skv_shard_wants_compaction(shard);
        }
    }
    return failure;
}

static void *run(void *argument)
{
    struct skv_spillers *const spillers = argument;
    uint32_t pause_ms = 0;
    bool more = false;
    skv_mutex_lock(&spillers->lock);
    while (!spillers->stopping) {
        if (pause_ms != 0) {
            /* A nudge does not end the pause: after one of them callers see that a spiller is
               wanted already and send no more. */
            while (!spillers->stopping &&
                   skv_cond_wait_ms(&spillers->wake, &spillers->lock, pause_ms)) {
            }
        } else if (!more && !atomic_load_explicit(&spillers->wanted, memory_order_relaxed)) {
            skv_cond_wait(&spillers->wake, &spillers->lock);
        }
        if (spillers->stopping) {
            break;
        }
        atomic_store_explicit(&spillers->wanted, false, memory_order_relaxed);
        skv_mutex_unlock(&spillers->lock);

        spillkv_status status = reach_target(spillers);
        const spillkv_status compacted = compact_some(spillers, &more);
        status = status == SPILLKV_OK ? compacted : status;
        const uint32_t longer = pause_ms == 0 ? FIRST_PAUSE_MS : 2 * pause_ms;
        pause_ms = status == SPILLKV_OK ? 0 : longer < LONGEST_PAUSE_MS ? longer : LONGEST_PAUSE_MS;

        skv_mutex_lock(&spillers->lock);
    }
    skv_mutex_unlock(&spillers->lock);
    return NULL;
}

void skv_spillers_wake(struct skv_spillers *spillers)
{
    skv_mutex_lock(&spillers->lock);
    atomic_store_explicit(&spillers->wanted, true, memory_order_relaxed);
    skv_mutex_unlock(&spillers->lock);
    /* All of them: the one that a signal would choose may be pausing. */
    skv_cond_broadcast(&spillers->wake);
}

void skv_spillers_ask(struct skv_spillers *spillers, uint64_t bytes)
{
    uint64_t asked = atomic_load_explicit(&spillers->asked, memory_order_relaxed);
    while (asked < bytes &&
           !atomic_compare_exchange_weak_explicit(&spillers->asked, &asked, bytes,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    skv_spillers_wake(spillers);
}

void skv_spillers_set_limit(struct skv_spillers *spillers, uint64_t limit)
{
    atomic_store_explicit(&spillers->target_room,
                          skv_spillers_target(limit, spillers->budget->segment_bytes),
                          memory_order_relaxed);
}

bool skv_spillers_init(struct skv_spillers *spillers, struct skv_budget *budget,
                       struct skv_shard **shards, uint32_t shard_count)
{
    spillers->budget = budget;
    spillers->shards = shards;
    spillers->shard_count = shard_count;
    skv_spillers_set_limit(spillers, atomic_load(&budget->limit));
    if (!skv_mutex_init(&spillers->lock, SKV_RANK_ENGINE)) {
        return false;
    }
    if (!skv_cond_init(&spillers->wake)) {
        skv_mutex_fini(&spillers->lock);
        return false;
    }
    return true;
}

void skv_spillers_fini(struct skv_spillers *spillers)
{
    skv_mutex_lock(&spillers->lock);
    spillers->stopping = true;
    skv_mutex_unlock(&spillers->lock);
    skv_cond_broadcast(&spillers->wake);
    for (uint32_t i = 0; i < spillers->thread_count; i++) {
        (void)pthread_join(spillers->threads[i], NULL);
    }
    skv_cond_fini(&spillers->wake);
    skv_mutex_fini(&spillers->lock);
}

bool skv_spillers_start(struct skv_spillers *spillers, uint32_t count)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    bool started = true;
    skv_mutex_lock(&spillers->lock);
    while (started && spillers->thread_count < count) {
        pthread_t *const thread = &spillers->threads[spillers->thread_count];
        started = pthread_create(thread, NULL, run, spillers) == 0;
        if (started) {
            (void)pthread_setname_np(*thread, "spillkv");
            spillers->thread_count++;
        }
    }
    skv_mutex_unlock(&spillers->lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

uint32_t skv_spillers_count(struct skv_spillers *spillers)
{
    skv_mutex_lock(&spillers->lock);
    const uint32_t count = spillers->thread_count;
    skv_mutex_unlock(&spillers->lock);
    return count;
}
