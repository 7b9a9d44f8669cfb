/* SPDX-License-Identifier: MIT */
/** The inside of a shard; included only in this folder (and by white-box tests). */
#ifndef SKV_SHARD_SHARD_PRIVATE_H
#define SKV_SHARD_SHARD_PRIVATE_H

#include "base/mutex.h"
#include "disk/segment.h"
#include "disk/space.h"
#include "disk/store.h"
#include "ram/inbox.h"
#include "ram/ramlog.h"
#include "shard/shard.h"
#include "table/advise.h"
#include "table/policy.h"
#include "table/sweep.h"
#include "table/table.h"

/** Entries examined in one go under the lock: some 20 us of work. */
#define SKV_QUANTUM_ENTRIES 256
/** And bytes of them, so that large entries do not make it longer: a batch takes at least two. */
#define SKV_QUANTUM_BYTES             ((size_t)32 << 10)
#define SKV_QUANTUM_BYTES_PER_SEGMENT ((size_t)3 << 9)

/** An entry that is being written: where it is in RAM and where it will be on disk. */
struct skv_spilling {
    uint64_t hash;
    uint64_t locator;
    uint64_t place;
};

/** What one transaction writes, and what has to be settled after it. */
struct skv_batch {
    /* Constant after open. */
    uint8_t *bytes; /* segment_capacity segments */
    struct skv_store_segment *segments;
    struct skv_store_lone *lone;
    struct skv_spilling *spilling;
    uint32_t *deleted;
    uint32_t segment_capacity;
    uint32_t spilling_capacity;
    /* Guarded by spill. */
    size_t fill; /* bytes used of the last segment */
    size_t lone_bytes;
    uint32_t segment_count;
    uint32_t lone_count;
    uint32_t spilling_count;
    uint32_t deleted_count;
};

#define SKV_BATCH_LONE       16
#define SKV_BATCH_DELETED    64
#define SKV_BATCH_LONE_BYTES ((size_t)4 << 20)
/** RAM segments whose entries one batch may come from. */
#define SKV_BATCH_WALKED 64

/** Where the next entries to examine are taken from. */
enum skv_walk {
    SKV_WALK_NEWCOMERS = SKV_NEWCOMERS, /* the oldest segments of a log */
    SKV_WALK_SURVIVORS = SKV_SURVIVORS,
    SKV_WALK_WASTEFUL, /* segments with much garbage, of both logs */
    SKV_WALKS
};

/** How far segments have been examined. Guarded by spill. */
struct skv_examination {
    uint32_t segment[SKV_WALKS];       /* being walked over; 0: none */
    uint64_t cursor[SKV_WALKS];        /* bytes of it that were walked over */
    uint32_t walked[SKV_BATCH_WALKED]; /* walked over to the end, waiting for the batch */
    uint32_t walked_count;
    bool refused; /* an entry was chosen, but an empty batch had no room for it */
    bool worked;  /* since it was last set to false: something left RAM, or a segment was freed */
};

struct skv_shard {
    /* Constant after open. */
    struct skv_budget *budget;
    const struct skv_secret *secret;
    const struct skv_log *log;
    struct skv_store *store;      /* NULL without a file */
    _Atomic int32_t *store_worth; /* see skv_shard_options */
    enum skv_shard_mode mode;
    uint32_t number;
    uint64_t fixed_charge;
    uint64_t scratch_charge;
    uint64_t journal_bytes; /* SQLite's journal in memory, charged though it cannot be asked */
    uint64_t sqlite_least;  /* charged for SQLite in any case, journal included */
    size_t quantum_bytes;   /* examined in one go under the lock */

    /* Atomic, relaxed: hints, written under spill or lock. */
    _Atomic uint64_t oldest;
    _Atomic int last_write; /* spillkv_status */
    _Atomic bool wants_compaction;

    _Alignas(SKV_CACHE_LINE) struct skv_mutex lock;
    /* Guarded by lock. */
    struct skv_table table;
    struct skv_ram ram;
    struct skv_inbox inbox;
    struct skv_policy policy;
    struct skv_learn learn; /* of the policy, if it learns */
    struct skv_advise advise;
    uint32_t told; /* how often the latter was told of a sampled key */
    struct skv_space space;
    spillkv_counters counters; /* entries_*, bytes_* and the counts of operations */
    uint64_t disk_moves;       /* how often slots got or changed places on disk, or space was
                                  cleared: a search among spilled slots starts again */
    uint64_t clears;           /* how often it was cleared */
    uint64_t dense_live;       /* live bytes of packed segments when compaction found no use in
                                  going on: not again until a sixteenth of them changed */
    uint32_t vain_segments;    /* emptied lately without making them fewer */
    uint64_t array_charge;     /* charged for the arrays of ram and space */
    int32_t worth;             /* of what leaves, on average, as store_worth; 0: unknown */
    uint64_t tick_began;       /* by the store's clock */
    uint64_t tick_length;      /* by the same, 16 times the average of the latest ticks */
    uint32_t scans;            /* scans that rely on places: no id is reused meanwhile */
    struct skv_sweep sweep;    /* of old ages */

