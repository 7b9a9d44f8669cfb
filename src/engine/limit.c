/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A lower limit is reached by steps: each lowers the budget's limit a little below what is
 * in use and frees that much, so that threads that set meanwhile wait for a step at most, not for
 * all of it. If a step cannot be done (the disk is full, or all that is left are slots) the limit
 * stays at what is in use, and this is what max_mem is from then on.
 *
 * Two calls at a time do no harm: every step goes towards the latest goal.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "engine/engine.h"
#include "engine/sizes.h"

/** Segments that slots leave to the entries of each shard, beside the two that it holds back. */
#define ENTRY_SEGMENTS 4
/** Freed in one go. */
#define STEP_BYTES ((uint64_t)2 << 20)

/** What the store takes besides entries and slots. */
static uint64_t overhead(spillkv *kv)
{
    uint64_t used[SKV_MEMORY_KINDS];
    uint64_t unused;
    skv_budget_read(&kv->budget, used, &unused);
    return used[SKV_MEMORY_SQLITE] + used[SKV_MEMORY_SCRATCH] + used[SKV_MEMORY_FIXED] +
           kv->shard_count * skv_shard_least_bytes(kv->shards[0]);
}

uint64_t skv_engine_room_most(spillkv *kv)
{
    const uint64_t limit = atomic_load_explicit(&kv->budget.limit, memory_order_relaxed);
    const uint64_t stays = overhead(kv) + atomic_load_explicit(&kv->budget.used[SKV_MEMORY_TABLE],
                                                               memory_order_relaxed);
    return stays < limit ? limit - stays : 0;
}

/** A sum over all shards. */
static uint64_t sum_of(const spillkv *kv, uint64_t (*count)(struct skv_shard *shard))
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kv->shard_count; i++) {
        sum += count(kv->shards[i]);
    }
    return sum;
}

void skv_engine_report_full(spillkv *kv)
{
    if (atomic_exchange_explicit(&kv->reported_full, true, memory_order_relaxed)) {
        return;
    }
    uint64_t used[SKV_MEMORY_KINDS];
    uint64_t unused;
    skv_budget_read(&kv->budget, used, &unused);
    const uint64_t slots = used[SKV_MEMORY_TABLE];
    const uint64_t entries = kv->mode == SKV_SHARD_KEEP ? used[SKV_MEMORY_ENTRIES] : 0;
    const uint64_t needed = slots + overhead(kv) + entries;
    /* Counted as far as can be told without the disk: a set that must not wait may be here. */
    skv_log_write(&kv->log, SPILLKV_LOG_ERROR,
                  "max_mem of %" PRIu64 " bytes is used up: the slots of %" PRIu64
                  " keys take %" PRIu64 ", entries that must stay in memory %" PRIu64
                  ", and %" PRIu64 " values are pinned; so many keys need a max_mem of %" PRIu64,
                  atomic_load_explicit(&kv->max_mem, memory_order_relaxed),
                  sum_of(kv, skv_shard_count), slots, entries, sum_of(kv, skv_shard_pinned),
                  skv_sizes_max_mem(needed + needed / 4));
}

/** What the allocator takes for as much memory as the limit allows. */
static void charge_allocator(spillkv *kv, uint64_t max_mem)
{
    const uint64_t now = skv_pages_metadata_bytes(max_mem);
    const uint64_t before = atomic_exchange(&kv->allocator_charged, now);
    skv_budget_charge_forced(&kv->budget, SKV_MEMORY_FIXED, now);
    skv_budget_discharge(&kv->budget, SKV_MEMORY_FIXED, before);
}

void skv_engine_apply_limit(spillkv *kv, uint64_t max_mem)
{
    charge_allocator(kv, max_mem);
    const uint64_t limit = max_mem == 0 ? UINT64_MAX : skv_sizes_limit(max_mem);
    const uint64_t least = overhead(kv);
    const uint64_t most = limit > least ? limit - least : 0;
    const uint64_t entries =
        (uint64_t)kv->shard_count * ENTRY_SEGMENTS * kv->budget.segment_bytes + limit / 256;
    const uint64_t table = most > entries ? most - entries : 0;
    const bool stays = kv->mode != SKV_SHARD_SPILL;
    atomic_store_explicit(&kv->max_mem, max_mem, memory_order_relaxed);
    atomic_store_explicit(&kv->most_bytes, stays ? most : UINT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&kv->large_bytes, max_mem == 0 ? UINT64_MAX : max_mem / 8,
                          memory_order_relaxed);
    skv_budget_set_table_most(&kv->budget, max_mem == 0 ? UINT64_MAX : table);
    skv_spillers_set_limit(&kv->spillers, limit);
}

/** A store without a limit has had no use for one. */
static bool start_spiller(spillkv *kv)
{
    if (skv_spillers_count(&kv->spillers) != 0) {
        return true;
    }
    skv_budget_charge_forced(&kv->budget, SKV_MEMORY_FIXED, SKV_SPILLER_STACK_BYTES);
    return skv_spillers_start(&kv->spillers, 1);
}

/** One step after the other; the failure that ends it. */
static spillkv_status lower(spillkv *kv)
{
    bool more;
    do {
        more = skv_budget_lower(&kv->budget, STEP_BYTES);
        while (skv_budget_is_over(&kv->budget)) {
            const spillkv_status status = skv_spillers_free(&kv->spillers, STEP_BYTES);
            if (status != SPILLKV_OK) {
                return status;
            }
        }
    } while (more);
    return SPILLKV_OK;
}

spillkv_status skv_engine_set_max_mem(spillkv *kv, uint64_t max_mem)
{
    if (max_mem != 0 && skv_sizes_limit(max_mem) <= overhead(kv)) {
        return SPILLKV_EINVAL;
    }
    if (max_mem != 0 && kv->mode != SKV_SHARD_KEEP && !start_spiller(kv)) {
        return SPILLKV_ESYSTEM;
    }
    skv_engine_apply_limit(kv, max_mem);
    skv_budget_set_goal(&kv->budget, skv_sizes_limit(max_mem));
    const spillkv_status status = lower(kv);
    if (status != SPILLKV_OK) {
        skv_budget_stop_lowering(&kv->budget);
        skv_engine_apply_limit(kv, skv_sizes_max_mem(skv_budget_goal(&kv->budget)));
    }
    return status;
}
