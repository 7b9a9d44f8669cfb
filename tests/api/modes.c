/* SPDX-License-Identifier: MIT */
/* Stores without a path: unbounded, failing when full, dropping when full. */
#include <string.h>

#include "support/kv.h"

#define BUDGET ((uint64_t)4 << 20)

static struct kv_test test;

TestSuite(modes, .timeout = 60);

/** Sets keys until one is refused; returns how many were taken. */
static uint32_t fill_up(uint32_t first)
{
    uint32_t number = first;
    spillkv_status status = SPILLKV_OK;
    while (status == SPILLKV_OK && number < first + 1000000) {
        status = kv_set(test.kv, number, 0, KV_VALUE);
        number += status == SPILLKV_OK;
    }
    cr_assert_eq(status, SPILLKV_EFULL);
    return number - first;
}

Test(modes, defaults_are_unbounded_memory)
{
    spillkv *kv;
    KV_OK(spillkv_open(NULL, &kv));
    const spillkv_stats_data stats = kv_stats(kv);
    cr_expect_eq(stats.max_mem, 0);
    cr_expect_eq(stats.spillers, 0);
    cr_expect_eq(stats.memory.sqlite, 0);
    kv_fill(kv, 0, 30000);
    kv_expect_filled(kv, 0, 30000);
    cr_expect_eq(kv_stats(kv).total.entries_ram, 30000);
    kv_expect_consistent(kv);
    KV_OK(spillkv_close(kv));
}

Test(modes, a_full_store_refuses_and_keeps_what_it_has)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    cr_expect_gt(count * (KV_VALUE + 12), BUDGET * 7 / 10);
    cr_expect_eq(kv_count(test.kv), count);
    kv_expect_filled(test.kv, 0, count);
    cr_expect_eq(kv_set(test.kv, count, 0, KV_VALUE), SPILLKV_EFULL);
    cr_expect_eq(kv_has(test.kv, count), SPILLKV_NOT_FOUND);
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(modes, a_refused_overwrite_leaves_the_old_value)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    cr_expect_eq(kv_set(test.kv, 5, 1, BUDGET / 2), SPILLKV_EFULL);
    cr_expect_eq(kv_get(test.kv, 5, 0, KV_VALUE), SPILLKV_OK);
    kv_expect_filled(test.kv, 0, count);
    kv_close(&test);
}

Test(modes, a_full_store_takes_overwrites_of_the_same_size)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(kv_set(test.kv, i, 1, KV_VALUE), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, KV_VALUE), SPILLKV_OK);
    }
    kv_close(&test);
}

Test(modes, overwriting_with_less_makes_room)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    /* The first few need room for themselves beside the old value. */
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    for (uint32_t i = 200; i < count; i++) {
        cr_assert_eq(kv_set(test.kv, i, 1, 50), SPILLKV_OK, "key %u", i);
    }
    const uint32_t more = fill_up(count);
    cr_expect_gt(more, count / 2);
    for (uint32_t i = 200; i < count; i++) {
        cr_expect_eq(kv_get(test.kv, i, 1, 50), SPILLKV_OK);
    }
    kv_expect_filled(test.kv, count, count + more);
    kv_close(&test);
}

Test(modes, deleting_makes_room_for_as_much)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    for (uint32_t i = 0; i < count; i += 2) {
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    const uint32_t more = fill_up(count);
    cr_expect_gt(more, count * 2 / 5, "%u of %u", more, count / 2);
    kv_expect_filled(test.kv, count, count + more);
    for (uint32_t i = 1; i < count; i += 2) {
        cr_expect_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(modes, clearing_makes_room_for_everything)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    for (int round = 0; round < 3; round++) {
        KV_OK(spillkv_clear(test.kv));
        const uint32_t again = fill_up(0);
        cr_expect_geq(again, count * 95 / 100, "%u, then %u", count, again);
    }
    kv_close(&test);
}

Test(modes, a_value_larger_than_the_budget_is_refused)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    cr_expect_eq(kv_set(test.kv, 1, 0, BUDGET), SPILLKV_EFULL);
    cr_expect_eq(kv_count(test.kv), 0);
    cr_expect_eq(kv_set(test.kv, 1, 0, BUDGET / 2), SPILLKV_OK);
    cr_expect_eq(kv_get(test.kv, 1, 0, BUDGET / 2), SPILLKV_OK);
    kv_close(&test);
}

