/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "support/latch_vfs.h"
#include "support/memory.h"
#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;
static struct spill_thread spill;

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

TestSuite(batch, .timeout = 30);
TestSuite(writing, .init = set_up, .fini = tear_down, .timeout = 30);

Test(batch, new_batch_is_empty_and_has_room)
{
    struct skv_batch batch;
    cr_assert_eq(skv_batch_init(&batch, 4), SPILLKV_OK);
    cr_expect_eq(batch.segment_count + batch.lone_count + batch.spilling_count, 0);
    cr_expect(skv_batch_has_room(&batch, SKV_SEGMENT_BYTES, 100));
    cr_expect_not(skv_batch_has_room(&batch, 5 * SKV_SEGMENT_BYTES, 1));
    cr_expect_not(skv_batch_has_room(&batch, 1, batch.spilling_capacity + 1));
    batch.lone_count = SKV_BATCH_LONE;
    cr_expect_not(skv_batch_has_room(&batch, 1, 1));
    batch.lone_count = 1;
    batch.lone_bytes = SKV_BATCH_LONE_BYTES;
    cr_expect_not(skv_batch_has_room(&batch, 1, 1));
    cr_expect_geq(skv_batch_bytes(4), 4 * SKV_SEGMENT_BYTES);
    skv_batch_fini(&batch);
    skv_batch_fini(&batch);
}

/* Sets ten keys, and stops the transaction that spills them. */
static void stop_spilling(size_t size, bool fails)
{
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(one_shard_set(&one, i, 1, size), SPILLKV_OK);
    }
    latch_vfs_arm(fails);
    spill_thread_start(&spill, one.shard, false);
    latch_vfs_wait();
}

static void go_on(spillkv_status status)
{
    latch_vfs_release();
    cr_expect_eq(spill_thread_join(&spill), status);
    shard_check_deeply(one.shard);
}

Test(writing, entries_are_read_from_memory_meanwhile)
{
    stop_spilling(100, false);
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_expect_eq(one_shard_get(&one, 99, 1, 100), SPILLKV_NOT_FOUND);
    go_on(SPILLKV_OK);
    cr_expect_eq(one_shard_counters(&one).spills, 10);
    cr_expect_eq(one_shard_counters(&one).hits, 10);
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect(one_shard_on_disk(&one, i));
    }
}

Test(writing, entry_overwritten_meanwhile_keeps_its_new_value)
{
    stop_spilling(100, false);
    cr_assert_eq(one_shard_set(&one, 3, 2, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 4, 2, 50), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 5, 2, 50000), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 3, 2, 100), SPILLKV_OK);
    go_on(SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 3, 2, 100), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 4, 2, 50), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 5, 2, 50000), SPILLKV_OK);
    cr_expect(one_shard_in_ram(&one, 3));
    cr_expect_eq(one_shard_counters(&one).spills, 7);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, 3, 2, 100), SPILLKV_OK);
}

Test(writing, entry_deleted_meanwhile_stays_deleted)
{
    stop_spilling(100, false);
    cr_assert_eq(one_shard_del(&one, 3), SPILLKV_OK);
    cr_assert_eq(one_shard_del(&one, 4), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 4, 2, 100), SPILLKV_OK);
    go_on(SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, 3, 1, 100), SPILLKV_NOT_FOUND);
    cr_expect_eq(one_shard_get(&one, 4, 2, 100), SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 9);
}

Test(writing, all_entries_deleted_meanwhile_leave_nothing)
{
    stop_spilling(100, false);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(one_shard_del(&one, i), SPILLKV_OK);
    }
    go_on(SPILLKV_OK);
    cr_expect_eq(skv_shard_count(one.shard), 0);
    cr_expect_eq(one_shard_counters(&one).live_bytes, 0);
    cr_expect_eq(one.shard->ram.in_use, 0);
}

Test(writing, lone_entries_changed_meanwhile_are_right)
{
    stop_spilling(20000, false);
    cr_assert_eq(one_shard_set(&one, 3, 2, 20000), SPILLKV_OK);
    cr_assert_eq(one_shard_del(&one, 4), SPILLKV_OK);
    cr_expect_eq(one_shard_get(&one, 5, 1, 20000), SPILLKV_OK);
    go_on(SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 3, 2, 20000), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 4, 1, 20000), SPILLKV_NOT_FOUND);
    cr_expect_eq(one_shard_peek(&one, 5, 1, 20000), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(one_shard_peek(&one, 3, 2, 20000), SPILLKV_OK);
}

