/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. The simulation (table/advise.h) is told of sampled keys under the lock, and now and then
 * how much memory for entries the shard would have at each size. Slots, SQLite and what else is no
 * entry take the same at all of them, so half of max_mem is less than half of the entries. The rest
 * is the store's; this shard has the part of it that it has of all entries now.
 */
#include "shard/shard_private.h"

_Static_assert(SKV_ADVISE_SIZES ==
                   sizeof(((struct skv_shard_advice *)NULL)->misses) / sizeof(double),
               "shard.h does not see the sizes");

/** Times a sampled key is told of until capacities are looked at again. */
#define TOLD_AGAIN 64u
/** What an entry takes beside key and value: its header, and the rounding in the mean. */
#define ENTRY_OVERHEAD 12u
/** The part of max_mem that the spillers keep free. */
#define FREE_PART 128.0

static double used(const struct skv_shard *shard, enum skv_memory_kind kind)
{
    return (double)atomic_load_explicit(&shard->budget->used[kind], memory_order_relaxed);
}

/** Bytes that all shards have for entries with so many times the memory. */
static double room_for_entries(const struct skv_shard *shard, double times)
{
    const double limit = (double)atomic_load_explicit(&shard->budget->limit, memory_order_relaxed);
    /* Where entries are dropped their slots go with them. */
    const double slots =
        used(shard, SKV_MEMORY_TABLE) * (shard->mode == SKV_SHARD_DROP ? times : 1);
    const double others = slots + used(shard, SKV_MEMORY_SQLITE) + used(shard, SKV_MEMORY_SCRATCH) +
                          used(shard, SKV_MEMORY_FIXED);
    const double room = limit * times * (1 - 1 / FREE_PART) - others;
    return room > 0 ? room : 0;
}

static void set_capacities(struct skv_shard *shard) SKV_REQUIRES(shard->lock)
{
    static const double times[SKV_ADVISE_SIZES] = {0.5, 1, 2, 4};
    const uint64_t least = shard->ram.segment_bytes;
    uint64_t live = shard->counters.bytes_ram + shard->counters.entries_ram * ENTRY_OVERHEAD;
    live = live < least ? least : live;
    uint64_t capacities[SKV_ADVISE_SIZES];
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        const double part =
            room_for_entries(shard, times[size]) / (used(shard, SKV_MEMORY_ENTRIES) + 1);
        const double bytes = (double)live * part;
        capacities[size] = bytes < (double)INT64_MAX ? (uint64_t)bytes : INT64_MAX;
    }
    skv_advise_set_capacities(&shard->advise, capacities);
}

void skv_shard_tell_sampled_locked(struct skv_shard *shard, skv_shard_tell *tell,
                                   const struct skv_key *key, size_t value_size, uint32_t bits)
{
    const struct skv_advise_key sampled = {
        .hash = key->hash,
        .bytes = skv_entry_bytes_for(key->size, value_size, false),
        .policy = &shard->policy,
        .bits = bits,
        /* Where entries are dropped nobody tells of their keys. */
        .keys = shard->mode == SKV_SHARD_DROP ? 0 : shard->table.used,
    };
    if (shard->told++ % TOLD_AGAIN == 0) {
        set_capacities(shard);
    }
    tell(&shard->advise, &sampled);
}

void skv_shard_add_advice(struct skv_shard *shard, struct skv_shard_advice *sum)
{
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    const spillkv_counters *const counters = &shard->counters;
    sum->gets += counters->hits + counters->spilled_reads +
                 (shard->mode == SKV_SHARD_DROP ? counters->misses : 0);
    sum->hits += counters->hits;
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        sum->misses[size] += shard->advise.rams[size].misses;
    }
    sum->samples += shard->advise.samples;
    sum->sampled_keys += shard->advise.count;
    skv_mutex_unlock(&shard->lock);
}

void skv_shard_report_advice(const struct skv_shard_advice *sum, spillkv_advice *out)
{
    double expected[SKV_ADVISE_SIZES];
    skv_advise_expect(sum->misses, (double)sum->gets, (double)sum->hits, expected);
    out->gets = sum->gets;
    out->hits = sum->hits;
    out->hits_half = (uint64_t)expected[SKV_ADVISE_HALF];
    out->hits_twice = (uint64_t)expected[SKV_ADVISE_TWICE];
    out->hits_four = (uint64_t)expected[SKV_ADVISE_FOUR];
    out->samples = sum->samples;
    out->sampled_keys = sum->sampled_keys;
}
