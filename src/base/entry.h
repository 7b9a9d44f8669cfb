/* SPDX-License-Identifier: MIT */
/**
 * The header of an entry, the same word in both tiers.
 *
 *      63        48 47     46 45                 16 15           0
 *     +------------+---------+---------------------+--------------+
 *     |     0      |  flags  |     value size      |   key size   |
 *     +------------+---------+---------------------+--------------+
 *
 * A key is never empty, so a header is never 0: a zero word ends a segment.
 */
#ifndef SKV_BASE_ENTRY_H
#define SKV_BASE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#define SKV_ENTRY_HEADER_BYTES 8
#define SKV_ENTRY_FLAG_COPY                                                                        \
    (UINT64_C(1) << 46)                         /* RAM: a word with the locator of a spilled copy
                                                   follows the header */
#define SKV_ENTRY_FLAG_LONE (UINT64_C(1) << 47) /* disk: alone in its row */

_Static_assert(SPILLKV_KEY_MAX < (1u << 16), "a key size fits 16 bits");
_Static_assert(SPILLKV_VALUE_MAX < (1u << 30), "a value size fits 30 bits");

static inline uint64_t skv_header_make(size_t key_size, size_t value_size)
{
    return (uint64_t)value_size << 16 | (uint64_t)key_size;
}

static inline size_t skv_header_key_size(uint64_t header)
{
    return (size_t)(header & 0xffff);
}

static inline size_t skv_header_value_size(uint64_t header)
{
    return (size_t)(header >> 16 & 0x3fffffff);
}

/** Whether a word read from a file can be a header at all. */
static inline bool skv_header_is_sane(uint64_t header)
{
    return skv_header_key_size(header) != 0 && header >> 48 == 0 &&
           skv_header_value_size(header) <= SPILLKV_VALUE_MAX;
}

static inline size_t skv_align8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

#endif