Test(writing, failed_write_leaves_everything_where_it_was)
{
    stop_spilling(100, true);
    go_on(SPILLKV_EIO);
    cr_expect_not(spill.worked);
    cr_expect_eq(skv_shard_last_write(one.shard), SPILLKV_EIO);
    cr_expect_eq(skv_shard_settle(one.shard), SPILLKV_EIO);
    cr_expect_eq(one.log_count, 1);
    const spillkv_counters counters = one_shard_counters(&one);
    cr_expect_eq(counters.entries_ram, 10);
    cr_expect_eq(counters.spills, 0);
    cr_expect_eq(counters.live_bytes, 0);
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(skv_shard_settle(one.shard), SPILLKV_OK);
    cr_expect_eq(one.log_count, 2, "the end of the failure is told too");
    cr_expect(one_shard_on_disk(&one, 1));
}

Test(writing, changes_during_a_write_that_fails_are_kept)
{
    stop_spilling(20000, true);
    cr_assert_eq(one_shard_set(&one, 3, 2, 20000), SPILLKV_OK);
    cr_assert_eq(one_shard_del(&one, 4), SPILLKV_OK);
    go_on(SPILLKV_EIO);
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect_eq(one_shard_peek(&one, i, i == 3 ? 2 : 1, 20000),
                     i == 4 ? SPILLKV_NOT_FOUND : SPILLKV_OK);
    }
    cr_expect_eq(one_shard_counters(&one).live_bytes, 0);
}

Test(writing, pinned_entry_is_read_whole_while_it_is_spilled)
{
    cr_assert_eq(one_shard_set(&one, 50, 1, 9000), SPILLKV_OK);
    const uint32_t segment = one.shard->ram.logs[SKV_NEWCOMERS].oldest;
    skv_ram_pin(&one.shard->ram, segment);
    stop_spilling(100, false);
    go_on(SPILLKV_OK);
    cr_expect_eq(one.shard->ram.segments[segment].state, SKV_RAM_DEAD);
    skv_ram_unpin(&one.shard->ram, segment);
    cr_expect_eq(one_shard_peek(&one, 50, 1, 9000), SPILLKV_OK);
}

struct clearing {
    pthread_t thread;
    struct skv_shard *shard;
};

static void *run_clear(void *argument)
{
    struct clearing *const clearing = argument;
    skv_shard_clear(clearing->shard);
    return NULL;
}

Test(writing, clear_meanwhile_wins)
{
    struct clearing clearing = {.shard = one.shard};
    stop_spilling(100, false);
    cr_assert_eq(pthread_create(&clearing.thread, NULL, run_clear, &clearing), 0);
    latch_vfs_release();
    cr_expect_eq(spill_thread_join(&spill), SPILLKV_OK);
    cr_assert_eq(pthread_join(clearing.thread, NULL), 0);
    cr_expect_eq(skv_shard_count(one.shard), 0);
    cr_expect_eq(one_shard_get(&one, 3, 1, 100), SPILLKV_NOT_FOUND);
    cr_expect_eq(one_shard_counters(&one).live_bytes, 0);
}

/* Where the entries of a segment on disk end; behind it every byte must be 0. */
static size_t expect_zeroes_behind_entries(uint32_t id)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    size_t size;
    size_t end = 0;
    cr_assert_eq(skv_store_read(one.shard->store, id, 0, bytes, sizeof(bytes), &size), SPILLKV_OK);
    cr_assert_eq(size, sizeof(bytes));
    for (size_t step = 1; step != 0; end += step) {
        step = skv_segment_entry_bytes(bytes + end, size - end);
    }
    for (size_t i = end; i < size; i++) {
        cr_assert_eq(bytes[i], 0, "segment %u: byte %zu", id, i);
    }
    return end;
}

Test(writing, nothing_but_entries_is_written)
{
    struct skv_batch *const batch = &one.shard->batch;
    /* What an earlier batch, or another use of the memory, left. */
    memset(batch->bytes, 0xa5, batch->segment_capacity * SKV_SEGMENT_BYTES);
    for (uint32_t i = 0; i < 60; i++) {
        cr_assert_eq(one_shard_set(&one, i, 1, 700), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    for (uint32_t id = 1; id <= 4; id++) {
        cr_expect_gt(expect_zeroes_behind_entries(id), SKV_SEGMENT_BYTES / 2);
    }
}

Test(batch, memory_that_is_missing_leaves_nothing)
{
    struct skv_batch batch;
    struct failing_alloc failing;
    for (unsigned n = 1; n <= 5; n++) {
        failing_alloc_start(&failing, n);
        cr_expect_eq(skv_batch_init(&batch, 4), SPILLKV_ENOMEM);
        failing_alloc_stop();
        cr_expect_null(batch.bytes);
    }
}
