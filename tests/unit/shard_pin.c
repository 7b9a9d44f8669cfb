/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/latch_vfs.h"
#include "support/model.h"
#include "support/shard.h"

static struct one_shard one;

static void set_up(void)
{
    /* One group, so that the table has room once it has a key. */
    latch_vfs_register();
    one_shard_open(&one, &(struct one_shard_options){.group_count = 1, .vfs = LATCH_VFS_NAME});
}

static void tear_down(void)
{
    latch_vfs_break(0);
    cr_expect_eq(skv_shard_pinned(one.shard), 0);
    shard_check_deeply(one.shard);
    one_shard_close(&one);
}

TestSuite(shard_pin, .init = set_up, .fini = tear_down, .timeout = 30);

static spillkv_status pin_with(uint32_t number, bool nowait, struct skv_pin *pin)
{
    uint8_t bytes[MODEL_KEY_MAX];
    struct skv_key key = one_shard_key(&one, bytes, model_key(number, bytes));
    key.nowait = nowait;
    return skv_shard_pin(one.shard, &key, pin);
}

static void expect_pinned(uint32_t number, uint64_t version, size_t size, struct skv_pin *pin)
{
    cr_assert_eq(pin_with(number, false, pin), SPILLKV_OK);
    cr_expect_eq(pin->value_size, size);
    cr_expect(model_value_is(number, version, pin->value, size));
}

static void unpin(const struct skv_pin *pin)
{
    cr_expect_eq(skv_shard_unpin(one.shard, pin), SPILLKV_OK);
}

