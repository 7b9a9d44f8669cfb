/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. All groups are swept in SKV_SWEEP_TICKS of the policy's clock, that is in two and a half
 * times as many misses as there are residents, however many slots there are.
 */
#include "table/sweep.h"

/** Groups swept at most for one miss. */
#define SWEEP_MOST 8

static void sweep_group(struct skv_sweep *sweep, struct skv_table *table, struct skv_policy *policy)
{
    size_t count;
    uint64_t *const slots = skv_table_group_slots(table, sweep->group, &count);
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == 0) {
            continue;
        }
        const uint32_t bits = skv_slot_policy(slots[i]);
        skv_policy_meet(policy, bits);
        const uint32_t swept = skv_policy_expire(policy, bits);
        if (swept != bits) {
            slots[i] = skv_slot_with_policy(slots[i], swept);
        }
    }
    sweep->group = (sweep->group + 1) & (table->group_count - 1);
}

void skv_sweep_miss(struct skv_sweep *sweep, struct skv_table *table, struct skv_policy *policy,
                    uint64_t residents)
{
    sweep->credit += 4 * (uint64_t)table->group_count;
    const uint64_t price = SKV_SWEEP_TICKS * residents;
    for (int i = 0; i < SWEEP_MOST && sweep->credit >= price; i++) {
        sweep->credit -= price;
        sweep_group(sweep, table, policy);
    }
    if (sweep->credit > price) {
        sweep->credit = price;
    }
}
