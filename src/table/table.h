/* SPDX-License-Identifier: MIT */
/**
 * The slots of one shard: a hash table that grows without a pause and knows no entries.
 *
 * A fixed number of groups, chosen by bits of the hash that are not kept in the slot. Each group is
 * one run of n buckets of 8 slots (64 bytes, one cache line), in which the key's tag chooses the
 * home bucket, tag * n >> 18; a full bucket overflows into the next one of the run. A key that goes
 * on past a full bucket sets one of the bucket's eight passed bits, chosen by its tag; a search
 * ends at the first bucket whose bit for the tag is not set, so an absent key costs little more
 * than one bucket even near 90 % load (1.1 to 1.6 instead of 1.9 to 3.6 on average).
 *
 * A group that gets 90 % full moves to a run an eighth longer, one that gets less than half full to
 * a shorter one: some hundred slots are rewritten at once, everything needed is in the slots
 * themselves, and no other group is touched. So the load stays between 80 and 90 % at any number of
 * keys: 9.4 to 10.5 bytes a key.
 *
 * Runs of one length lie densely in segments of the budget: when one goes, the last one of its
 * class moves into its place.
 *
 *     groups      g0  g1  g2  g3 ...        (16 bytes each: where the run is, n, slots in use)
 *                  |   '----------------.
 *     run of n=3  [8 slots][8 slots][8 slots]        runs of 9: [ ... ][ ... ][ ... ]
 *
 * Rejected: linear hashing (between two doublings half of the buckets are twice as full as the
 * others: 11 bytes a key cannot be kept), one allocation per group (fragmentation).
 *
 * Threads: none here; the caller serialises and compares keys. Pointers to slots and probes are
 * valid until the next insert or remove.
 */
#ifndef SKV_TABLE_TABLE_H
#define SKV_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <spillkv/spillkv.h>

#include "base/attributes.h"
#include "budget/budget.h"
#include "table/runs.h"
#include "table/slot.h"

#define SKV_GROUP_BITS_MAX 24

struct skv_group {
    uint64_t *run;  /* buckets * 8 slots, cache-line aligned; NULL while empty; written atomically,
                         as is buckets: see skv_table_prefetch_bucket() */
    uint32_t index; /* number of the run within its class */
    uint16_t buckets; /* n; 0 while empty */
    uint16_t used;    /* slots in use */
};

struct skv_table {
    /* Constant after init. */
    struct skv_budget *budget;
    struct skv_group *groups;
    uint8_t *room;        /* free slots of each group's run, 255 for more: see skv_table_room() */
    uint32_t group_shift; /* 63 - bits of the group's number */
    uint32_t shard_bits;
    uint32_t group_count; /* a power of two */
    /* Changing. */
    struct skv_runs runs;
    uint64_t used; /* slots in use */
};

/** Where a search for slots with the tag of a hash stands. */
struct skv_probe {
    uint64_t *run;
    uint64_t *bucket; /* being looked at */
    uint32_t buckets; /* of the run */
    uint32_t left;    /* buckets still to be looked at, this one included */
    uint32_t tag;
    uint32_t matches; /* bit i: slot i of this bucket has the tag and was not returned yet */
};

/**
 * Prepares an empty table. Charges its directory to the budget; runs come when keys do.
 *
 * @param budget       with segments of 4 KiB to 256 KiB
 * @param shard_bits   the top bits of a hash that chose the shard; not used here
 * @param group_count  a power of two, 1 .. 2^24; about (most keys) / 300
 * @return SPILLKV_OK; SPILLKV_ENOMEM; SPILLKV_EFULL. After a failure there is nothing to fini.
 */
SKV_MUST_CHECK spillkv_status skv_table_init(struct skv_table *table, struct skv_budget *budget,
                                             uint32_t shard_bits, uint32_t group_count);
/** Gives everything back; a zeroed table is fine. */
void skv_table_fini(struct skv_table *table);
/** Bytes that are charged for the directory of so many groups. */
uint64_t skv_table_directory_bytes(uint32_t group_count);
/** Forgets all slots and gives the runs back: a few operations for each segment of runs. */
void skv_table_clear(struct skv_table *table);

/**
 * Loads a key's home bucket into the cache, and asks for the one behind it, where a search goes on
 * if the first one is full.
 *
 * Call it for some tens of hashes one after the other, then search for them: the processor waits
 * for all of these loads at once. They are loads because a prefetch of a page that is not in the
 * TLB is dropped, and hardly any bucket of a large table is in a page that is.
 */
static inline void skv_table_touch(const struct skv_table *table, uint64_t hash);
/** How many to call it for at a time: about as many as a processor has on their way. */
#define SKV_TABLE_TOUCHES 32u
/** Asks for a key's group, which is needed to find its bucket, then for the bucket; or for what
 *  skv_table_room() reads. Without a lock: at worst they do nothing, or ask for something else. */
