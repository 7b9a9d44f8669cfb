/* SPDX-License-Identifier: MIT */
/*
 * Keys are numbers: a key's hash is made from it, and its slot's locator is the number plus one. So
 * a slot found can be told from another one with the same tag, as the library does by comparing
 * keys.
 */
#include "table/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

#define KIB   1024u
#define LIMIT (UINT64_C(1) << 30)

static struct skv_budget budget;
static struct skv_table table;

static void open_table(size_t segment_bytes, uint32_t shard_bits, uint32_t group_count)
{
    cr_assert(skv_budget_init(&budget, LIMIT, segment_bytes));
    cr_assert(eq(int, skv_table_init(&table, &budget, shard_bits, group_count), SPILLKV_OK));
}

static uint64_t budget_used(void)
{
    return atomic_load(&budget.used_total);
}

/* Other users take all there is, until close_table(). */
static void use_up_budget(void)
{
    cr_assert(skv_budget_charge(&budget, SKV_MEMORY_SCRATCH, skv_budget_room(&budget)));
}

static void relieve_budget(void)
{
    skv_budget_discharge(&budget, SKV_MEMORY_SCRATCH,
                         atomic_load(&budget.used[SKV_MEMORY_SCRATCH]));
}

static void close_table(void)
{
    relieve_budget();
    skv_table_fini(&table);
    cr_expect(eq(u64, budget_used(), 0));
    skv_budget_fini(&budget);
}

/* MurmurHash3's finaliser. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

static uint64_t plain_hash(uint64_t key)
{
    return mix(key + 1);
}

/* Four tags only, 0 and the highest among them. */
static uint64_t crowded_hash(uint64_t key)
{
    static const uint64_t tags[] = {0, 1, 0x20000, 0x3ffff};
    const uint64_t hash = plain_hash(key);
    return (hash & ~SKV_TAG_MASK) | tags[hash & 3];
}

/* One tag, the last bucket of any run. */
static uint64_t same_hash(uint64_t key)
{
    return plain_hash(key) | SKV_TAG_MASK;
}

typedef uint64_t hash_function(uint64_t key);

static uint64_t *find(uint64_t hash, uint64_t key)
{
    struct skv_probe probe;
    uint64_t *slot = skv_table_first(&table, hash, &probe);
    while (slot != NULL && skv_slot_locator(*slot) != key + 1) {
        cr_assert(eq(u32, skv_slot_tag(*slot), (uint32_t)(hash & SKV_TAG_MASK)));
        slot = skv_table_next(&probe);
    }
    return slot;
}

static spillkv_status insert(uint64_t hash, uint64_t key)
{
    return skv_table_insert(&table, hash, skv_slot_make(hash, false, 0, key + 1));
}

static void insert_keys(hash_function *hash, uint64_t first, uint64_t end)
{
    for (uint64_t key = first; key < end; key++) {
        cr_assert(eq(int, insert(hash(key), key), SPILLKV_OK));
    }
}

static void remove_key(uint64_t hash, uint64_t key)
{
    uint64_t *const slot = find(hash, key);
    cr_assert(slot != NULL);
    skv_table_remove(&table, hash, slot);
}

static bool all_found(hash_function *hash, uint64_t first, uint64_t end)
{
    for (uint64_t key = first; key < end; key++) {
        if (find(hash(key), key) == NULL) {
            return false;
        }
    }
    return true;
}

Test(table, finds_nothing_while_empty)
{
    open_table(16 * KIB, 0, 64);
    struct skv_probe probe;
    skv_table_prefetch_group(&table, 7);
    skv_table_touch(&table, 7);
    cr_expect(skv_table_first(&table, 7, &probe) == NULL);
    cr_expect(skv_table_first(&table, 0, &probe) == NULL);
    cr_expect(skv_table_check(&table));
    close_table();
}

Test(table, fini_of_a_zeroed_table_does_nothing)
{
    struct skv_table zero = {0};
    skv_table_fini(&zero);
    cr_expect(zero.groups == NULL);
}

Test(table, does_not_take_an_empty_slot_for_tag_0)
{
    open_table(16 * KIB, 0, 1);
    cr_assert(eq(int, insert(5, 1), SPILLKV_OK));
    struct skv_probe probe;
    cr_expect(skv_table_first(&table, 0, &probe) == NULL);
    cr_assert(eq(int, insert(0, 2), SPILLKV_OK));
    cr_expect(find(0, 2) != NULL);
    close_table();
}