Test(modes, a_full_store_deletes_and_reads_as_before)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_FAIL);
    const uint32_t count = fill_up(0);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_OK);
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_OK);
    }
    cr_expect_eq(kv_count(test.kv), 0);
    kv_close(&test);
}

Test(modes, dropping_never_fails)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    for (uint32_t i = 0; i < 60000; i++) {
        cr_assert_eq(kv_set(test.kv, i, 0, i % 1500), SPILLKV_OK, "key %u", i);
        cr_assert_eq(kv_get(test.kv, i, 0, i % 1500), SPILLKV_OK, "key %u", i);
    }
    KV_OK(spillkv_flush(test.kv)); /* nothing is dropped between the two looks at it */
    const spillkv_counters total = kv_stats(test.kv).total;
    cr_expect_gt(total.drops, 0);
    cr_expect_eq(total.drops + kv_count(test.kv), 60000);
    cr_expect_eq(total.entries_spilled, 0);
    for (uint32_t i = 0; i < 60000; i++) {
        const int status = kv_get(test.kv, i, 0, i % 1500);
        cr_expect(status == SPILLKV_OK || status == SPILLKV_NOT_FOUND, "key %u: %d", i, status);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(modes, dropping_uses_the_whole_budget)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    kv_fill(test.kv, 0, 30000);
    cr_expect_gt(kv_stats(test.kv).total.bytes_ram, BUDGET * 7 / 10);
    kv_close(&test);
}

Test(modes, keys_in_use_survive_a_flood)
{
    uint32_t survivors = 0;
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    for (uint32_t i = 0; i < 500; i++) {
        kv_fill(test.kv, i, i + 1);
        kv_fill(test.kv, 100000 + 7 * i, 100007 + 7 * i);
    }
    for (uint32_t i = 0; i < 50000; i++) {
        (void)kv_get(test.kv, i % 500, 0, KV_VALUE);
        cr_assert_eq(kv_set(test.kv, 1000 + i, 0, KV_VALUE), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 500; i++) {
        survivors += kv_has(test.kv, i) == SPILLKV_OK;
    }
    /* A part of all that is examined together goes, whatever it is worth; in order of age or at
       random next to none would be left. */
    cr_expect_gt(survivors, 350, "%u", survivors);
    kv_close(&test);
}

Test(modes, a_dropped_key_stays_away)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    kv_fill(test.kv, 0, 30000);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(kv_get(test.kv, i, 0, KV_VALUE), SPILLKV_NOT_FOUND);
        cr_assert_eq(kv_del(test.kv, i), SPILLKV_NOT_FOUND);
    }
    kv_close(&test);
}

Test(modes, dropping_makes_room_for_large_values)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    for (uint32_t i = 0; i < 60; i++) {
        kv_fill(test.kv, 1000 * i, 1000 * i + 500);
        cr_assert_eq(kv_set(test.kv, 90000 + i, 0, BUDGET / 5), SPILLKV_OK);
        cr_assert_eq(kv_get(test.kv, 90000 + i, 0, BUDGET / 5), SPILLKV_OK);
    }
    kv_expect_consistent(test.kv);
    kv_close(&test);
}

Test(modes, a_value_that_can_never_fit_is_refused_by_a_dropping_store)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    kv_fill(test.kv, 0, 100);
    cr_expect_eq(kv_set(test.kv, 1, 1, 2 * BUDGET), SPILLKV_EFULL);
    KV_OK(kv_set(test.kv, 2, 0, KV_VALUE));
    cr_expect_eq(kv_get(test.kv, 2, 0, KV_VALUE), SPILLKV_OK);
    kv_close(&test);
}

Test(modes, clear_of_a_dropping_store_drops_nothing)
{
    kv_open_memory(&test, BUDGET, SPILLKV_FULL_DROP);
    kv_fill(test.kv, 0, 2000);
    KV_OK(spillkv_clear(test.kv));
    cr_expect_eq(kv_count(test.kv), 0);
    cr_expect_eq(kv_stats(test.kv).total.drops, 0);
    kv_close(&test);
}