static inline void skv_table_prefetch_group(const struct skv_table *table, uint64_t hash);
static inline void skv_table_prefetch_bucket(const struct skv_table *table, uint64_t hash);
static inline void skv_table_prefetch_room(const struct skv_table *table, uint64_t hash);

/** The first slot whose tag is that of the hash, or NULL. Inlined: the path of every get. */
static inline uint64_t *skv_table_first(const struct skv_table *table, uint64_t hash,
                                        struct skv_probe *probe);
/** The next one, or NULL: then the search is over and this must not be called again. */
static inline uint64_t *skv_table_next(struct skv_probe *probe);

/**
 * Adds a slot for a key that has none.
 *
 * @param slot  as of skv_slot_make() with the same hash
 * @return SPILLKV_OK; SPILLKV_EFULL: the group is full and the budget gives no longer run;
 *         SPILLKV_ENOMEM: an array of ours cannot grow. The table is unchanged after a failure.
 * Cost:   a group of m slots is rewritten once every m/8 insertions.
 */
SKV_MUST_CHECK spillkv_status skv_table_insert(struct skv_table *table, uint64_t hash,
                                               uint64_t slot);
/** How many more slots the group of a hash takes without more memory, 255 at most. Of a large table
 *  this is the only part that fits into a cache: a group is a miss, a bucket another one. */
static inline uint32_t skv_table_room(const struct skv_table *table, uint64_t hash);
/** Whether the group of a hash has no slot left and no longer run to move to: only a removal
 *  helps, whatever the budget gives. */
static inline bool skv_table_is_crowded(const struct skv_table *table, uint64_t hash);
/** Makes sure that the next insert, if it is for this hash, succeeds; statuses as of the insert. */
SKV_MUST_CHECK spillkv_status skv_table_reserve(struct skv_table *table, uint64_t hash);
/** Empties a slot that skv_table_first() or _next() returned for the same hash. Never fails: where
 *  no memory is to be had for a shorter run the group keeps its longer one. */
void skv_table_remove(struct skv_table *table, uint64_t hash, uint64_t *slot);

/** Group of a hash: keys never change groups. */
static inline uint32_t skv_table_group_of(const struct skv_table *table, uint64_t hash);
/** All slots of a group, empty ones (0) among them; *count_out is a multiple of 8, may be 0. */
uint64_t *skv_table_group_slots(const struct skv_table *table, uint32_t group, size_t *count_out);

/** Bytes of RAM that the table holds: segments of runs, directory, arrays. */
uint64_t skv_table_bytes(const struct skv_table *table);
/** Aborts unless every slot can be found from its home and all counts agree; returns true. */
bool skv_table_check(const struct skv_table *table);

static inline uint32_t skv_table_group_of(const struct skv_table *table, uint64_t hash)
{
    return (uint32_t)((hash << table->shard_bits) >> 1 >> table->group_shift);
}

static inline uint32_t skv_table_room(const struct skv_table *table, uint64_t hash)
{
    return table->room[skv_table_group_of(table, hash)];
}

static inline bool skv_table_is_crowded(const struct skv_table *table, uint64_t hash)
{
    const struct skv_run_class *const longest = &table->runs.classes[table->runs.class_count - 1];
    return skv_table_room(table, hash) == 0 &&
           table->groups[skv_table_group_of(table, hash)].buckets == longest->length;
}

/** The home bucket of a tag in a run of n buckets. */
static inline uint32_t skv_bucket_home(uint32_t tag, uint32_t buckets)
{
    return (uint32_t)((uint64_t)tag * buckets >> SKV_TAG_BITS);
}

/** The slots of a bucket are used from the first on, so the last one tells. */
static inline bool skv_bucket_is_full(const uint64_t *bucket)
{
    return bucket[SKV_BUCKET_SLOTS - 1] != 0;
}

#ifdef __SSE2__

/** Which of a bucket's slots have the tag, as bits; of an empty slot the tag is 0. */
static SKV_ALWAYS_INLINE uint32_t skv_bucket_tags(const uint64_t *bucket, uint32_t tag)
{
    /* The upper halves of the slots hold the tags: eight lanes of 32 bits. */
    const __m128 *const lines = (const __m128 *)(const void *)bucket;
    const __m128i low =
        _mm_castps_si128(_mm_shuffle_ps(lines[0], lines[1], _MM_SHUFFLE(3, 1, 3, 1)));
    const __m128i high =
        _mm_castps_si128(_mm_shuffle_ps(lines[2], lines[3], _MM_SHUFFLE(3, 1, 3, 1)));
    const __m128i wanted = _mm_set1_epi32((int)tag);
    const __m128i low_is = _mm_cmpeq_epi32(_mm_srli_epi32(low, 32 - SKV_TAG_BITS), wanted);
    const __m128i high_is = _mm_cmpeq_epi32(_mm_srli_epi32(high, 32 - SKV_TAG_BITS), wanted);
    const __m128i both = _mm_packs_epi32(low_is, high_is);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(both, _mm_setzero_si128()));
}

