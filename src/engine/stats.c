/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Counters live in the shards, under their locks, and are summed here: no counter is
 * shared, so none costs a hot call anything. The account of memory is read kind by kind; its total
 * is their sum.
 */
#include <string.h>

#include "engine/engine.h"

static uint64_t used(spillkv *kv, enum skv_memory_kind kind)
{
    return atomic_load_explicit(&kv->budget.used[kind], memory_order_relaxed);
}

void skv_engine_stats(spillkv *kv, spillkv_stats_data *out)
{
    memset(out, 0, sizeof(*out));
    const uint64_t limit = atomic_load_explicit(&kv->budget.limit, memory_order_relaxed);
    out->shards = kv->shard_count;
    out->spillers = kv->spillers.thread_count;
    out->max_mem = limit == UINT64_MAX ? 0 : limit;
    out->memory = (spillkv_memory){
        .entries = used(kv, SKV_MEMORY_ENTRIES),
        .table = used(kv, SKV_MEMORY_TABLE),
        .sqlite = used(kv, SKV_MEMORY_SQLITE),
        .scratch = used(kv, SKV_MEMORY_SCRATCH),
        .fixed = used(kv, SKV_MEMORY_FIXED),
        .unused = skv_budget_unused(&kv->budget),
    };
    out->memory.total = out->memory.entries + out->memory.table + out->memory.sqlite +
                        out->memory.scratch + out->memory.fixed + out->memory.unused;
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        skv_shard_add_counters(kv->shards[i], &out->total);
        const spillkv_status last = skv_shard_last_write(kv->shards[i]);
        if (last != SPILLKV_OK) {
            out->failing++;
            out->last_error = last;
        }
    }
    out->total.helped = atomic_load_explicit(&kv->helped, memory_order_relaxed);
}
