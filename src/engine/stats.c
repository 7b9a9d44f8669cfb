/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. Counters live in the shards, under their locks, and are summed here: no counter is
 * shared, so none costs a hot call anything. The account of memory is read whole at one
 * moment: kind by kind, what changes its kind meanwhile would be counted twice.
 *
 * Whether a set that waits for the disk adds a key is known once its candidate was read. If that
 * cannot be read now, a slot with the key's tag is taken for the key's: one in 250 000 is not.
 */
#include <string.h>

#include "base/process.h"
#include "engine/engine.h"

/** A failure is reported where it is in the way of something, not by counting. */
static void try_to_resolve(spillkv *kv, uint32_t shard)
{
    const spillkv_status status = skv_engine_resolve(kv, kv->shards[shard]);
    (void)status;
}

uint64_t skv_engine_count(spillkv *kv)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        try_to_resolve(kv, i);
        count += skv_shard_count(kv->shards[i]);
    }
    return count;
}

void skv_engine_shard_stats(spillkv *kv, uint32_t shard, spillkv_counters *out)
{
    try_to_resolve(kv, shard);
    skv_shard_add_counters(kv->shards[shard], out);
}

void skv_engine_advise(spillkv *kv, spillkv_advice *out)
{
    struct skv_shard_advice sum = {0};
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        skv_shard_add_advice(kv->shards[i], &sum);
    }
    skv_shard_report_advice(&sum, out);
    out->max_mem = atomic_load_explicit(&kv->max_mem, memory_order_relaxed);
}

void skv_engine_stats(spillkv *kv, spillkv_stats_data *out)
{
    uint64_t used[SKV_MEMORY_KINDS];
    uint64_t unused;
    memset(out, 0, sizeof(*out));
    skv_budget_read(&kv->budget, used, &unused);
    out->shards = kv->shard_count;
    out->spillers = skv_spillers_count(&kv->spillers);
    out->max_mem = atomic_load_explicit(&kv->max_mem, memory_order_relaxed);
    out->memory = (spillkv_memory){
        .entries = used[SKV_MEMORY_ENTRIES],
        .table = used[SKV_MEMORY_TABLE],
        .sqlite = used[SKV_MEMORY_SQLITE],
        .scratch = used[SKV_MEMORY_SCRATCH],
        .fixed = used[SKV_MEMORY_FIXED],
        .unused = unused,
    };
    out->memory.total = out->memory.entries + out->memory.table + out->memory.sqlite +
                        out->memory.scratch + out->memory.fixed + out->memory.unused;
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        skv_engine_shard_stats(kv, i, &out->total);
        const spillkv_status last = skv_shard_last_write(kv->shards[i]);
        if (last != SPILLKV_OK) {
            out->failing++;
            out->last_error = last;
        }
    }
    out->process_rss = skv_process_rss();
    out->total.helped = atomic_load_explicit(&kv->helped, memory_order_relaxed);
}
