/* SPDX-License-Identifier: MIT */
/**
 * The store without bytes: shards with the library's table of slots, clock, sweep and choice of
 * victims; the two logs are rings of keys' numbers. Every key keeps its slot for ever, as a spilled
 * one does. What is simulated is exact: never more residents than the capacity, and a batch is
 * examined when one more is to come in.
 *
 * Who makes room is decided as in the store: the shard whose oldest newcomer came first.
 */
#include <stdlib.h>

#include "hitrate_policy.h"
#include "table/policy.h"
#include "table/sweep.h"
#include "table/table.h"
#include "table/victims.h"
#include "workload.h"

#define SEGMENT_BYTES  ((size_t)64 << 10)
#define KEYS_PER_GROUP 300u
#define BATCH_PART     32u
#define BATCH_LEAST    16u
#define BATCH_MAX      256u
#define AHEAD          16u

/* Of the simulation of other sizes: an entry is one of its units. */
#define ENTRY_BYTES    8u
#define ADVISE_RECORDS (2 * SKV_ADVISE_RECORDS_MOST)
#define ADVISE_LEAST   1024u

enum log_name {
    NEWCOMERS,
    SURVIVORS,
    LOGS
};

struct place {
    uint32_t key;
    uint32_t born; /* the miss at which it came there */
};

struct ring {
    struct place *places;
    uint32_t size; /* a power of two */
    uint32_t first;
    uint32_t count;
};

struct part {
    struct skv_table table;
    struct skv_policy policy;
    struct skv_learn learn;
    struct skv_sweep sweep;
    struct skv_advise advise;
    struct ring logs[LOGS];
    uint32_t residents;
    uint32_t capacity;
};

struct store {
    struct skv_budget budget;
    struct part parts[HITRATE_SHARDS_MAX];
    const struct hitrate_cache *cache;
    uint32_t residents;
    uint32_t misses;
    uint64_t examined;
    uint64_t spilled;
};

struct item {
    uint64_t *slot;
    uint32_t key;
    uint32_t score;
};

static bool push(struct ring *ring, uint32_t key, uint32_t born)
{
    if (ring->count == ring->size) {
        const uint32_t size = ring->size == 0 ? 64 : 2 * ring->size;
        struct place *const places = malloc(size * sizeof(*places));
        if (places == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < ring->count; i++) {
            places[i] = ring->places[(ring->first + i) & (ring->size - 1)];
        }
        free(ring->places);
        ring->places = places;
        ring->size = size;
        ring->first = 0;
    }
    ring->places[(ring->first + ring->count++) & (ring->size - 1)] =
        (struct place){.key = key, .born = born};
    return true;
}

static uint32_t pop(struct ring *ring)
{
    const uint32_t key = ring->places[ring->first].key;
    ring->first = (ring->first + 1) & (ring->size - 1);
    ring->count--;
    return key;
}

static uint32_t shard_bits(const struct hitrate_cache *cache)
{
    return (uint32_t)__builtin_ctz(cache->shards);
}

static uint64_t hash_of(const struct store *store, uint32_t key)
{
    return workload_mix(key ^ store->cache->seed << 32);
}

static struct part *part_of(struct store *store, uint64_t hash)
{
    return &store->parts[hash >> 1 >> (63 - shard_bits(store->cache))];
}

static uint64_t *find(const struct part *part, uint64_t hash, uint32_t key)
{
    struct skv_probe probe;
    uint64_t *slot = skv_table_first(&part->table, hash, &probe);
    while (slot != NULL && skv_slot_locator(*slot) != (uint64_t)key + 1) {
        slot = skv_table_next(&probe);
    }
    return slot;
}

static void collect(struct store *store, struct part *part, enum log_name log, uint32_t wanted,
                    struct item *items, uint32_t *count)
{
    for (; wanted > 0 && part->logs[log].count > 0; wanted--) {
        struct item *const item = &items[(*count)++];
        item->key = pop(&part->logs[log]);
        skv_table_prefetch_bucket(&part->table, hash_of(store, item->key));
    }
}

