/* SPDX-License-Identifier: MIT */
/**
 * The sweep over all slots of a table, in RAM or spilled, that makes old ages ancient before the
 * policy's clock comes around to them. It goes on with every miss, a group at a time.
 *
 * Threads: none here; the caller serialises.
 */
#ifndef SKV_TABLE_SWEEP_H
#define SKV_TABLE_SWEEP_H

#include <stdint.h>

#include "table/policy.h"
#include "table/table.h"

struct skv_sweep {
    uint32_t group;  /* where it goes on */
    uint64_t credit; /* earned by misses; a group costs ten times the residents */
};

/** An entry came into RAM, where there are now `residents`. Zeroed is the start. */
void skv_sweep_miss(struct skv_sweep *sweep, struct skv_table *table,
                    const struct skv_policy *policy, uint64_t residents);

#endif
