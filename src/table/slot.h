/* SPDX-License-Identifier: MIT */
/**
 * The 8-byte word that a key owns in its shard's table, wherever its entry is.
 *
 *      63            46 45   44         33 32     31                              0
 *     +----------------+----+-------------+------+--------------------------------+
 *     |    tag, 18     |tier|  policy, 12 |passed|          locator, 32           |
 *     +----------------+----+-------------+------+--------------------------------+
 *
 * - The tag is the low 18 bits of the key's hash. It chooses the bucket within a group and tells
 *   keys apart: it only suggests a match, the key is always compared before it is believed.
 * - The tier says what the locator is: a place in a RAM segment (0) or in a disk segment (1). A
 *   locator counts 8-byte units, so it spans 32 GiB of each tier in each shard.
 * - The policy bits are the key's history (policy.h); they stay when the entry changes tier.
 * - The passed bit belongs to the place in the table, not to the key: see table.h.
 *
 * A slot that is 0 is empty. No locator is 0, so a used slot never is.
 */
#ifndef SKV_TABLE_SLOT_H
#define SKV_TABLE_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#define SKV_LOCATOR_BITS 32
#define SKV_POLICY_BITS  12
#define SKV_TAG_BITS     18

#define SKV_SLOT_PASSED       (UINT64_C(1) << SKV_LOCATOR_BITS)
#define SKV_SLOT_POLICY_SHIFT (SKV_LOCATOR_BITS + 1)
#define SKV_SLOT_TIER_SHIFT   (SKV_SLOT_POLICY_SHIFT + SKV_POLICY_BITS)
#define SKV_SLOT_TAG_SHIFT    (SKV_SLOT_TIER_SHIFT + 1)

_Static_assert(SKV_SLOT_TAG_SHIFT + SKV_TAG_BITS == 64, "a slot has 64 bits");

#define SKV_LOCATOR_MASK ((UINT64_C(1) << SKV_LOCATOR_BITS) - 1)
#define SKV_POLICY_MASK  ((UINT64_C(1) << SKV_POLICY_BITS) - 1)
#define SKV_TAG_MASK     ((UINT64_C(1) << SKV_TAG_BITS) - 1)

static inline uint64_t skv_slot_make(uint64_t hash, bool on_disk, uint32_t policy, uint64_t locator)
{
    return (hash & SKV_TAG_MASK) << SKV_SLOT_TAG_SHIFT | (uint64_t)on_disk << SKV_SLOT_TIER_SHIFT |
           (uint64_t)policy << SKV_SLOT_POLICY_SHIFT | locator;
}

static inline uint32_t skv_slot_tag(uint64_t slot)
{
    return (uint32_t)(slot >> SKV_SLOT_TAG_SHIFT);
}

static inline bool skv_slot_on_disk(uint64_t slot)
{
    return (slot >> SKV_SLOT_TIER_SHIFT & 1) != 0;
}

static inline uint32_t skv_slot_policy(uint64_t slot)
{
    return (uint32_t)(slot >> SKV_SLOT_POLICY_SHIFT & SKV_POLICY_MASK);
}

static inline uint64_t skv_slot_locator(uint64_t slot)
{
    return slot & SKV_LOCATOR_MASK;
}

static inline uint64_t skv_slot_with_policy(uint64_t slot, uint32_t policy)
{
    return (slot & ~(SKV_POLICY_MASK << SKV_SLOT_POLICY_SHIFT)) | (uint64_t)policy
                                                                      << SKV_SLOT_POLICY_SHIFT;
}

/** The same key and history, its entry somewhere else. */
static inline uint64_t skv_slot_moved(uint64_t slot, bool on_disk, uint64_t locator)
{
    return (slot & ~(SKV_LOCATOR_MASK | UINT64_C(1) << SKV_SLOT_TIER_SHIFT)) |
           (uint64_t)on_disk << SKV_SLOT_TIER_SHIFT | locator;
}

#endif
