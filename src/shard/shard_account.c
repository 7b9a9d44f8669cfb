/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. What an operation leaves behind besides its result: the policy's clock moves on when an
 * entry comes into RAM, and with it the sweep over all slots; bytes on disk that are needed no more
 * are dropped, and when too many are, compaction is asked for.
 */
#include "shard/shard_private.h"

/** A row that is worth a transaction of its own to be deleted soon. */
#define LARGE_ROW_BYTES (16 * SKV_SEGMENT_BYTES)

/** Ages are counted in ticks of the shard: how long they are tells what they mean in another. */
static void note_tick(struct skv_shard *shard)
{
    const uint64_t now = atomic_load_explicit(shard->ram.clock, memory_order_relaxed);
    shard->tick_length += 4 * (now - shard->tick_began) - shard->tick_length / 4;
    shard->tick_began = now;
}

void skv_shard_note_miss_locked(struct skv_shard *shard)
{
    const uint64_t residents = shard->counters.entries_ram;
    if (SKV_UNLIKELY(skv_shard_oldest(shard) == UINT64_MAX)) {
        atomic_store_explicit(&shard->oldest, skv_ram_oldest_born(&shard->ram),
                              memory_order_relaxed);
    }
    if (SKV_UNLIKELY(skv_ram_overhead_bytes(&shard->ram) +
                         skv_space_overhead_bytes(&shard->space) !=
                     shard->array_charge)) {
        skv_shard_charge_arrays_locked(shard);
    }
    const uint64_t ticks = shard->policy.ticks;
    skv_policy_miss(&shard->policy, residents);
    skv_sweep_miss(&shard->sweep, &shard->table, &shard->policy, residents);
    if (SKV_UNLIKELY(shard->policy.ticks != ticks)) {
        note_tick(shard);
    }
}

void skv_shard_drop_place_locked(struct skv_shard *shard, uint64_t place, size_t key_size,
                                 size_t value_size)
{
    const size_t bytes = skv_disk_bytes(key_size, value_size);
    skv_space_drop(&shard->space, skv_place_id(place), bytes);
    if (bytes >= LARGE_ROW_BYTES || skv_shard_is_wasteful_locked(shard)) {
        atomic_store_explicit(&shard->wants_compaction, true, memory_order_relaxed);
    }
}
