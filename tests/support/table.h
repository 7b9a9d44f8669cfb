/* SPDX-License-Identifier: MIT */
/**
 * One table for a test. Keys are numbers: a key's hash is made from it, and its slot's locator is
 * the number plus one. So a slot found can be told from another one with the same tag, as the
 * library does by comparing keys.
 */
#ifndef SPILLKV_TESTS_SUPPORT_TABLE_H
#define SPILLKV_TESTS_SUPPORT_TABLE_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "table/table.h"

#define KIB   1024u
#define LIMIT (UINT64_C(1) << 30)

static struct skv_budget budget;
static struct skv_table table;

static inline void open_table(size_t segment_bytes, uint32_t shard_bits, uint32_t group_count)
{
    cr_assert(skv_budget_init(&budget, LIMIT, segment_bytes));
    cr_assert(eq(int, skv_table_init(&table, &budget, shard_bits, group_count), SPILLKV_OK));
}

static inline uint64_t budget_used(void)
{
    return atomic_load(&budget.used_total);
}

/* Other users take all there is, until close_table(). */
static inline void use_up_budget(void)
{
    cr_assert(skv_budget_charge(&budget, SKV_MEMORY_SCRATCH, skv_budget_room(&budget)));
}

static inline void relieve_budget(void)
{
    skv_budget_discharge(&budget, SKV_MEMORY_SCRATCH,
                         atomic_load(&budget.used[SKV_MEMORY_SCRATCH]));
}

static inline void close_table(void)
{
    relieve_budget();
    skv_table_fini(&table);
    cr_expect(eq(u64, budget_used(), 0));
    skv_budget_fini(&budget);
}

/* MurmurHash3's finaliser. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

static inline uint64_t plain_hash(uint64_t key)
{
    return mix(key + 1);
}

/* Four tags only, 0 and the highest among them. */
static inline uint64_t crowded_hash(uint64_t key)
{
    static const uint64_t tags[] = {0, 1, 0x20000, 0x3ffff};
    const uint64_t hash = plain_hash(key);
    return (hash & ~SKV_TAG_MASK) | tags[hash & 3];
}

/* One tag, the last bucket of any run. */
static inline uint64_t same_hash(uint64_t key)
{
    return plain_hash(key) | SKV_TAG_MASK;
}

typedef uint64_t hash_function(uint64_t key);

static inline uint64_t *find(uint64_t hash, uint64_t key)
{
    struct skv_probe probe;
    uint64_t *slot = skv_table_first(&table, hash, &probe);
    while (slot != NULL && skv_slot_locator(*slot) != key + 1) {
        cr_assert(eq(u32, skv_slot_tag(*slot), (uint32_t)(hash & SKV_TAG_MASK)));
        slot = skv_table_next(&probe);
    }
    return slot;
}

static inline spillkv_status insert(uint64_t hash, uint64_t key)
{
    return skv_table_insert(&table, hash, skv_slot_make(hash, false, 0, key + 1));
}

static inline void insert_keys(hash_function *hash, uint64_t first, uint64_t end)
{
    for (uint64_t key = first; key < end; key++) {
        cr_assert(eq(int, insert(hash(key), key), SPILLKV_OK));
    }
}

static inline void remove_key(uint64_t hash, uint64_t key)
{
    uint64_t *const slot = find(hash, key);
    cr_assert(slot != NULL);
    skv_table_remove(&table, hash, slot);
}

static inline bool all_found(hash_function *hash, uint64_t first, uint64_t end)
{
    for (uint64_t key = first; key < end; key++) {
        if (find(hash(key), key) == NULL) {
            return false;
        }
    }
    return true;
}

#endif
