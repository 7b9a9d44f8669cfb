/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;

static void set_up(void)
{
    one_shard_open(&one, &(struct one_shard_options){0});
}

static void tear_down(void)
{
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(ops, .init = set_up, .fini = tear_down, .timeout = 30);

static void set_and_spill(uint32_t number, uint64_t version, size_t size)
{
    cr_assert_eq(one_shard_put(&one, number, version, size), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_assert(one_shard_on_disk(&one, number));
}

Test(ops, equal_size_is_overwritten_in_place)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    const uint64_t live = one.shard->ram.live;
    for (uint64_t version = 2; version < 100; version++) {
        cr_assert_eq(one_shard_set(&one, 1, version, 100), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, 1, version, 100), SPILLKV_OK);
    }
    cr_expect_eq(one.shard->ram.live, live);
    cr_expect_eq(one.shard->ram.garbage, 0);
}

Test(ops, other_size_leaves_garbage)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 1, 2, 10), SPILLKV_OK);
    cr_expect_gt(one.shard->ram.garbage, 0);
    cr_expect_eq(one_shard_peek(&one, 1, 2, 10), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 1);
}

Test(ops, pinned_value_is_not_overwritten_in_place)
{
    cr_assert_eq(one_shard_set(&one, 1, 1, 100), SPILLKV_OK);
    const struct skv_ram *const ram = &one.shard->ram;
    const uint32_t segment = ram->logs[SKV_NEWCOMERS].newest;
    skv_ram_pin(&one.shard->ram, segment);
    cr_assert_eq(one_shard_set(&one, 1, 2, 100), SPILLKV_OK);
    cr_expect_gt(ram->garbage, 0, "the old bytes are where they were");
    skv_ram_unpin(&one.shard->ram, segment);
    cr_expect_eq(one_shard_peek(&one, 1, 2, 100), SPILLKV_OK);
}

Test(ops, value_grows_and_shrinks_through_all_kinds_of_places)
{
    static const size_t sizes[] = {10, 5000, 100, 9000, 0, 100000, 100, 30000, 40000, 8100};
    for (uint64_t i = 0; i < 60; i++) {
        const size_t size = sizes[i % 10];
        cr_assert_eq(one_shard_put(&one, 1, i, size), SPILLKV_OK);
        if (i % 3 == 0) {
            cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        }
        cr_assert_eq(i % 2 == 0 ? one_shard_get(&one, 1, i, size)
                                : one_shard_peek(&one, 1, i, size),
                     SPILLKV_OK);
        shard_check_deeply(one.shard);
    }
    cr_expect_eq(skv_shard_count(one.shard), 1);
}

Test(ops, get_promotes_and_keeps_the_copy)
{
    set_and_spill(1, 1, 100);
    const uint64_t place = one_shard_place(&one, 1);
    cr_expect_eq(one_shard_get(&one, 1, 1, 100), SPILLKV_OK);
    cr_expect(one_shard_in_ram(&one, 1));
    cr_expect_eq(one_shard_place(&one, 1), place);
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_eq(counters.promotions, 1);
    cr_expect_eq(counters.spilled_reads, 1);
    cr_expect_eq(counters.entries_ram, 1);
    cr_expect_eq(counters.entries_spilled, 0);
    cr_expect_eq(counters.bytes_spilled, 0);
}

Test(ops, peek_moves_and_counts_nothing)
{
    set_and_spill(1, 1, 100);
    const spillkv_counters before = one_shard_counters(&one);
    cr_expect_eq(one_shard_peek(&one, 1, 1, 100), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 2, 1, 100), SPILLKV_NOT_FOUND);
    const spillkv_counters after = one_shard_counters(&one);
    cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
    cr_expect(one_shard_on_disk(&one, 1));
}