    _Alignas(SKV_CACHE_LINE) struct skv_mutex io;
    /* Guarded by io: the store's connection. */
    uint64_t sqlite_charge;

    _Alignas(SKV_CACHE_LINE) struct skv_mutex spill;
    struct skv_batch batch;
    spillkv_status logged; /* what the log was last told of writing */
    char message[160];     /* of the latest failure to write */
    struct skv_examination examination;
};

/* shard_find.c */

/** What a search for a key came to. The lock is held. */
struct skv_found {
    uint64_t *slot;    /* NULL: no such key */
    uint8_t *entry;    /* in RAM: the entry; NULL when the slot is on disk */
    uint64_t header;   /* of the entry, in RAM */
    size_t value_size; /* in either tier */
};

/** Room for a packed entry read from disk. */
struct skv_cold {
    struct skv_sink *sink; /* NULL: the value is not wanted */
    bool delivered;        /* out: the value was put into the sink */
    const uint8_t *value;  /* out: in bytes[] or in the sink; NULL when the value was not read */
    uint8_t bytes[SKV_SEGMENT_BYTES];
};

/**
 * Finds a key's slot, reading spilled candidates until one is the key.
 *
 * While it reads it lets go of the lock and holds only io; it comes back to see that the slot is
 * unchanged and the place was not reused, otherwise it starts again. The lock is held at return,
 * on failure too. SPILLKV_ECORRUPT: no slot was found, and one that may be the key's is damaged.
 * SPILLKV_EFULL: the budget has no room for the entry that the sink wants.
 */
SKV_MUST_CHECK spillkv_status skv_shard_find(struct skv_shard *shard, const struct skv_key *key,
                                             struct skv_cold *cold, struct skv_found *found)
    SKV_REQUIRES(shard->lock);

/** Without reading: fills `found` if the key is in RAM; else returns the lowest place above `tried`
 *  of a spilled slot that might be the key, 0 if there is none. */
uint64_t skv_shard_search_locked(const struct skv_shard *shard, const struct skv_key *key,
                                 uint64_t tried, struct skv_found *found) SKV_REQUIRES(shard->lock);
/** The same, inlined: for the path of every get. */
static SKV_ALWAYS_INLINE uint64_t skv_shard_search_inline_locked(const struct skv_shard *shard,
                                                                 const struct skv_key *key,
                                                                 uint64_t tried,
                                                                 struct skv_found *found)
    SKV_REQUIRES(shard->lock);

static SKV_ALWAYS_INLINE uint64_t skv_shard_search_inline_locked(const struct skv_shard *shard,
                                                                 const struct skv_key *key,
                                                                 uint64_t tried,
                                                                 struct skv_found *found)
{
    uint64_t lowest = 0;
    struct skv_probe probe;
    *found = (struct skv_found){0};
    for (uint64_t *slot = skv_table_first(&shard->table, key->hash, &probe); slot != NULL;
         slot = skv_table_next(&probe)) {
        const uint64_t locator = skv_slot_locator(*slot);
        if (skv_slot_on_disk(*slot)) {
            if (locator > tried && (lowest == 0 || locator < lowest)) {
                lowest = locator;
            }
            continue;
        }
        uint8_t *const entry = skv_ram_at(&shard->ram, locator);
        const uint64_t header = skv_entry_header(entry);
        if (SKV_LIKELY(skv_entry_key_is(entry, header, key->bytes, key->size))) {
            found->slot = slot;
            found->entry = entry;
            found->header = header;
            found->value_size = skv_header_value_size(header);
            return 0;
        }
    }
    return lowest;
}

/** Bytes read at first from a place: most entries are shorter. */
#define SKV_FIRST_READ ((size_t)512)

/** Reads the beginning of the entry at an address, all of it if it is packed, into
 *  SKV_SEGMENT_BYTES. Under io. The header is sane, nothing else is verified. */
SKV_MUST_CHECK spillkv_status skv_shard_read_beginning(struct skv_store *store, uint64_t address,
                                                       uint8_t *buffer, size_t *size_out);

