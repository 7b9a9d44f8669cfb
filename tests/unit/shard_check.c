/* SPDX-License-Identifier: MIT */
/* A check that never fails proves nothing: each test breaks one invariant. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;

static void set_up(void)
{
    one_shard_open(&one, &(struct one_shard_options){0});
    for (uint32_t i = 0; i < 8000; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, 100), SPILLKV_OK);
    }
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(one_shard_get(&one, i, 1, 100), SPILLKV_OK);
    }
    cr_assert(skv_shard_check(one.shard));
    /* The aborts leave no time to tidy up. */
    tempdir_remove(&one.dir);
    /* What aborts says so on standard error. */
    (void)freopen("/dev/null", "w", stderr);
}

TestSuite(check, .init = set_up, .timeout = 30);

Test(check, lost_count_of_resident_entries_is_noticed, .signal = SIGABRT)
{
    one.shard->counters.entries_ram++;
    (void)skv_shard_check(one.shard);
}

Test(check, lost_count_of_spilled_entries_is_noticed, .signal = SIGABRT)
{
    one.shard->counters.entries_spilled--;
    (void)skv_shard_check(one.shard);
}

Test(check, lost_bytes_are_noticed, .signal = SIGABRT)
{
    one.shard->counters.bytes_ram += 8;
    (void)skv_shard_check(one.shard);
}

Test(check, live_bytes_of_the_logs_are_compared, .signal = SIGABRT)
{
    one.shard->ram.live += 8;
    one.shard->ram.garbage -= 8;
    (void)skv_shard_check(one.shard);
}

/* A slot in RAM, or on disk. */
static uint64_t *some_slot(bool on_disk)
{
    for (uint32_t group = 0; group < one.shard->table.group_count; group++) {
        size_t count;
        uint64_t *const slots = skv_table_group_slots(&one.shard->table, group, &count);
        for (size_t i = 0; i < count; i++) {
            if (slots[i] != 0 && skv_slot_on_disk(slots[i]) == on_disk) {
                return &slots[i];
            }
        }
    }
    return NULL;
}

Test(check, slot_of_another_entry_is_noticed, .signal = SIGABRT)
{
    uint64_t *const slot = some_slot(false);
    *slot = skv_slot_moved(*slot, false, skv_slot_locator(*slot) ^ 0x400);
    (void)skv_shard_check(one.shard);
}

Test(check, slot_in_a_free_segment_is_noticed, .signal = SIGABRT)
{
    uint64_t *const slot = some_slot(false);
    *slot =
        skv_slot_moved(*slot, false, (uint64_t)(one.shard->ram.count + 1) << SKV_RAM_OFFSET_BITS);
    (void)skv_shard_check(one.shard);
}

Test(check, place_beyond_the_file_is_noticed, .signal = SIGABRT)
{
    uint64_t *const slot = some_slot(true);
    *slot = skv_slot_moved(*slot, true, skv_place_make(one.shard->space.count + 1, 0));
    (void)skv_shard_check(one.shard);
}

Test(check, wrong_live_bytes_on_disk_are_noticed, .signal = SIGABRT)
{
    one.shard->space.packed_live_bytes += 8;
    (void)skv_shard_check(one.shard);
}

Test(check, table_that_miscounts_is_noticed, .signal = SIGABRT)
{
    one.shard->table.used++;
    (void)skv_shard_check(one.shard);
}
