/* SPDX-License-Identifier: MIT */
/**
 * A store: its shards, their common budget, and the threads that spill.
 *
 * Threads: every function but open and close is safe from any thread.
 */
#ifndef SKV_ENGINE_ENGINE_H
#define SKV_ENGINE_ENGINE_H

#include <spillkv/spillkv.h>

#include "base/attributes.h"
#include "base/hash.h"
#include "base/log.h"
#include "budget/budget.h"
#include "disk/directory.h"
#include "engine/fork.h"
#include "engine/spiller.h"
#include "shard/shard.h"

struct spillkv {
    /* Constant after open. */
    struct skv_shard **shards;
    uint32_t shard_count;
    uint32_t shard_shift; /* 63 - shard bits; the top bits of a hash choose the shard */
    uint32_t forks;       /* skv_fork_count at open */
    enum skv_shard_mode mode;
    struct skv_secret secret;
    struct skv_log log;
    struct skv_directory *directory; /* NULL without a path */
    /* Synchronise themselves. */
    struct skv_budget budget;
    struct skv_spillers spillers;
    _Alignas(SKV_CACHE_LINE) _Atomic uint64_t clock; /* RAM segments opened by all shards */
    _Atomic int32_t worth; /* average of what leaves RAM; the shards keep it */
    _Atomic uint64_t helped;
    _Atomic bool reported_full;         /* relaxed */
    _Atomic uint64_t allocator_charged; /* for what the allocator takes itself */
    /* Atomic, relaxed: limit.c sets them, a set reads them. */
    _Atomic uint64_t max_mem;     /* 0: unbounded; the budget's limit is a little less */
    _Atomic uint64_t most_bytes;  /* larger entries never fit: refused before anything gives way */
    _Atomic uint64_t large_bytes; /* entries above this go straight to disk */
};

/** As spillkv_open() and spillkv_close(), arguments checked. */
SKV_MUST_CHECK spillkv_status skv_engine_open(const spillkv_options *options, spillkv **kv_out);
spillkv_status skv_engine_close(spillkv *kv);

static inline bool skv_engine_is_forked(const spillkv *kv)
{
    return kv->forks != atomic_load_explicit(&skv_fork_count, memory_order_relaxed);
}

static inline struct skv_key skv_engine_key(const spillkv *kv, const void *key, size_t size)
{
    return (struct skv_key){.bytes = key, .size = size, .hash = skv_hash(&kv->secret, key, size)};
}

static inline struct skv_shard *skv_engine_shard(const spillkv *kv, uint64_t hash)
{
    return kv->shards[hash >> 1 >> kv->shard_shift];
}

/* limit.c */

/** Derives from the budget's goal what else depends on max_mem. */
void skv_engine_apply_limit(spillkv *kv, uint64_t max_mem);
/** Bytes that entries could have if all others left RAM. */
uint64_t skv_engine_room_most(spillkv *kv);
/** Logs how much max_mem the keys need; once until something was freed again. */
void skv_engine_report_full(spillkv *kv);
/** As spillkv_set_max_mem(). */
SKV_MUST_CHECK spillkv_status skv_engine_set_max_mem(spillkv *kv, uint64_t max_mem);

/* many.c */

/** Does up to SKV_JOBS_MOST jobs; each item's status says what became of it. */
void skv_engine_many(spillkv *kv, enum skv_many many, const struct skv_job *jobs, uint32_t count);

/* engine.c */

/** As spillkv_set(): makes room for the entry as long as there is room to be made. */
SKV_MUST_CHECK spillkv_status skv_engine_set(spillkv *kv, const struct skv_key *key,
                                             const void *value, size_t value_size);
/** As spillkv_pin(): makes room for a value that comes back to RAM for it. */
SKV_MUST_CHECK spillkv_status skv_engine_pin(spillkv *kv, const struct skv_key *key,
                                             struct skv_pin *pin);
/** Finishes the sets of a shard that wait for the disk; makes room for them if need be. */
SKV_MUST_CHECK spillkv_status skv_engine_resolve(spillkv *kv, struct skv_shard *shard);
void skv_engine_clear(spillkv *kv);
uint64_t skv_engine_count(spillkv *kv);
SKV_MUST_CHECK spillkv_status skv_engine_each(spillkv *kv, spillkv_visit *visit, void *context);
SKV_MUST_CHECK spillkv_status skv_engine_flush(spillkv *kv);
void skv_engine_stats(spillkv *kv, spillkv_stats_data *out);
void skv_engine_advise(spillkv *kv, spillkv_advice *out);
void skv_engine_shard_stats(spillkv *kv, uint32_t shard, spillkv_counters *out);

/** Aborts unless all invariants of the store hold; returns true. For tests, with no other thread.
 */
bool skv_engine_check(spillkv *kv);

#endif
