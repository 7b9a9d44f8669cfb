/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. What an operation leaves behind besides its result: the policy's clock moves on when an
 * entry comes into RAM, and with it goes a sweep over all slots, a group at a time, that makes old
 * ages ancient before the clock comes around to them; bytes on disk that are needed no more are
 * dropped, and when too many are, compaction is asked for.
 */
#include "shard/shard_private.h"

/** Groups swept at most for one miss. */
#define SWEEP_MOST 8
/** A row that is worth a transaction of its own to be deleted soon. */
#define LARGE_ROW_BYTES (16 * SKV_SEGMENT_BYTES)

static void sweep_group(struct skv_shard *shard)
{
    size_t count;
    uint64_t *const slots = skv_table_group_slots(&shard->table, shard->sweep_group, &count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = skv_slot_policy(slots[i]);
        const uint32_t swept = skv_policy_expire(&shard->policy, bits);
        if (swept != bits) {
            slots[i] = skv_slot_with_policy(slots[i], swept);
        }
    }
    shard->sweep_group = (shard->sweep_group + 1) & (shard->table.group_count - 1);
}

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
    if (SKV_UNLIKELY(shard->policy.ticks != ticks)) {
        note_tick(shard);
    }
    /* All groups in every ten ticks: two and a half times as many misses as residents. */
    shard->sweep_credit += 4 * (uint64_t)shard->table.group_count;
    const uint64_t price = 10 * residents;
    for (int i = 0; i < SWEEP_MOST && shard->sweep_credit >= price; i++) {
        shard->sweep_credit -= price;
        sweep_group(shard);
    }
    if (shard->sweep_credit > price) {
        shard->sweep_credit = price;
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
