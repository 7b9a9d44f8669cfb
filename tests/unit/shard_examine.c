/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

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

static void tear_down_in_ram(void)
{
    cr_expect(skv_shard_check(one.shard));
    one_shard_close(&one);
}

TestSuite(examine, .init = set_up, .fini = tear_down, .timeout = 30);
TestSuite(keeping, .fini = tear_down_in_ram, .timeout = 30);
TestSuite(dropping, .fini = tear_down_in_ram, .timeout = 30);

Test(examine, empty_shard_has_nothing_to_give)
{
    bool worked = true;
    cr_expect_eq(skv_shard_spill(one.shard, 1000, &worked), SPILLKV_OK);
    cr_expect_not(worked);
}

Test(examine, who_finds_enough_room_when_it_is_his_turn_does_nothing)
{
    bool worked = false;
    cr_assert_eq(one_shard_put(&one, 1, 1, 1000), SPILLKV_OK);
    const uint64_t room = skv_budget_room(&one.budget);
    cr_expect_eq(skv_shard_spill_until(one.shard, 1, room, &worked), SPILLKV_OK);
    cr_expect(worked);
    cr_expect_eq(skv_shard_try_spill_until(one.shard, 1, room, &worked), SPILLKV_OK);
    cr_expect(worked);
    cr_expect_eq(one_shard_counters(&one).examined, 0);
    cr_expect_eq(skv_shard_spill_until(one.shard, 1, room + 1, &worked), SPILLKV_OK);
    cr_expect_gt(one_shard_counters(&one).examined, 0);
}

Test(examine, load_spills_every_entry_once)
{
    for (uint32_t i = 0; i < 20000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_eq(counters.entries_ram + counters.entries_spilled, 20000);
    cr_expect_eq(counters.spills, counters.entries_spilled);
    cr_expect_gt(counters.entries_spilled, 5000);
    for (uint32_t i = 0; i < 20000; i += 7) {
        cr_assert_eq(one_shard_peek(&one, i, 1, 100), SPILLKV_OK);
    }
}

/** Sets keys that fit and deletes one of `each`; returns the bytes of garbage. */
static uint64_t fill_with_garbage(uint32_t each)
{
    for (uint32_t i = 0; i < 2000; i++) {
        cr_assert_eq(one_shard_set(&one, i, 1, 100), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 2000; i += each) {
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
    }
    return one_shard_counters(&one).garbage_ram;
}

static void expect_the_rest(uint32_t each)
{
    for (uint32_t i = 0; i < 2000; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 100),
                     i % each == 0 ? SPILLKV_NOT_FOUND : SPILLKV_OK);
    }
}

