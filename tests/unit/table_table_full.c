/* SPDX-License-Identifier: MIT */
/* The table when the budget, or the system, gives no memory. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/alloc.h"
#include "support/table.h"

Test(table_full, tells_how_many_slots_a_group_has_left)
{
    open_table(16 * KIB, 0, 1);
    cr_expect(eq(u32, skv_table_room(&table, 0), 0));
    for (uint64_t key = 0; key < 500; key++) {
        cr_assert(eq(int, insert(plain_hash(key), key), SPILLKV_OK));
        size_t slots;
        (void)skv_table_group_slots(&table, 0, &slots);
        cr_assert(eq(u64, skv_table_room(&table, 0), slots - table.used));
    }
    use_up_budget();
    const uint32_t left = skv_table_room(&table, 0);
    for (uint64_t key = 10000; key < 10000 + left; key++) {
        cr_assert(eq(int, insert(plain_hash(key), key), SPILLKV_OK));
    }
    cr_expect(eq(u32, skv_table_room(&table, 0), 0));
    cr_expect(eq(int, insert(plain_hash(20000), 20000), SPILLKV_EFULL));
    remove_key(plain_hash(10000), 10000);
    cr_expect(eq(u32, skv_table_room(&table, 0), 1));
    close_table();
}

Test(table_full, fills_its_run_to_the_last_slot_when_the_budget_gives_no_more)
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

Test(table_full, counts_the_slots_of_the_longest_run)
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

Test(table_full, goes_on_growing_when_the_budget_gives_again)
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

Test(table_full, is_unchanged_when_an_allocation_fails)
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

Test(table_full, charges_nothing_when_init_fails)
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

Test(table_full, charges_nothing_when_its_directory_does_not_fit)
{
    const uint64_t directory = skv_table_directory_bytes(1024);
    for (uint64_t limit = directory - 1; limit <= directory; limit++) {
        cr_assert(skv_budget_init(&budget, limit, 16 * KIB));
        cr_expect(eq(int, skv_table_init(&table, &budget, 0, 1024), SPILLKV_EFULL));
        cr_expect(eq(u64, budget_used(), 0));
        skv_budget_fini(&budget);
    }
}

Test(table_full, keeps_its_longer_run_when_a_shorter_one_cannot_be_had)
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
