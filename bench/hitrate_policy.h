/* SPDX-License-Identifier: MIT */
/**
 * What is simulated: each request is a get that inserts its key on a miss; all entries have the
 * same size; a cache holds a fixed number of them.
 */
#ifndef BENCH_HITRATE_POLICY_H
#define BENCH_HITRATE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "table/advise.h"
#include "trace.h"

#define HITRATE_SHARDS_MAX 64u

struct hitrate_cache {
    uint32_t capacity; /* entries, at least 1 */
    uint32_t shards;   /* of the library's policies: a power of two */
    bool split;        /* each shard has its own part of the capacity */
    bool advise;       /* simulate other sizes too, as a store does */
    uint64_t seed;
};

struct hitrate_result {
    uint64_t hits;
    uint64_t examined; /* entries examined to make room; 0 where that means nothing */
    uint64_t spilled;
    double misses[SKV_ADVISE_SIZES]; /* simulated at other sizes; see table/advise.h */
};

struct hitrate_policy {
    const char *name;
    /** @return false when memory is used up */
    bool (*run)(const struct hitrate_policy *policy, const struct trace *trace,
                const struct hitrate_cache *cache, struct hitrate_result *result_out);
    unsigned kind; /* of the library's policies */
    bool learns;
};

/** hitrate_store.c: the library's own table, policy and choice of victims. */
bool hitrate_run_store(const struct hitrate_policy *policy, const struct trace *trace,
                       const struct hitrate_cache *cache, struct hitrate_result *result_out);

/** hitrate_peers.c: what they are compared with, each written from its publication. */
bool hitrate_run_lru(const struct hitrate_policy *policy, const struct trace *trace,
                     const struct hitrate_cache *cache, struct hitrate_result *result_out);
/** Drops what is needed last of all: no policy can do better. Belady, 1966. */
bool hitrate_run_belady(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_result *result_out);
/** Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. */
bool hitrate_run_s3fifo(const struct hitrate_policy *policy, const struct trace *trace,
                        const struct hitrate_cache *cache, struct hitrate_result *result_out);
/** Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003. */
bool hitrate_run_arc(const struct hitrate_policy *policy, const struct trace *trace,
                     const struct hitrate_cache *cache, struct hitrate_result *result_out);

#endif