/* Key 1, spilled at version 1, is set to version 2, which waits for the disk. */
static void make_one_wait(void)
{
    cr_assert_eq(one_shard_put(&one, 1, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 9, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_accept(&one, 1, 2, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_peek(&one, 9, 1, 100), SPILLKV_OK);
    cr_assert_eq(one.shard->inbox.waiting, 1);
}

Test(shard_pin, set_that_waits_is_pinned_without_the_disk_and_charged)
{
    struct skv_pin pin;
    make_one_wait();
    const uint64_t before = atomic_load(&one.budget.used[SKV_MEMORY_ENTRIES]);
    latch_vfs_break(LATCH_READS);
    expect_pinned(1, 2, 100, &pin);
    cr_expect_eq(one.shard->inbox.waiting, 1, "it still waits");
    cr_expect_gt(atomic_load(&one.budget.used[SKV_MEMORY_ENTRIES]), before);
    latch_vfs_break(0);
    cr_assert_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_assert_eq(one_shard_set(&one, 1, 3, 100), SPILLKV_OK);
    skv_shard_clear(one.shard);
    cr_expect(model_value_is(1, 2, pin.value, 100));
    unpin(&pin);
    cr_expect_leq(atomic_load(&one.budget.used[SKV_MEMORY_ENTRIES]), before);
}

Test(shard_pin, set_that_waits_is_not_pinned_without_memory_and_goes_on_waiting)
{
    uint8_t bytes[MODEL_KEY_MAX];
    struct skv_pin pin;
    make_one_wait();
    const struct skv_key key = one_shard_key(&one, bytes, model_key(1, bytes));
    const uint64_t room = skv_budget_room(&one.budget);
    skv_budget_charge_forced(&one.budget, SKV_MEMORY_SCRATCH, room);
    cr_expect_eq(skv_shard_pin(one.shard, &key, &pin), SPILLKV_EFULL);
    cr_expect_eq(pin.value_size, 100, "so that the caller knows how much room to make");
    cr_expect_null(pin.value);
    cr_expect_eq(skv_shard_pinned(one.shard), 0);
    cr_expect_eq(one.shard->inbox.waiting, 1);
    skv_budget_discharge(&one.budget, SKV_MEMORY_SCRATCH, room);
    expect_pinned(1, 2, 100, &pin);
    unpin(&pin);
}

Test(shard_pin, what_goes_on_beyond_its_segment_is_not_pinned)
{
    struct skv_pin pin;
    cr_assert_eq(one_shard_put(&one, 1, 1, 100), SPILLKV_OK);
    expect_pinned(1, 1, 100, &pin);
    struct skv_pin forged = pin;
    forged.value_size = 1 << 20;
    cr_expect_eq(skv_shard_unpin(one.shard, &forged), SPILLKV_EINVAL);
    forged = pin;
    forged.value = (const uint8_t *)pin.value + (1 << 20);
    cr_expect_eq(skv_shard_unpin(one.shard, &forged), SPILLKV_EINVAL);
    forged.value = (const uint8_t *)pin.value - (1 << 20);
    cr_expect_eq(skv_shard_unpin(one.shard, &forged), SPILLKV_EINVAL);
    cr_expect_eq(skv_shard_pinned(one.shard), 1);
    unpin(&pin);
}

Test(shard_pin, nowait_pins_a_set_that_waits_and_nothing_on_disk)
{
    struct skv_pin pin;
    make_one_wait();
    cr_assert_eq(pin_with(1, true, &pin), SPILLKV_OK);
    cr_expect(model_value_is(1, 2, pin.value, 100));
    unpin(&pin);
    cr_assert_eq(skv_shard_resolve_inbox(one.shard), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect_eq(pin_with(1, true, &pin), SPILLKV_WOULD_BLOCK);
    cr_expect(one_shard_on_disk(&one, 1));
}

Test(shard_pin, entry_comes_back_clean_and_can_leave_again_without_a_write)
{
    /* In the batch's segment; with pages of its own in RAM; with a row of its own. */
    static const size_t sizes[] = {100, 5000, 12000, 90000};

    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, sizes[i]), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    const uint64_t spills = one_shard_counters(&one).spills;
    for (uint32_t i = 0; i < 4; i++) {
        struct skv_pin pin;
        cr_assert(one_shard_on_disk(&one, i));
        expect_pinned(i, 1, sizes[i], &pin);
        cr_expect(one_shard_in_ram(&one, i));
        cr_expect_neq(one_shard_place(&one, i), 0);
        shard_check_deeply(one.shard);
        cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
        cr_expect(one_shard_on_disk(&one, i));
        cr_expect(model_value_is(i, 1, pin.value, sizes[i]));
        unpin(&pin);
    }
    cr_expect_eq(one_shard_counters(&one).spills, spills);
    cr_expect_eq(one_shard_counters(&one).promotions, 4);
}

Test(shard_pin, value_is_whole_while_its_row_is_written_and_settled)
{
    struct spill_thread spill;
    struct skv_pin pins[2];
    cr_assert_eq(one_shard_put(&one, 1, 1, 100), SPILLKV_OK);
    cr_assert_eq(one_shard_put(&one, 2, 1, 20000), SPILLKV_OK);
    latch_vfs_arm(false);
    spill_thread_start(&spill, one.shard, false);
    latch_vfs_wait();
    for (uint32_t i = 0; i < 2; i++) {
        expect_pinned(i + 1, 1, i == 0 ? 100 : 20000, &pins[i]);
    }
    cr_assert_eq(one_shard_set(&one, 1, 2, 100), SPILLKV_OK);
    latch_vfs_release();
    cr_assert_eq(spill_thread_join(&spill), SPILLKV_OK);
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    cr_expect(model_value_is(1, 1, pins[0].value, 100));
    cr_expect(model_value_is(2, 1, pins[1].value, 20000));
    unpin(&pins[0]);
    unpin(&pins[1]);
    cr_expect_eq(one_shard_peek(&one, 1, 2, 100), SPILLKV_OK);
}

Test(shard_pin, one_pin_too_many_is_refused)
{
    struct skv_pin first;
    struct skv_pin second;
    cr_assert_eq(one_shard_put(&one, 1, 1, 100), SPILLKV_OK);
    expect_pinned(1, 1, 100, &first);
    one.shard->ram.segments[first.segment].pins = SKV_RAM_PINS_MOST;
    cr_expect_eq(pin_with(1, false, &second), SPILLKV_EBUSY);
    cr_expect_eq(one_shard_get(&one, 1, 1, 100), SPILLKV_OK);
    one.shard->ram.segments[first.segment].pins = 1;
    unpin(&first);
}

Test(shard_pin, full_budget_refuses_a_spilled_value_and_nothing_changes)
{
    static const size_t sizes[] = {3000, 5000, 90000};

    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(one_shard_put(&one, i, 1, sizes[i]), SPILLKV_OK);
    }
    cr_assert_eq(one_shard_spill_all(&one), SPILLKV_OK);
    uint32_t number = 100;
    while (one_shard_set(&one, number, 1, 100) == SPILLKV_OK) {
        number++;
    }
    /* It may be a slot that there is no room for: towards the end of the open segment. */
    for (uint32_t i = 0; skv_ram_room(&one.shard->ram, SKV_NEWCOMERS) > sizes[0]; i++) {
        cr_assert_eq(one_shard_set(&one, 100, 2, 108 + 8 * (i % 2)), SPILLKV_OK);
    }
    const uint64_t room = skv_budget_room(&one.budget);
    cr_assert(skv_budget_charge(&one.budget, SKV_MEMORY_SCRATCH, room));
    for (uint32_t i = 0; i < 3; i++) {
        struct skv_pin pin;
        cr_expect_eq(pin_with(i, false, &pin), SPILLKV_EFULL);
        cr_expect_eq(pin.value_size, sizes[i], "so that room can be made for it");
        cr_expect_null(pin.value);
        cr_expect(one_shard_on_disk(&one, i));
    }
    cr_expect_eq(skv_budget_room(&one.budget), 0);
    skv_budget_discharge(&one.budget, SKV_MEMORY_SCRATCH, room);
}