/* Examines a batch of a shard, of whose entries at least one leaves. */
static bool examine(struct store *store, struct part *part)
{
    struct item items[BATCH_MAX];
    uint32_t count = 0;
    uint32_t amount = part->residents / BATCH_PART;
    amount = amount < BATCH_LEAST ? BATCH_LEAST : amount > BATCH_MAX ? BATCH_MAX : amount;
    const uint64_t survivors =
        skv_victims_survivors(amount, part->logs[NEWCOMERS].count, part->logs[SURVIVORS].count);
    collect(store, part, SURVIVORS, (uint32_t)survivors, items, &count);
    collect(store, part, NEWCOMERS, amount - count, items, &count);

    struct skv_victims victims;
    skv_victims_init(&victims);
    for (uint32_t i = 0; i < count; i++) {
        items[i].slot = find(part, hash_of(store, items[i].key), items[i].key);
        const uint32_t bits = skv_slot_policy(*items[i].slot);
        items[i].score = skv_policy_score(&part->policy, bits);
        skv_victims_add(&victims, items[i].score, 1, skv_policy_is_unused(bits));
    }
    (void)skv_victims_choose(&victims, SKV_VICTIMS_SOME, SKV_VICTIMS_PERCENT);
    store->examined += count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *const slot = items[i].slot;
        if (skv_victims_take(&victims, items[i].score, 1)) {
            *slot = skv_slot_moved(*slot, true, skv_slot_locator(*slot));
            part->residents--;
            store->residents--;
            store->spilled++;
            continue;
        }
        const bool unused = skv_policy_is_unused(skv_slot_policy(*slot));
        if (!push(&part->logs[unused ? NEWCOMERS : SURVIVORS], items[i].key, store->misses)) {
            return false;
        }
    }
    return true;
}

/* The shard that gives way when the memory they share is full. */
static struct part *oldest_part(struct store *store)
{
    struct part *oldest = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < store->cache->shards; i++) {
        struct part *const part = &store->parts[i];
        const struct ring *const log =
            &part->logs[part->logs[NEWCOMERS].count != 0 ? NEWCOMERS : SURVIVORS];
        if (log->count != 0) {
            const uint32_t age = store->misses - log->places[log->first].born;
            if (oldest == NULL || age > most) {
                oldest = part;
                most = age;
            }
        }
    }
    return oldest;
}

static bool make_room(struct store *store, struct part *part)
{
    if (store->cache->split) {
        return part->residents < part->capacity || examine(store, part);
    }
    return store->residents < store->cache->capacity || examine(store, oldest_part(store));
}

static struct skv_advise_key advise_key(const struct part *part, uint64_t hash, uint64_t slot)
{
    return (struct skv_advise_key){.hash = hash,
                                   .bytes = ENTRY_BYTES,
                                   .policy = &part->policy,
                                   .bits = skv_slot_policy(slot),
                                   .keys = part->table.used};
}

/* The key comes into RAM. */
static bool miss(struct store *store, struct part *part, uint64_t hash, uint32_t key,
                 uint64_t *slot)
{
    if (!make_room(store, part)) {
        return false;
    }
    if (slot != NULL) {
        const uint32_t bits = skv_policy_use(&part->policy, skv_slot_policy(*slot));
        *slot = skv_slot_moved(skv_slot_with_policy(*slot, bits), false, (uint64_t)key + 1);
    } else {
        const uint64_t fresh =
            skv_slot_make(hash, false, skv_policy_new(&part->policy), (uint64_t)key + 1);
        if (skv_table_insert(&part->table, hash, fresh) != SPILLKV_OK) {
            return false;
        }
        if (skv_advise_samples(&part->advise, hash)) {
            const struct skv_advise_key sampled = advise_key(part, hash, fresh);
            skv_advise_insert(&part->advise, &sampled);
        }
    }
    part->residents++;
    store->residents++;
    store->misses++;
    if (!push(&part->logs[NEWCOMERS], key, store->misses)) {
        return false;
    }
    skv_policy_miss(&part->policy, part->residents);
    skv_sweep_miss(&part->sweep, &part->table, &part->policy, part->residents);
    return true;
}