Test(ops, lone_entry_is_promoted_too)
{
    set_and_spill(1, 1, 100000);
    cr_expect_eq(one_shard_get(&one, 1, 1, 100000), SPILLKV_OK);
    cr_expect(one_shard_in_ram(&one, 1));
    cr_expect_neq(one_shard_place(&one, 1), 0);
    cr_expect_eq(one_shard_get(&one, 1, 1, 100000), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).hits, 1);
}

Test(ops, overwriting_a_promoted_entry_drops_its_copy)
{
    for (size_t size = 100; size < 200000; size *= 10) {
        set_and_spill(1, 1, size);
        cr_expect_eq(one_shard_get(&one, 1, 1, size), SPILLKV_OK);
        cr_assert_eq(one_shard_set(&one, 1, 2, size), SPILLKV_OK);
        cr_expect_eq(one_shard_place(&one, 1), 0);
        cr_expect_eq(one_shard_counters(&one).live_bytes, 0);
        cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, 1, 2, size), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, 1), SPILLKV_OK);
    }
}

Test(ops, overwriting_a_spilled_entry_drops_its_place)
{
    set_and_spill(1, 1, 100);
    cr_assert_eq(one_shard_set(&one, 1, 2, 200), SPILLKV_OK);
    cr_expect(one_shard_in_ram(&one, 1));
    cr_expect_eq(one_shard_counters(&one).live_bytes, 0);
    cr_expect_eq(one_shard_peek(&one, 1, 2, 200), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).entries_spilled, 0);
}

Test(ops, deleted_key_stays_away_in_both_tiers)
{
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 50), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    for (uint32_t i = 0; i < 300; i += 3) {
        cr_assert_eq(one_shard_get(&one, i, 1, 50), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_NOT_FOUND);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    for (uint32_t i = 0; i < 300; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 50), SPILLKV_NOT_FOUND);
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_eq(counters.live_bytes, 0);
    cr_expect_eq(counters.dels, 300);
    cr_expect_eq(counters.bytes_ram + counters.bytes_spilled, 0);
    cr_expect_eq(one.shard->table.used, 0);
}

Test(ops, set_on_disk_goes_past_memory)
{
    uint8_t bytes[MODEL_KEY_MAX];
    uint8_t *const value = malloc(300000);
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    for (uint64_t version = 1; version < 5; version++) {
        model_value(1, version, value, 300000);
        cr_assert_eq(skv_shard_set_on_disk(one.shard, &key, value, 300000), SPILLKV_OK);
        cr_expect(one_shard_on_disk(&one, 1));
        cr_expect_eq(one_shard_peek(&one, 1, version, 300000), SPILLKV_OK);
        shard_check_deeply(one.shard);
    }
    cr_expect_eq(one_shard_set(&one, 1, 9, 10), SPILLKV_OK);
    model_value(1, 10, value, 300000);
    cr_assert_eq(skv_shard_set_on_disk(one.shard, &key, value, 300000), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 1, 10, 300000), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 1);
    free(value);
}

Test(ops, rows_of_large_values_that_were_overwritten_do_not_pile_up)
{
    uint8_t bytes[MODEL_KEY_MAX];
    uint8_t *const value = calloc(1, 400000);
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    for (int i = 0; i < 60; i++) {
        cr_assert_eq(skv_shard_set_on_disk(one.shard, &key, value, 400000), SPILLKV_OK);
        (void)one_shard_compact_all(&one, 100);
    }
    cr_expect_leq(one_shard_counters(&one).file_bytes, 5 * 400000);
    free(value);
}

Test(ops, clear_forgets_both_tiers_and_cuts_the_file)
{
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 1000), SPILLKV_OK);
    }
    cr_assert_gt(one_shard_counters(&one).entries_spilled, 0);
    skv_shard_clear(one.shard);
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_eq(counters.entries_ram + counters.entries_spilled, 0);
    cr_expect_eq(counters.bytes_ram + counters.bytes_spilled, 0);
    cr_expect_eq(counters.live_bytes, 0);
    cr_expect_leq(counters.file_bytes, 5 * 8192);
    for (uint32_t i = 0; i < 3000; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 1000), SPILLKV_NOT_FOUND);
    }
    cr_expect_eq(one_shard_put(&one, 1, 2, 1000), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, 1, 2, 1000), SPILLKV_OK);
}