/** The slot with this tag that points at a place, or NULL. */
uint64_t *skv_shard_slot_at(const struct skv_table *table, uint64_t hash, bool on_disk,
                            uint64_t locator);

/**
 * Reads the key of the entry at a place, verified, into memory from skv_alloc() that the caller
 * frees.
 *
 * @param bytes  SKV_SEGMENT_BYTES of scratch
 * @return SPILLKV_OK; SPILLKV_ECORRUPT, SPILLKV_EIO or SPILLKV_ENOMEM with *key_out NULL
 */
SKV_MUST_CHECK spillkv_status skv_shard_read_key(struct skv_shard *shard, uint64_t place,
                                                 uint8_t *bytes, uint8_t **key_out,
                                                 size_t *key_size_out) SKV_EXCLUDES(shard->lock);

/* shard_account.c */

/** An entry came into RAM: moves the policy's clock and sweeps old ages. */
void skv_shard_note_miss_locked(struct skv_shard *shard) SKV_REQUIRES(shard->lock);
/** An entry's copy on disk is needed no more. */
void skv_shard_drop_place_locked(struct skv_shard *shard, uint64_t place, size_t key_size,
                                 size_t value_size) SKV_REQUIRES(shard->lock);

/** An entry is in RAM from now on, or no more; `bytes` of key and value. */
static inline void skv_shard_count_ram(struct skv_shard *shard, size_t bytes)
{
    shard->counters.entries_ram++;
    shard->counters.bytes_ram += bytes;
}

static inline void skv_shard_uncount_ram(struct skv_shard *shard, size_t bytes)
{
    shard->counters.entries_ram--;
    shard->counters.bytes_ram -= bytes;
}

/** The same for an entry that is on disk only. */
static inline void skv_shard_count_spilled(struct skv_shard *shard, size_t bytes)
{
    shard->counters.entries_spilled++;
    shard->counters.bytes_spilled += bytes;
}

static inline void skv_shard_uncount_spilled(struct skv_shard *shard, size_t bytes)
{
    shard->counters.entries_spilled--;
    shard->counters.bytes_spilled -= bytes;
}

/** A use of the slot's key; writes the slot only if that changes it. */
static inline void skv_shard_use_slot(struct skv_shard *shard, uint64_t *slot)
{
    const uint32_t bits = skv_slot_policy(*slot);
    const uint32_t used = skv_policy_use(&shard->policy, bits);
    if (used != bits) {
        *slot = skv_slot_with_policy(*slot, used);
    }
}

/* shard_get.c */

/** A spilled slot of an entry of `bytes` of key and value is a resident one from now on; its copy
 *  on disk stays valid. */
void skv_shard_promoted_locked(struct skv_shard *shard, uint64_t *slot, uint64_t locator,
                               size_t bytes) SKV_REQUIRES(shard->lock);
/** Appends an entry that was just read to the newcomers, if it is not lone. Where there is no room
 *  now it stays where it is: the value was read all the same. */
void skv_shard_promote_locked(struct skv_shard *shard, const struct skv_key *key,
                              const struct skv_entry_parts *parts, uint64_t *slot)
    SKV_REQUIRES(shard->lock);

/* shard_advise.c */

typedef void skv_shard_tell(struct skv_advise *advise, const struct skv_advise_key *key);

/** Tells of a sampled key. */
void skv_shard_tell_sampled_locked(struct skv_shard *shard, skv_shard_tell *tell,
                                   const struct skv_key *key, size_t value_size, uint32_t bits)
    SKV_REQUIRES(shard->lock);

/** Tells the simulation of a key, if it is sampled; `bits` are its slot's, before this use. */
static inline void skv_shard_tell_locked(struct skv_shard *shard, skv_shard_tell *tell,
                                         const struct skv_key *key, size_t value_size,
                                         uint32_t bits) SKV_REQUIRES(shard->lock)
{
    if (SKV_UNLIKELY(skv_advise_samples(&shard->advise, key->hash))) {
        skv_shard_tell_sampled_locked(shard, tell, key, value_size, bits);
    }
}

/** Tells it that the key's entry is not for RAM, or that it is deleted. */
static inline void skv_shard_tell_gone_locked(struct skv_shard *shard, const struct skv_key *key,
                                              bool deleted) SKV_REQUIRES(shard->lock)
{
    if (SKV_UNLIKELY(skv_advise_samples(&shard->advise, key->hash))) {
        (deleted ? skv_advise_del : skv_advise_leave)(&shard->advise, key->hash);
    }
}