static bool simulate(struct store *store, const struct trace *trace, uint64_t *hits)
{
    for (uint64_t i = 0; i < trace->count; i++) {
        if (i + AHEAD < trace->count) {
            const uint64_t next = hash_of(store, trace->keys[i + AHEAD]);
            skv_table_prefetch_bucket(&part_of(store, next)->table, next);
        }
        const uint32_t key = trace->keys[i];
        const uint64_t hash = hash_of(store, key);
        struct part *const part = part_of(store, hash);
        uint64_t *const slot = find(part, hash, key);
        if (slot != NULL && skv_advise_samples(&part->advise, hash)) {
            const struct skv_advise_key sampled = advise_key(part, hash, *slot);
            skv_advise_get(&part->advise, &sampled);
        }
        if (slot != NULL && !skv_slot_on_disk(*slot)) {
            const uint32_t bits = skv_slot_policy(*slot);
            const uint32_t used = skv_policy_use(&part->policy, bits);
            if (used != bits) {
                *slot = skv_slot_with_policy(*slot, used);
            }
            (*hits)++;
        } else if (!miss(store, part, hash, key, slot)) {
            return false;
        }
    }
    return true;
}

/* As a store does it, with as much memory as its shards take from 16 MiB on. */
static bool open_advise(const struct store *store, struct part *part, bool learns)
{
    const uint64_t capacity = (uint64_t)store->cache->capacity * ENTRY_BYTES;
    const uint32_t shards = store->cache->shards;
    uint32_t records = ADVISE_RECORDS / shards;
    records = records > SKV_ADVISE_RECORDS_MOST ? SKV_ADVISE_RECORDS_MOST
              : records < ADVISE_LEAST          ? ADVISE_LEAST
                                                : records;
    uint64_t capacities[SKV_ADVISE_SIZES];
    for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
        capacities[size] = (capacity << size) / 2 / shards;
    }
    const uint64_t seed = store->cache->seed + (uint64_t)(part - store->parts) + 1;
    if (!skv_advise_init(&part->advise, records, learns, seed)) {
        return false;
    }
    skv_advise_set_capacities(&part->advise, capacities);
    return true;
}

static bool open_parts(struct store *store, const struct hitrate_policy *policy, uint32_t unique)
{
    const uint32_t shards = store->cache->shards;
    uint32_t groups = 1;
    while ((uint64_t)groups * KEYS_PER_GROUP * shards < unique) {
        groups *= 2;
    }
    for (uint32_t i = 0; i < shards; i++) {
        struct part *const part = &store->parts[i];
        const uint32_t capacity = store->cache->capacity / shards;
        part->capacity = capacity + (i < store->cache->capacity % shards);
        part->capacity += part->capacity == 0;
        skv_policy_init(&part->policy, (enum skv_policy_kind)policy->kind,
                        store->cache->seed + i + 1);
        if (policy->learns) {
            skv_policy_learn(&part->policy, &part->learn);
        }
        if (store->cache->advise && !open_advise(store, part, policy->learns)) {
            return false;
        }
        if (skv_table_init(&part->table, &store->budget, shard_bits(store->cache), groups) !=
            SPILLKV_OK) {
            return false;
        }
    }
    return true;
}

static void close_parts(struct store *store)
{
    for (uint32_t i = 0; i < store->cache->shards; i++) {
        struct part *const part = &store->parts[i];
        skv_table_fini(&part->table);
        skv_advise_fini(&part->advise);
        for (int log = 0; log < LOGS; log++) {
            free(part->logs[log].places);
        }
    }
}

static void read_advice(const struct store *store, struct hitrate_result *result)
{
    for (uint32_t i = 0; i < store->cache->shards; i++) {
        for (int size = 0; size < SKV_ADVISE_SIZES; size++) {
            result->misses[size] += store->parts[i].advise.rams[size].misses;
        }
    }
}

bool hitrate_run_store(const struct hitrate_policy *policy, const struct trace *trace,
                       const struct hitrate_cache *cache, struct hitrate_result *result_out)
{
    *result_out = (struct hitrate_result){0};
    struct store *const store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return false;
    }
    store->cache = cache;
    bool valid = skv_budget_init(&store->budget, 0, SEGMENT_BYTES);
    if (valid) {
        valid =
            open_parts(store, policy, trace->unique) && simulate(store, trace, &result_out->hits);
        read_advice(store, result_out);
        close_parts(store);
        skv_budget_fini(&store->budget);
    }
    result_out->examined = store->examined;
    result_out->spilled = store->spilled;
    free(store);
    return valid;
}