Test(ops, clear_gives_back_what_sqlite_took)
{
    struct skv_shard *const shard = one.shard;
    const uint64_t before = atomic_load(&one.budget.used_total);
    const uint64_t charged = shard->sqlite_charge;
    cr_assert_eq(one_shard_put(&one, 1, 1, 1000), SPILLKV_OK);
    skv_mutex_lock(&shard->io);
    skv_budget_charge_forced(&one.budget, SKV_MEMORY_SQLITE, 1 << 20);
    shard->sqlite_charge += 1 << 20;
    skv_mutex_unlock(&shard->io);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(shard->sqlite_charge, charged + (1 << 20), "the same file may need it again");
    skv_shard_clear(shard);
    cr_expect_eq(shard->sqlite_charge, charged);
    cr_expect_leq(atomic_load(&one.budget.used_total), before + (64 << 10));
}

Test(ops, clear_in_the_middle_of_an_examination_is_sound)
{
    bool worked;
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 1000), SPILLKV_OK);
    }
    cr_assert_eq(skv_shard_spill(one.shard, 1, &worked), SPILLKV_OK);
    cr_assert_neq(one.shard->examination.segment[SKV_WALK_NEWCOMERS], 0);
    skv_shard_clear(one.shard);
    cr_expect_eq(one.shard->ram.in_use, 0);
    cr_expect_eq(one_shard_put(&one, 1, 2, 1000), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
}

Test(ops, failed_set_of_a_new_key_changes_nothing)
{
    uint32_t count = 0;
    while (one_shard_set(&one, count, 1, 500) == SPILLKV_OK) {
        count++;
    }
    cr_assert(skv_shard_check(one.shard));
    /* It may have been the run of the key's group that could not grow: others may have room. */
    uint32_t more = 0;
    for (uint32_t i = 0; i < 50; i++) {
        const bool full = one_shard_set(&one, count + i, 1, 500) == SPILLKV_EFULL;
        cr_expect_eq(one_shard_peek(&one, count + i, 1, 500),
                     full ? SPILLKV_NOT_FOUND : SPILLKV_OK);
        more += !full;
        cr_assert(skv_shard_check(one.shard));
    }
    cr_expect_lt(more, 50);
    cr_expect_eq(one_shard_set(&one, 1, 2, 300000), SPILLKV_EFULL);
    cr_expect_eq(one_shard_peek(&one, 1, 1, 500), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), count + more);
}

Test(ops, a_table_that_may_not_grow_is_told_from_memory_that_is_used_up)
{
    uint32_t count = 0;
    spillkv_status status;
    while (count < 2000) {
        cr_assert_eq(one_shard_put(&one, count++, 1, 20), SPILLKV_OK);
    }
    skv_budget_set_table_most(&one.budget, atomic_load(&one.budget.used[SKV_MEMORY_TABLE]));
    while ((status = one_shard_put(&one, count, 1, 20)) == SPILLKV_OK) {
        count++;
    }
    cr_expect_eq(status, SKV_ENOSLOT);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_gt(skv_budget_room(&one.budget), one.budget.segment_bytes);
    cr_expect_eq(one_shard_set(&one, count, 1, 20), SKV_ENOSLOT, "room does not help");
    cr_expect_eq(one_shard_set(&one, 1, 2, 20), SPILLKV_OK, "who has a slot needs none");
    cr_expect_eq(one_shard_get(&one, count, 1, 20), SPILLKV_NOT_FOUND);

    skv_budget_set_table_most(&one.budget, UINT64_MAX);
    while ((status = one_shard_set(&one, count, 1, 500)) == SPILLKV_OK) {
        count++;
    }
    cr_expect_eq(status, SPILLKV_EFULL);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_set(&one, count, 1, 500), SPILLKV_OK, "room does");
}