#else

static SKV_ALWAYS_INLINE uint32_t skv_bucket_tags(const uint64_t *bucket, uint32_t tag)
{
    uint32_t matches = 0;
    for (uint32_t i = 0; i < SKV_BUCKET_SLOTS; i++) {
        matches |= (uint32_t)(skv_slot_tag(bucket[i]) == tag) << i;
    }
    return matches;
}

#endif

/** Which of a bucket's used slots have the tag, as bits. */
static SKV_ALWAYS_INLINE uint32_t skv_bucket_matches(const uint64_t *bucket, uint32_t tag)
{
    uint32_t matches = skv_bucket_tags(bucket, tag);
    if (SKV_UNLIKELY(tag == 0)) {
        /* An empty slot has this tag too. */
        for (uint32_t i = 0; i < SKV_BUCKET_SLOTS; i++) {
            matches &= ~((uint32_t)(bucket[i] == 0) << i);
        }
    }
    return matches;
}

/** Whether a key with this tag may have gone on to the next bucket because this one was full. */
static SKV_ALWAYS_INLINE bool skv_bucket_is_passed(const uint64_t *bucket, uint32_t tag)
{
    return (bucket[tag % SKV_BUCKET_SLOTS] & SKV_SLOT_PASSED) != 0;
}

static SKV_ALWAYS_INLINE uint64_t *skv_probe_step(struct skv_probe *probe)
{
    while (probe->matches == 0) {
        if (!skv_bucket_is_passed(probe->bucket, probe->tag) || --probe->left == 0) {
            return NULL;
        }
        probe->bucket += SKV_BUCKET_SLOTS;
        if (probe->bucket == probe->run + (size_t)probe->buckets * SKV_BUCKET_SLOTS) {
            probe->bucket = probe->run;
        }
        probe->matches = skv_bucket_matches(probe->bucket, probe->tag);
    }
    uint64_t *const slot = probe->bucket + __builtin_ctz(probe->matches);
    probe->matches &= probe->matches - 1;
    return slot;
}

static inline uint64_t *skv_table_first(const struct skv_table *table, uint64_t hash,
                                        struct skv_probe *probe)
{
    const struct skv_group *const group = &table->groups[skv_table_group_of(table, hash)];
    const uint32_t tag = (uint32_t)(hash & SKV_TAG_MASK);
    if (SKV_UNLIKELY(group->buckets == 0)) {
        return NULL;
    }
    probe->run = group->run;
    probe->bucket = group->run + (size_t)skv_bucket_home(tag, group->buckets) * SKV_BUCKET_SLOTS;
    probe->buckets = group->buckets;
    probe->left = group->buckets;
    probe->tag = tag;
    probe->matches = skv_bucket_matches(probe->bucket, tag);
    return skv_probe_step(probe);
}

static inline uint64_t *skv_table_next(struct skv_probe *probe)
{
    return skv_probe_step(probe);
}

static inline void skv_table_prefetch_group(const struct skv_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->groups[skv_table_group_of(table, hash)]);
}

/** The home bucket, or NULL while the group is empty. Without the lock it is only a guess, good for
 *  a prefetch: the run may be moving meanwhile. */
static inline const uint64_t *skv_table_home(const struct skv_table *table, uint64_t hash)
{
    const struct skv_group *const group = &table->groups[skv_table_group_of(table, hash)];
    const uint64_t *const run = __atomic_load_n(&group->run, __ATOMIC_RELAXED);
    const uint32_t buckets = __atomic_load_n(&group->buckets, __ATOMIC_RELAXED);
    const uint32_t home = skv_bucket_home((uint32_t)(hash & SKV_TAG_MASK), buckets);
    return run == NULL ? NULL : run + (size_t)home * SKV_BUCKET_SLOTS;
}

static inline void skv_table_touch(const struct skv_table *table, uint64_t hash)
{
    const volatile uint64_t *const home = skv_table_home(table, hash);
    if (SKV_LIKELY(home != NULL)) {
        (void)*home;
        __builtin_prefetch((const uint64_t *)home + SKV_BUCKET_SLOTS);
    }
}

static inline void skv_table_prefetch_bucket(const struct skv_table *table, uint64_t hash)
{
    __builtin_prefetch(skv_table_home(table, hash));
}

static inline void skv_table_prefetch_room(const struct skv_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->room[skv_table_group_of(table, hash)]);
}

#endif
