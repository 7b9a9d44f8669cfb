/* SPDX-License-Identifier: MIT */
/**
 * The sweep over all slots of a table, in RAM or spilled, that makes old ages ancient before the
 * policy's clock comes around to them, and counts the slots for a policy that learns. It goes on
 * with every miss, a group at a time.
 *
 * Threads: none here; the caller serialises.
 */
#ifndef SKV_TABLE_SWEEP_H
#define SKV_TABLE_SWEEP_H

#include <stdint.h>

#include "table/policy.h"
#include "table/table.h"

/** A slot is swept once in so many ticks. */
#define SKV_SWEEP_TICKS 10u

struct skv_sweep {
    uint32_t group;  /* where it goes on */
    uint64_t credit; /* earned by misses; a group costs SKV_SWEEP_TICKS times the residents */
};

/** An entry came into RAM, where there are now `residents`. Zeroed is the start. */
void skv_sweep_miss(struct skv_sweep *sweep, struct skv_table *table, struct skv_policy *policy,
                    uint64_t residents);

#endif
