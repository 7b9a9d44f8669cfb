/* SPDX-License-Identifier: MIT */
#include "support/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

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

Test(table, is_not_changed_by_a_touch)
{
    open_table(16 * KIB, 0, 1);
    uint64_t hashes[SKV_TABLE_TOUCHES];
    for (uint64_t key = 0; key < SKV_TABLE_TOUCHES; key++) {
        /* Most are in the last bucket of the ring, which is full, and behind it. */
        hashes[key] = key < 4 ? crowded_hash(key) : same_hash(key);
        cr_assert(eq(int, insert(hashes[key], key), SPILLKV_OK));
    }
    for (size_t i = 0; i < SKV_TABLE_TOUCHES; i++) {
        skv_table_touch(&table, hashes[i]);
    }
    cr_expect(skv_table_check(&table));
    for (uint64_t key = 0; key < SKV_TABLE_TOUCHES; key++) {
        cr_expect(find(hashes[key], key) != NULL);
    }
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
