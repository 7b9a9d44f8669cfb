/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "table/slot.h"

#define HASH UINT64_C(0x12345678abcdef1)

static const uint64_t last_locator = SKV_LOCATOR_MASK;
static const uint32_t last_policy = (uint32_t)SKV_POLICY_MASK;

Test(slot, gives_back_what_it_was_made_of)
{
    const uint64_t slot = skv_slot_make(HASH, true, 0xabc, 0x12345678);
    cr_expect(eq(u32, skv_slot_tag(slot), (uint32_t)(HASH & SKV_TAG_MASK)));
    cr_expect(skv_slot_on_disk(slot));
    cr_expect(eq(u32, skv_slot_policy(slot), 0xabc));
    cr_expect(eq(u64, skv_slot_locator(slot), 0x12345678));
}

Test(slot, keeps_its_fields_apart)
{
    const uint64_t tag = skv_slot_make(UINT64_MAX, false, 0, 0);
    const uint64_t tier = skv_slot_make(0, true, 0, 0);
    const uint64_t policy = skv_slot_make(0, false, last_policy, 0);
    const uint64_t locator = skv_slot_make(0, false, 0, last_locator);
    cr_expect(eq(u64, tag ^ tier ^ policy ^ locator, ~SKV_SLOT_PASSED));
    cr_expect(eq(u64, tag + tier + policy + locator, ~SKV_SLOT_PASSED));
}

Test(slot, is_never_0_while_used)
{
    cr_expect(ne(u64, skv_slot_make(0, false, 0, 1), 0));
    cr_expect(ne(u64, skv_slot_make(0, false, 0, UINT64_C(1) << 31), 0));
}

Test(slot, changes_nothing_but_the_policy_with_a_policy)
{
    const uint64_t slot = skv_slot_make(HASH, true, last_policy, 77);
    cr_expect(eq(u64, skv_slot_with_policy(slot, 5), skv_slot_make(HASH, true, 5, 77)));
    cr_expect(eq(u64, skv_slot_with_policy(slot, last_policy), slot));
}

Test(slot, keeps_key_and_history_when_its_entry_moves)
{
    const uint64_t slot = skv_slot_make(HASH, false, 0x555, last_locator);
    const uint64_t spilled = skv_slot_moved(slot, true, 9);
    cr_expect(eq(u64, spilled, skv_slot_make(HASH, true, 0x555, 9)));
    cr_expect(eq(u64, skv_slot_moved(spilled, false, last_locator), slot));
}