/** A get or pin that found its key counts as a use of it. */
static inline void skv_shard_count_get_locked(struct skv_shard *shard, const struct skv_key *key,
                                              size_t value_size, uint64_t *slot)
    SKV_REQUIRES(shard->lock)
{
    shard->counters.hits += !skv_slot_on_disk(*slot);
    shard->counters.spilled_reads += skv_slot_on_disk(*slot);
    skv_shard_tell_locked(shard, skv_advise_get, key, value_size, skv_slot_policy(*slot));
    skv_shard_use_slot(shard, slot);
}

/** One that found nothing. */
static inline void skv_shard_count_miss_locked(struct skv_shard *shard, const struct skv_key *key)
    SKV_REQUIRES(shard->lock)
{
    shard->counters.misses++;
    if (SKV_UNLIKELY(skv_advise_samples(&shard->advise, key->hash)) &&
        shard->mode == SKV_SHARD_DROP) {
        skv_advise_missed(&shard->advise, key->hash);
    }
}

/* shard_ops.c */

/** A new entry on its way into the shard. */
struct skv_put {
    struct skv_entry_parts parts;
    void *pages;  /* a lone entry, already written; NULL: to be appended, or taken over */
    size_t bytes; /* of the entry */
};

/** Inserts or replaces what was found for a key. SPILLKV_EFULL or SPILLKV_ENOMEM: no change. */
SKV_MUST_CHECK spillkv_status skv_shard_put_locked(struct skv_shard *shard,
                                                   const struct skv_key *key,
                                                   const struct skv_found *found,
                                                   struct skv_put *put) SKV_REQUIRES(shard->lock);
/** Puts what was found its way, and takes the key's older sets out of the inbox; `number` as below.
 */
SKV_MUST_CHECK spillkv_status skv_shard_finish_set_locked(struct skv_shard *shard,
                                                          const struct skv_key *key,
                                                          const struct skv_found *found,
                                                          struct skv_put *put, uint64_t number)
    SKV_REQUIRES(shard->lock);
/** Removes what was found for a key, and its sets that wait. SPILLKV_NOT_FOUND: there was none. */
SKV_MUST_CHECK spillkv_status skv_shard_finish_del_locked(struct skv_shard *shard,
                                                          const struct skv_key *key,
                                                          const struct skv_found *found)
    SKV_REQUIRES(shard->lock);
/**
 * Sets at once, reading spilled candidates; removes from the inbox what the key has there.
 *
 * @param number  0, or of the set in the inbox that this is: only it and older ones are removed,
 *                and nothing happens if it is no longer there
 */
SKV_MUST_CHECK spillkv_status skv_shard_set_past_inbox(struct skv_shard *shard,
                                                       const struct skv_key *key, const void *value,
                                                       size_t value_size, uint64_t number)
    SKV_EXCLUDES(shard->lock);

/* shard_inbox.c */

/** Takes a small set into the inbox. False and no change when memory has to be found for it, or
 *  when many wait there; *others_wait says whether one does. */
bool skv_shard_accept(struct skv_shard *shard, const struct skv_key *key,
                      const struct skv_entry_parts *parts, bool *others_wait)
    SKV_EXCLUDES(shard->lock);
/** Finds memory so that a small set of this hash can be accepted: has a RAM segment opened if the
 *  open one has no room for a full inbox, and the group moved to a longer run if it is nearly full.
 *  False when the budget gives none. */
bool skv_shard_reserve_inbox(struct skv_shard *shard, uint64_t hash) SKV_EXCLUDES(shard->lock);
void skv_shard_apply_fresh_locked(struct skv_shard *shard) SKV_REQUIRES(shard->lock);

/** Brings the table up to date with the sets that were accepted. First thing under the lock for
 *  whoever looks for a key. */
static inline void skv_shard_apply_inbox_locked(struct skv_shard *shard) SKV_REQUIRES(shard->lock)
{
    if (skv_inbox_is_fresh(&shard->inbox)) {
        skv_shard_apply_fresh_locked(shard);
    }
}

/** What a search has to find first: the newest entry that waits for a key, or NULL. After
 *  skv_shard_apply_inbox_locked(). */
static inline const uint8_t *skv_shard_find_waiting_locked(const struct skv_shard *shard,
                                                           const struct skv_key *key)
    SKV_REQUIRES(shard->lock)
{
    return SKV_LIKELY(shard->inbox.waiting == 0)
               ? NULL
               : skv_inbox_find(&shard->inbox, key->hash, key->bytes, key->size);
}

/** Does what the oldest waiting set waits for; *none_out: there is none. Statuses as of a set. */
SKV_MUST_CHECK spillkv_status skv_shard_resolve_oldest(struct skv_shard *shard, bool *none_out)
    SKV_EXCLUDES(shard->lock);