/* Random insertions, removals and searches against an array of flags. */
static void compare_with_model(size_t segment_bytes, uint32_t group_count, hash_function *hash,
                               uint64_t keys, unsigned steps)
{
    open_table(segment_bytes, 3, group_count);
    bool *const present = calloc(keys, sizeof(*present));
    cr_assert(present != NULL);
    struct skv_rng rng;
    skv_rng_init(&rng, 42);
    uint64_t count = 0;
    for (unsigned step = 0; step < steps; step++) {
        /* The number of keys swings between few and nearly all. */
        const bool filling = step / (unsigned)(keys * 2) % 2 == 0;
        const uint64_t key = (skv_rng_next(&rng) >> 20) % keys;
        const bool want = (skv_rng_next(&rng) >> 32) % 16 < (filling ? 15 : 1);
        cr_assert(eq(int, find(hash(key), key) != NULL, present[key]), "step %u", step);
        if (want && !present[key]) {
            cr_assert(eq(int, insert(hash(key), key), SPILLKV_OK));
            count++;
        } else if (!want && present[key]) {
            remove_key(hash(key), key);
            count--;
        }
        present[key] = want;
        cr_assert(eq(u64, table.used, count));
        if (step % 64 == 0 || keys < 64) {
            cr_assert(skv_table_check(&table));
        }
    }
    for (uint64_t key = 0; key < keys; key++) {
        cr_assert(eq(int, find(hash(key), key) != NULL, present[key]));
        if (present[key]) {
            remove_key(hash(key), key);
        }
    }
    cr_expect(eq(u64, table.used, 0));
    cr_expect(skv_table_check(&table));
    free(present);
    close_table();
}

Test(table, agrees_with_a_model)
{
    compare_with_model(16 * KIB, 4, plain_hash, 3000, 60000);
}

Test(table, agrees_with_a_model_in_small_groups)
{
    compare_with_model(4 * KIB, 256, plain_hash, 2000, 40000);
}

Test(table, agrees_with_a_model_of_few_keys)
{
    compare_with_model(64 * KIB, 1, plain_hash, 40, 20000);
}

Test(table, agrees_with_a_model_of_few_tags)
{
    compare_with_model(16 * KIB, 2, crowded_hash, 1000, 30000);
}

Test(table, agrees_with_a_model_of_one_tag)
{
    compare_with_model(4 * KIB, 2, same_hash, 500, 10000);
}

Test(table, keeps_the_bits_of_a_slot)
{
    open_table(16 * KIB, 0, 1);
    insert_keys(plain_hash, 0, 500);
    for (uint64_t key = 0; key < 500; key++) {
        uint64_t *const slot = find(plain_hash(key), key);
        *slot = skv_slot_with_policy(*slot, (uint32_t)key);
        *slot = skv_slot_moved(*slot, true, key + 1);
    }
    insert_keys(plain_hash, 500, 1500);
    for (uint64_t key = 500; key < 1500; key++) {
        remove_key(plain_hash(key), key);
    }
    for (uint64_t key = 0; key < 500; key++) {
        const uint64_t *const slot = find(plain_hash(key), key);
        cr_assert(slot != NULL);
        cr_assert(eq(u64, *slot & ~SKV_SLOT_PASSED,
                     skv_slot_make(plain_hash(key), true, (uint32_t)key, key + 1)));
    }
    close_table();
}

Test(table, leaves_the_top_bits_to_the_shards)
{
    open_table(16 * KIB, 6, 1024);
    struct skv_rng rng;
    skv_rng_init(&rng, 1);
    unsigned seen = 0;
    for (unsigned i = 0; i < 10000; i++) {
        const uint64_t hash = skv_rng_next(&rng);
        const uint32_t group = skv_table_group_of(&table, hash);
        cr_assert(lt(u32, group, 1024));
        cr_assert(eq(u32, group, skv_table_group_of(&table, hash << 6 >> 6)));
        cr_assert(eq(u32, group, skv_table_group_of(&table, hash ^ SKV_TAG_MASK)));
        seen += group == 1023;
    }
    cr_expect(gt(u32, seen, 0));
    close_table();
}