Test(examine, where_much_is_garbage_nothing_else_leaves)
{
    bool worked = true;
    const uint64_t garbage = fill_with_garbage(4);
    const uint64_t segments = one_shard_counters(&one).ram_segments;
    while (worked && one_shard_counters(&one).garbage_ram > garbage / 3) {
        cr_assert_eq(skv_shard_spill(one.shard, 10000, &worked), SPILLKV_OK);
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect(worked);
    cr_expect_eq(counters.entries_spilled, 0);
    cr_expect_lt(counters.ram_segments, segments);
    expect_the_rest(4);
}

Test(examine, where_little_is_garbage_the_oldest_leave)
{
    bool worked;
    fill_with_garbage(50);
    cr_assert_eq(skv_shard_spill(one.shard, 10000, &worked), SPILLKV_OK);
    cr_expect(worked);
    cr_expect_gt(one_shard_counters(&one).entries_spilled, 0);
    expect_the_rest(50);
}

Test(examine, clean_eviction_writes_nothing)
{
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    const spillkv_counters before = one_shard_counters(&one);
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_counters(&one).entries_ram, 100);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    const spillkv_counters after = one_shard_counters(&one);
    cr_expect_eq(after.entries_spilled, 100);
    cr_expect_eq(after.spills, before.spills);
    cr_expect_eq(after.clean_evictions, 100);
    cr_expect_eq(after.file_bytes, before.file_bytes);
    cr_expect_eq(after.live_bytes, before.live_bytes);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(examine, hot_entry_survives_a_flood)
{
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    for (uint32_t flood = 100; flood < 40100; flood++) {
        cr_assert_eq(one_shard_put(&one, flood, 1, 100), SPILLKV_OK);
        cr_assert_eq(one_shard_get(&one, flood % 20, 1, 100), SPILLKV_OK);
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_gt(counters.entries_spilled, 20000);
    cr_expect_leq(counters.spilled_reads, 40);
    cr_expect_geq(counters.hits, 40000 - 40);
}

Test(examine, of_what_was_used_most_is_kept_though_memory_is_used_up)
{
    for (uint32_t i = 0; i < 60000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
        cr_assert_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_gt(counters.spills, 40000);
    cr_expect_gt(counters.examined, 5 * counters.spills, "%lu for %lu",
                 (unsigned long)counters.examined, (unsigned long)counters.spills);
}

Test(examine, hot_entry_with_a_segment_of_its_own_survives_a_flood)
{
    cr_assert_eq(one_shard_put(&one, 1, 1, 6000), SPILLKV_OK);
    for (uint32_t flood = 100; flood < 20100; flood++) {
        cr_assert_eq(one_shard_put(&one, flood, 1, 100), SPILLKV_OK);
        cr_assert_eq(one_shard_get(&one, 1, 1, 6000), SPILLKV_OK);
    }
    cr_expect_leq(one_shard_counters(&one).spilled_reads, 400);
}

Test(examine, garbage_is_freed_without_a_write)
{
    bool worked;
    for (uint32_t i = 0; i < 500; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 500; i++) {
        cr_assert_eq(one_shard_set(&one, i, 2, 90), SPILLKV_OK);
    }
    cr_assert_gt(one.shard->ram.garbage, 0);
    for (uint32_t i = 0; i < 500; i++) {
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
    }
    do {
        cr_assert_eq(skv_shard_spill(one.shard, SIZE_MAX, &worked), SPILLKV_OK);
    } while (worked);
    cr_expect_eq(one_shard_counters(&one).spills, 0);
    cr_expect_eq(one.shard->ram.garbage, 0);
    cr_expect_eq(one.shard->ram.in_use, 0);
}

Test(examine, goal_bounds_the_work)
{
    bool worked;
    for (uint32_t i = 0; i < 5000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    const uint64_t before = one_shard_counters(&one).entries_ram;
    cr_assert_eq(skv_shard_spill(one.shard, 1, &worked), SPILLKV_OK);
    cr_expect(worked);
    const uint64_t gone = before - one_shard_counters(&one).entries_ram;
    cr_expect_gt(gone, 0);
    /* And some more, so that the last segment is not written half empty. */
    cr_expect_leq(gone, 5 * SKV_QUANTUM_ENTRIES);
}

Test(examine, entry_changed_between_two_steps_of_an_examination_is_right)
{
    bool worked;
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 400), SPILLKV_OK);
    }
    for (int step = 0; step < 20; step++) {
        cr_assert_eq(skv_shard_spill(one.shard, 1, &worked), SPILLKV_OK);
        for (uint32_t i = (uint32_t)step; i < 300; i += 20) {
            cr_assert_eq(one_shard_put(&one, i, 2, i % 2 == 0 ? 400 : 300), SPILLKV_OK);
        }
        cr_assert(skv_shard_check(one.shard));
    }
    for (uint32_t i = 0; i < 300; i++) {
        cr_expect_eq(one_shard_peek(&one, i, 2, i % 2 == 0 ? 400 : 300), SPILLKV_OK);
    }
}

/* Without a file. */

static uint32_t fill(size_t size)
{
    uint32_t count = 0;
    while (one_shard_put(&one, count, 1, size) == SPILLKV_OK) {
        count++;
    }
    return count;
}

Test(keeping, full_shard_says_so_and_keeps_everything)
{
    one_shard_open(&one, &(struct one_shard_options){.mode = SKV_SHARD_KEEP, .limit = 1 << 20});
    const uint32_t count = fill(100);
    cr_assert_gt(count, 3000);
    cr_expect_eq(one_shard_put(&one, count, 1, 100), SPILLKV_EFULL);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(keeping, garbage_of_deleted_entries_becomes_room_again)
{
    one_shard_open(&one, &(struct one_shard_options){.mode = SKV_SHARD_KEEP, .limit = 1 << 20});
    const uint32_t count = fill(100);
    for (uint32_t i = 0; i < count; i += 2) {
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
    }
    uint32_t again = 0;
    while (one_shard_put(&one, count + again, 1, 100) == SPILLKV_OK) {
        again++;
    }
    cr_expect_geq(again, count * 3 / 10, "%u of %u", again, count / 2);
    for (uint32_t i = 1; i < count; i += 2) {
        cr_expect_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
}

Test(keeping, making_room_ends_when_nothing_more_can_be_moved)
{
    one_shard_open(&one, &(struct one_shard_options){.mode = SKV_SHARD_KEEP, .limit = 700 << 10});
    uint64_t state = 5;
    /* Sizes that leave the ends of segments unused, and both logs in use. */
    for (uint32_t i = 0; i < 60000; i++) {
        const uint32_t number = (uint32_t)(model_random(&state) % 900);
        const size_t size = model_random(&state) % 4000;
        const spillkv_status status = one_shard_put(&one, number, i, size);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_EFULL);
        if (model_random(&state) % 4 == 0) {
            (void)one_shard_del(&one, (uint32_t)(model_random(&state) % 900));
        }
        if (model_random(&state) % 2 == 0) {
            (void)one_shard_get(&one, (uint32_t)(model_random(&state) % 900), 0, 0);
        }
    }
}

Test(dropping, full_shard_drops_the_least_used)
{
    one_shard_open(&one, &(struct one_shard_options){.mode = SKV_SHARD_DROP, .limit = 1 << 20});
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    uint32_t lost = 0;
    for (uint32_t i = 50; i < 40000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
        const spillkv_status status = one_shard_get(&one, i % 50, 1, 100);
        cr_assert(status == SPILLKV_OK || status == SPILLKV_NOT_FOUND);
        if (status == SPILLKV_NOT_FOUND) {
            lost++;
            cr_assert_eq(one_shard_put(&one, i % 50, 1, 100), SPILLKV_OK);
        }
    }
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_leq(lost, 100);
    cr_expect_gt(counters.drops, 20000);
    cr_expect_eq(counters.entries_spilled, 0);
    cr_expect_eq(counters.spills, 0);
}
