/* SPDX-License-Identifier: MIT */
/**
 * Sets that were accepted and are not in the table and the logs yet, oldest first.
 *
 * To find a key's bucket costs a cache miss, most of the time of a small set. So a set only copies
 * its entry here and asks for the bucket; when the inbox is applied, some sets later or by the next
 * call that looks for anything, the buckets are there already.
 *
 *     sets    [ waiting | fresh ]        waiting: tried, but the disk or memory is needed first
 *     bytes   [ entry | entry | entry ]  as in RAM segments, in the same order
 *
 * A set counts from the moment it is in here: every search looks here first.
 *
 * Knows no slots and no threads: the caller serialises (the shard's table lock).
 */
#ifndef SKV_RAM_INBOX_H
#define SKV_RAM_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ram/entry.h"

#define SKV_INBOX_SETS       16u
#define SKV_INBOX_BYTES      ((size_t)4 << 10)
#define SKV_INBOX_ENTRY_MOST ((size_t)512) /* larger entries are not accepted */

struct skv_inbox_set {
    uint64_t hash;
    uint64_t number; /* of all sets ever accepted; from 1 on */
    uint32_t offset; /* of the entry in bytes[] */
    uint32_t size;   /* of the entry */
};

struct skv_inbox {
    uint32_t count;   /* sets in here */
    uint32_t waiting; /* the oldest so many could not be applied */
    uint32_t used;    /* bytes */
    uint64_t numbers; /* given out */
    struct skv_inbox_set sets[SKV_INBOX_SETS];
    _Alignas(8) uint8_t bytes[SKV_INBOX_BYTES];
};

static inline bool skv_inbox_is_fresh(const struct skv_inbox *inbox)
{
    return inbox->count != inbox->waiting;
}

static inline bool skv_inbox_has_room(const struct skv_inbox *inbox, size_t entry_bytes)
{
    return inbox->count < SKV_INBOX_SETS && entry_bytes <= SKV_INBOX_BYTES - inbox->used;
}

/** Takes a set in, for which there must be room. */
void skv_inbox_add(struct skv_inbox *inbox, uint64_t hash, const struct skv_entry_parts *parts);

/** The newest entry of a key, or NULL. */
const uint8_t *skv_inbox_find(const struct skv_inbox *inbox, uint64_t hash, const void *key,
                              size_t key_size);
/** Whether the set with this number is still in here. */
bool skv_inbox_holds(const struct skv_inbox *inbox, uint64_t number);
/** Whether one of the first `count` sets has this hash. */
bool skv_inbox_has_hash(const struct skv_inbox *inbox, uint64_t hash, uint32_t count);

/** Removes the key's sets up to the one with this number; returns how many there were. */
uint32_t skv_inbox_remove(struct skv_inbox *inbox, uint64_t hash, const void *key, size_t key_size,
                          uint64_t last);
/** Keeps only the sets whose bit is set, from the oldest on: they all wait from now on. */
void skv_inbox_keep(struct skv_inbox *inbox, uint32_t kept);
/** Forgets all. */
void skv_inbox_clear(struct skv_inbox *inbox);
/** Aborts unless the entries lie one behind the other; returns true. */
bool skv_inbox_check(const struct skv_inbox *inbox);

#endif