Test(table, lists_every_slot_in_the_group_of_its_hash)
{
    open_table(16 * KIB, 2, 16);
    insert_keys(plain_hash, 0, 2000);
    uint64_t listed = 0;
    for (uint32_t group = 0; group < 16; group++) {
        size_t count;
        const uint64_t *const slots = skv_table_group_slots(&table, group, &count);
        cr_assert(eq(sz, count % SKV_BUCKET_SLOTS, 0));
        for (size_t i = 0; i < count; i++) {
            if (slots[i] != 0) {
                const uint64_t hash = plain_hash(skv_slot_locator(slots[i]) - 1);
                cr_assert(eq(u32, skv_table_group_of(&table, hash), group));
                listed++;
            }
        }
    }
    cr_expect(eq(u64, listed, 2000));
    close_table();
}

Test(table, fills_its_run_to_the_last_slot_when_the_budget_gives_no_more)
{
    open_table(4 * KIB, 0, 1);
    insert_keys(plain_hash, 0, 200);
    use_up_budget();
    uint64_t key = 200;
    while (insert(plain_hash(key), key) == SPILLKV_OK) {
        key++;
    }
    size_t slots;
    (void)skv_table_group_slots(&table, 0, &slots);
    cr_expect(eq(sz, slots, table.used));
    const uint64_t bytes = skv_table_bytes(&table);
    cr_expect(eq(int, insert(plain_hash(key), key), SPILLKV_EFULL));
    cr_expect(find(plain_hash(key), key) == NULL);
    cr_expect(eq(u64, skv_table_bytes(&table), bytes));
    cr_expect(skv_table_check(&table));
    cr_expect(all_found(plain_hash, 0, key));

    /* Full all around, a removal must still leave the others where they are found. */
    for (uint64_t old = 0; old < key; old++) {
        remove_key(plain_hash(old), old);
        cr_assert(skv_table_check(&table));
        cr_assert(all_found(plain_hash, old + 1, key + old));
        cr_assert(eq(int, insert(plain_hash(key + old), key + old), SPILLKV_OK));
    }
    cr_expect(all_found(plain_hash, key, 2 * key));
    close_table();
}

Test(table, counts_the_slots_of_the_longest_run)
{
    open_table(256 * KIB, 0, 1);
    insert_keys(plain_hash, 0, 32768);
    cr_expect(eq(int, insert(plain_hash(32768), 32768), SPILLKV_EFULL));
    cr_expect(skv_table_check(&table));
    cr_expect(all_found(plain_hash, 0, 32768));
    for (uint64_t key = 0; key < 32768; key++) {
        remove_key(plain_hash(key), key);
    }
    cr_expect(skv_table_check(&table));
    close_table();
}

Test(table, goes_on_growing_when_the_budget_gives_again)
{
    open_table(4 * KIB, 0, 1);
    insert_keys(plain_hash, 0, 100);
    use_up_budget();
    uint64_t key = 100;
    while (insert(plain_hash(key), key) == SPILLKV_OK) {
        key++;
    }
    relieve_budget();
    insert_keys(plain_hash, key, 400);
    cr_expect(skv_table_check(&table));
    cr_expect(all_found(plain_hash, 0, 400));
    close_table();
}

struct failing {
    unsigned countdown; /* allocations that still succeed */
};

static bool fail_later(void *context, size_t bytes)
{
    struct failing *const failing = context;
    (void)bytes;
    return failing->countdown > 0 && failing->countdown-- > 0;
}

Test(table, is_unchanged_when_an_allocation_fails)
{
    unsigned failures = 0;
    for (unsigned nth = 0; nth < 12; nth++) {
        open_table(4 * KIB, 0, 8);
        struct failing failing = {nth};
        skv_alloc_set_hook(fail_later, &failing);
        for (uint64_t key = 0; key < 600; key++) {
            const uint64_t bytes = skv_table_bytes(&table);
            const uint64_t charged = budget_used();
            const spillkv_status status = insert(plain_hash(key), key);
            if (status != SPILLKV_OK) {
                cr_assert(eq(u64, skv_table_bytes(&table), bytes));
                cr_assert(eq(u64, budget_used(), charged));
                cr_assert(find(plain_hash(key), key) == NULL);
                cr_assert(skv_table_check(&table));
                failures++;
                skv_alloc_set_hook(NULL, NULL);
                cr_assert(eq(int, insert(plain_hash(key), key), SPILLKV_OK));
                skv_alloc_set_hook(fail_later, &failing);
            }
        }
        skv_alloc_set_hook(NULL, NULL);
        cr_expect(all_found(plain_hash, 0, 600));
        cr_expect(skv_table_check(&table));
        close_table();
    }
    cr_expect(gt(u32, failures, 12));
}