/** How many keys there are only in the inbox, as far as tags tell. */
uint64_t skv_shard_count_waiting_locked(const struct skv_shard *shard) SKV_REQUIRES(shard->lock);

/* shard_batch.c */

SKV_MUST_CHECK spillkv_status skv_batch_init(struct skv_batch *batch, uint32_t segments);
void skv_batch_fini(struct skv_batch *batch);
void skv_batch_reset(struct skv_batch *batch);
/** Bytes of a batch's arrays. */
uint64_t skv_batch_bytes(uint32_t segments);
/** Whether a batch has room for about so many more entries of so many bytes together. */
bool skv_batch_has_room(const struct skv_batch *batch, size_t bytes, uint32_t entries);

/** Empties the batch, reserves ids for it, and takes rows to be deleted into it. */
SKV_MUST_CHECK spillkv_status skv_shard_begin_batch(struct skv_shard *shard)
    SKV_REQUIRES(shard->spill) SKV_EXCLUDES(shard->lock);
/** Packs an entry into the batch; `from` says where it is now, its place is filled in. False and no
 *  change when the batch or the ids are used up. */
SKV_MUST_CHECK bool skv_shard_pack_locked(struct skv_shard *shard, const struct skv_spilling *from,
                                          const struct skv_entry_parts *parts)
    SKV_REQUIRES(shard->spill, shard->lock);
/** The same for an entry that gets a row of its own; it is written from where it is. */
SKV_MUST_CHECK bool skv_shard_batch_lone_locked(struct skv_shard *shard,
                                                const struct skv_spilling *from,
                                                const struct skv_entry_parts *parts)
    SKV_REQUIRES(shard->spill, shard->lock);
/** Writes the batch in one transaction. Its places and entries are the caller's to settle. */
SKV_MUST_CHECK spillkv_status skv_shard_write_batch(struct skv_shard *shard)
    SKV_REQUIRES(shard->spill) SKV_EXCLUDES(shard->lock);
/** Lets go of `spill`, then tells the log if writing began or ceased to fail. */
void skv_shard_end_batch(struct skv_shard *shard) SKV_RELEASE(shard->spill);
/** Gives back a place of the batch whose row was not written. */
void skv_shard_cancel_place_locked(struct skv_shard *shard, uint64_t place, size_t key_size,
                                   size_t value_size) SKV_REQUIRES(shard->lock);
/** Charges what SQLite's memory has become beyond what is charged. With `less` also gives back what
 *  it takes no more: not while the same file is written to, it would soon take it again. */
void skv_shard_charge_sqlite(struct skv_shard *shard, bool less) SKV_REQUIRES(shard->io);
/** Charges the growth of the arrays of ram and space to the budget. */
void skv_shard_charge_arrays_locked(struct skv_shard *shard) SKV_REQUIRES(shard->lock);

/* shard_compact.c */

/** Whether the shard's file holds so much that is needed no more that compaction should work. */
bool skv_shard_is_wasteful_locked(const struct skv_shard *shard) SKV_REQUIRES(shard->lock);

/* shard_check.c */

/** Aborts unless all invariants hold; returns true. Walks over everything, reads no disk. */
bool skv_shard_check_locked(struct skv_shard *shard) SKV_REQUIRES(shard->lock);

/* shard_examine.c */

/** What a step of examining came to. */
enum skv_progress {
    SKV_PROGRESS_MORE, /* another quantum may follow */
    SKV_PROGRESS_FULL, /* the batch must be written first */
    SKV_PROGRESS_STUCK /* nothing is left, or part of the quantum was not examined */
};

/** Examines one quantum; adds to *freed the bytes of garbage and of entries on their way out. */
enum skv_progress skv_shard_examine_locked(struct skv_shard *shard, size_t *freed)
    SKV_REQUIRES(shard->spill, shard->lock);
/** The entry's place on disk is all there is of it from now on. */
void skv_shard_move_to_disk_locked(struct skv_shard *shard, uint64_t *slot, uint64_t locator,
                                   uint64_t header, uint64_t place) SKV_REQUIRES(shard->lock);
/** Frees the walked segments in which nothing is live, unless the batch is still to be settled. */
void skv_shard_release_walked_locked(struct skv_shard *shard)
    SKV_REQUIRES(shard->spill, shard->lock);

/** Puts the segments that are being examined back into their logs. */
void skv_shard_stop_examining_locked(struct skv_shard *shard)
    SKV_REQUIRES(shard->spill, shard->lock);

#endif
