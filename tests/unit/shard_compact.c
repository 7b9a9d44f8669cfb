/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/shard.h"

/* Segments may be three quarters full, and a quarter of the file may be free (disk/space.h), and
   there is a little more to a small file. */
#define FEW_SEGMENTS (60 * UINT64_C(8192))

static struct one_shard one;
static struct spill_thread compaction;

static void set_up(void)
{
    latch_vfs_register();
    one_shard_open(&one, &(struct one_shard_options){.vfs = LATCH_VFS_NAME});
}

static void tear_down(void)
{
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(compact, .init = set_up, .fini = tear_down, .timeout = 60);

static void fill(uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, size), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
}

static void delete_but_every(uint32_t count, uint32_t nth)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i % nth != 0) {
            cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
        }
    }
}

static void expect_every(uint32_t count, uint32_t nth, size_t size)
{
    for (uint32_t i = 0; i < count; i += nth) {
        cr_expect_eq(one_shard_peek(&one, i, 1, size), SPILLKV_OK, "key %u", i);
    }
}

static void expect_small_file(void)
{
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_leq(counters.file_bytes, counters.live_bytes * 9 / 5 + FEW_SEGMENTS,
                  "%llu bytes for %llu", (unsigned long long)counters.file_bytes,
                  (unsigned long long)counters.live_bytes);
}

Test(compact, full_file_wants_none)
{
    fill(10000, 100);
    cr_expect_not(skv_shard_wants_compaction(one.shard));
    cr_expect_eq(skv_shard_compact(one.shard), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).compactions, 0);
    expect_small_file();
}

Test(compact, file_shrinks_after_nine_in_ten_are_deleted)
{
    fill(20000, 100);
    const uint64_t before = one_shard_counters(&one).file_bytes;
    delete_but_every(20000, 10);
    cr_expect(skv_shard_wants_compaction(one.shard));
    cr_expect_lt(one_shard_compact_all(&one, 10000), 10000);
    expect_every(20000, 10, 100);
    expect_small_file();
    cr_expect_lt(one_shard_counters(&one).file_bytes, before / 4);
    cr_expect_gt(one_shard_counters(&one).compactions, 0);
}

Test(compact, file_shrinks_when_large_and_small_entries_are_deleted)
{
    for (uint32_t i = 0; i < 6000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, i % 50 == 0 ? 20000 : 300), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    delete_but_every(6000, 13);
    cr_expect_lt(one_shard_compact_all(&one, 10000), 10000);
    expect_small_file();
    for (uint32_t i = 0; i < 6000; i += 13) {
        cr_expect_eq(one_shard_peek(&one, i, 1, i % 50 == 0 ? 20000 : 300), SPILLKV_OK);
    }
}

Test(compact, it_ends_although_a_large_row_sits_at_the_end_of_the_file)
{
    fill(20000, 300);
    cr_assert_eq(one_shard_put(&one, 50000, 1, 20000), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    delete_but_every(20000, 20);
    cr_expect_lt(one_shard_compact_all(&one, 2000), 2000);
    cr_expect_eq(one_shard_peek(&one, 50000, 1, 20000), SPILLKV_OK);
    expect_every(20000, 20, 300);
    expect_small_file();
}

Test(compact, copies_of_promoted_entries_are_moved_too)
{
    fill(10000, 100);
    for (uint32_t i = 0; i < 10000; i += 20) {
        cr_assert_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    delete_but_every(10000, 10);
    cr_assert(one_shard_in_ram(&one, 20));
    const uint64_t place = one_shard_place(&one, 9980);
    cr_assert_lt(one_shard_compact_all(&one, 10000), 10000);
    cr_expect_neq(one_shard_place(&one, 9980), place);
    cr_expect(one_shard_in_ram(&one, 20));
    const uint64_t spills = one_shard_counters(&one).spills;
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).spills, spills, "the copies are still valid");
    expect_every(10000, 10, 100);
}

/* Leaves the shard so that the next step of compaction has something to write, and stops it. */
static void stop_compaction(bool fails)
{
    fill(10000, 100);
    for (uint32_t i = 0; i < 10000; i += 30) {
        cr_assert_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    delete_but_every(10000, 10);
    latch_vfs_arm(fails);
    spill_thread_start(&compaction, one.shard, true);
    latch_vfs_wait();
}

Test(compact, entries_changed_meanwhile_keep_their_new_values)
{
    stop_compaction(false);
    /* In memory all of them, with copies that are being moved. */
    for (uint32_t i = 0; i < 9900; i += 90) {
        cr_assert_eq(one_shard_set(&one, i, 2, 100), SPILLKV_OK);
        cr_assert_eq(one_shard_set(&one, i + 30, 2, 70), SPILLKV_OK);
        cr_assert_eq(one_shard_del(&one, i + 60), SPILLKV_OK);
    }
    latch_vfs_release();
    cr_expect_eq(spill_thread_join(&compaction), SPILLKV_OK);
    shard_check_deeply(one.shard);
    for (uint32_t i = 0; i < 9900; i += 90) {
        cr_expect_eq(one_shard_peek(&one, i, 2, 100), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, i + 30, 2, 70), SPILLKV_OK);
        cr_expect_eq(one_shard_peek(&one, i + 60, 1, 100), SPILLKV_NOT_FOUND);
        cr_expect_eq(one_shard_peek(&one, i + 10, 1, 100), SPILLKV_OK);
    }
}

Test(compact, failed_step_changes_nothing)
{
    stop_compaction(true);
    latch_vfs_release();
    cr_expect_neq(spill_thread_join(&compaction), SPILLKV_OK);
    shard_check_deeply(one.shard);
    expect_every(10000, 10, 100);
    cr_expect(skv_shard_wants_compaction(one.shard), "it is tried again");
    cr_assert_lt(one_shard_compact_all(&one, 10000), 10000);
    expect_every(10000, 10, 100);
    expect_small_file();
}

Test(compact, churn_keeps_the_file_small)
{
    uint64_t state = 9;
    fill(3000, 500);
    for (uint32_t i = 0; i < 30000; i++) {
        const uint32_t number = (uint32_t)(model_random(&state) % 3000);
        cr_assert_eq(one_shard_put(&one, number, 1, 500), SPILLKV_OK);
        if (skv_shard_wants_compaction(one.shard)) {
            cr_assert_eq(skv_shard_compact(one.shard), SPILLKV_OK);
        }
    }
    (void)one_shard_compact_all(&one, 10000);
    expect_small_file();
    expect_every(3000, 1, 500);
}

Test(compact, unreadable_segment_does_not_keep_it_busy_for_ever)
{
    static uint8_t bytes[SKV_SEGMENT_BYTES];
    fill(5000, 100);
    delete_but_every(5000, 10);
    const uint32_t id = skv_place_id(one_shard_place(&one, 2500));
    const struct skv_store_segment segment = {.id = id, .bytes = bytes};
    const struct skv_store_batch batch = {.segments = &segment, .segment_count = 1};
    memset(bytes, 0x11, sizeof(bytes));
    cr_assert_eq(skv_store_write(one.shard->store, &batch), SPILLKV_OK);
    cr_expect_lt(one_shard_compact_all(&one, 2000), 2000);
    cr_expect_eq(one_shard_peek(&one, 2500, 1, 100), SPILLKV_ECORRUPT);
    cr_expect(skv_shard_check(one.shard));
    skv_shard_clear(one.shard);
}