Test(table, charges_nothing_when_init_fails)
{
    cr_assert(skv_budget_init(&budget, 0, 16 * KIB));
    spillkv_status status = SPILLKV_ENOMEM;
    for (unsigned nth = 0; status != SPILLKV_OK; nth++) {
        struct failing failing = {nth};
        skv_alloc_set_hook(fail_later, &failing);
        status = skv_table_init(&table, &budget, 0, 1024);
        skv_alloc_set_hook(NULL, NULL);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_ENOMEM, "status %d", status);
        cr_assert(eq(int, budget_used() != 0, status == SPILLKV_OK));
    }
    close_table();
}

Test(table, charges_nothing_when_its_directory_does_not_fit)
{
    for (uint64_t limit = 16 * KIB - 1; limit <= 16 * KIB; limit++) {
        cr_assert(skv_budget_init(&budget, limit, 16 * KIB));
        cr_expect(eq(int, skv_table_init(&table, &budget, 0, 1024), SPILLKV_EFULL));
        cr_expect(eq(u64, budget_used(), 0));
        skv_budget_fini(&budget);
    }
}

Test(table, charges_what_it_holds)
{
    open_table(16 * KIB, 0, 64);
    for (uint64_t key = 0; key < 20000; key++) {
        cr_assert(eq(int, insert(plain_hash(key), key), SPILLKV_OK));
        cr_assert(eq(u64, skv_table_bytes(&table), budget_used()));
    }
    cr_expect(eq(u64, atomic_load(&budget.used[SKV_MEMORY_TABLE]), budget_used()));
    close_table();
}

Test(table, takes_less_than_10_6_bytes_a_key)
{
    open_table(16 * KIB, 0, 1024);
    double worst = 0;
    for (uint64_t key = 0; key < 300000; key++) {
        cr_assert(eq(int, insert(plain_hash(key), key), SPILLKV_OK));
        const double each = (double)skv_table_bytes(&table) / (double)(key + 1);
        worst = key >= 110000 && each > worst ? each : worst;
    }
    cr_expect(lt(dbl, worst, 10.6));
    close_table();
}

Test(table, gets_smaller_as_keys_go)
{
    open_table(16 * KIB, 0, 64);
    const uint64_t empty = budget_used();
    insert_keys(plain_hash, 0, 40000);
    for (uint64_t key = 0; key < 40000; key++) {
        remove_key(plain_hash(key), key);
        if (key % 5000 == 0) {
            cr_assert(skv_table_check(&table));
        }
        if (key < 35000) {
            cr_assert(lt(u64, budget_used(), empty + (40000 - key) * 18 + 20 * 16 * KIB));
        }
    }
    cr_expect(eq(u64, budget_used(), empty));
    close_table();
}

Test(table, keeps_its_longer_run_when_a_shorter_one_cannot_be_had)
{
    open_table(4 * KIB, 0, 1);
    insert_keys(plain_hash, 0, 300);
    use_up_budget();
    for (uint64_t key = 0; key < 299; key++) {
        remove_key(plain_hash(key), key);
        cr_assert(skv_table_check(&table));
        cr_assert(find(plain_hash(299), 299) != NULL);
    }
    remove_key(plain_hash(299), 299);
    cr_expect(skv_table_check(&table));
    close_table();
}

Test(table, does_not_flutter_between_two_lengths)
{
    for (uint64_t keys = 1; keys < 900; keys++) {
        open_table(16 * KIB, 0, 1);
        insert_keys(plain_hash, 0, keys);
        size_t before;
        size_t after;
        (void)skv_table_group_slots(&table, 0, &before);
        remove_key(plain_hash(0), 0);
        (void)skv_table_group_slots(&table, 0, &after);
        if (keys > 1) {
            cr_assert(eq(sz, before, after), "at %llu keys", (unsigned long long)keys);
        }
        close_table();
    }
}

Test(table, can_be_used_again_after_clear)
{
    open_table(16 * KIB, 0, 64);
    const uint64_t empty = budget_used();
    insert_keys(plain_hash, 0, 10000);
    skv_table_clear(&table);
    cr_expect(eq(u64, budget_used(), empty));
    cr_expect(eq(u64, skv_table_bytes(&table), empty));
    cr_expect(skv_table_check(&table));
    cr_expect(find(plain_hash(1), 1) == NULL);
    insert_keys(plain_hash, 0, 10000);
    cr_expect(skv_table_check(&table));
    cr_expect(all_found(plain_hash, 0, 10000));
    close_table();
}
