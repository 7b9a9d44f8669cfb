/* SPDX-License-Identifier: MIT */
/**
 * One independent piece of the map: a lock, a table, the two tiers, a SQLite file.
 *
 * This is the one place where the tiers meet. Every function takes the locks it needs itself:
 *
 *   spill   who spills, compacts or clears this shard; held for a whole batch, over its I/O
 *   lock    table, RAM log, counters; held for microseconds, never over I/O
 *   io      the SQLite connection
 *
 * `spill` is taken first; `lock` and `io` are never held together.
 *
 * Threads: safe from any thread unless said otherwise.
 */
#ifndef SKV_SHARD_SHARD_H
#define SKV_SHARD_SHARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "base/attributes.h"
#include "base/hash.h"
#include "base/log.h"
#include "budget/budget.h"

struct skv_shard;

/** What becomes of entries that have to leave RAM. */
enum skv_shard_mode {
    SKV_SHARD_SPILL, /* they are written to the shard's file */
    SKV_SHARD_KEEP,  /* none may leave */
    SKV_SHARD_DROP   /* they are forgotten */
};

struct skv_shard_options {
    struct skv_budget *budget;
    const struct skv_secret *secret;
    const struct skv_log *log;
    _Atomic uint64_t *clock;      /* of the store: counts RAM segments opened */
    _Atomic int32_t *store_worth; /* what the entries that leave are worth in all shards; 0: unknown
                                     yet; NULL: there is no other shard */
    const char *file;             /* SKV_SHARD_SPILL: the file, which must not exist */
    const char *vfs;              /* see spillkv_options.sqlite_vfs */
    enum skv_shard_mode mode;
    spillkv_policy policy;
    uint32_t number;
    uint32_t shard_bits;
    uint32_t group_count;    /* of the table */
    uint32_t batch_segments; /* disk segments written in one transaction */
    uint64_t cache_bytes;    /* most of SQLite's page cache */
    uint32_t advise_records; /* of the simulation of other sizes; 0: none */
    uint64_t seed;           /* for the policy's dice */
};

/** Opens a shard; on failure *shard_out is NULL and nothing is left behind. */
SKV_MUST_CHECK spillkv_status skv_shard_open(const struct skv_shard_options *options,
                                             struct skv_shard **shard_out);
/** Closes a shard that no other thread uses, removes its file; clears *shard; NULL is fine. */
spillkv_status skv_shard_close(struct skv_shard **shard);
/** RAM segments that a shard needs to work at all. */
#define SKV_SHARD_SEGMENTS_LEAST 10

/** Internal: there is no memory for another slot, and to make room for entries does not help. */
#define SKV_ENOSLOT ((spillkv_status)-100)

/** Bytes of segments and directories that an open shard without entries holds. */
uint64_t skv_shard_least_bytes(const struct skv_shard *shard);
/** Bytes that an open shard holds apart from segments, SQLite's included; for choosing sizes. */
uint64_t skv_shard_fixed_bytes(uint32_t group_count, uint32_t batch_segments,
                               uint32_t advise_records);

/** A key with its hash, and what the call that looks for it may do. */
struct skv_key {
    const void *bytes;
    size_t size;
    uint64_t hash;
    bool nowait; /* SPILLKV_WOULD_BLOCK, and no change, where the disk would have to be read */
};

/** Where a get delivers the value. */
struct skv_sink {
    void *buffer; /* the caller's, `capacity` bytes */
    size_t capacity;
    bool allocate;     /* instead of the buffer: into memory from skv_alloc() at `buffer` */
    bool peek;         /* not a use, and no promotion */
    bool entry;        /* what has a row of its own comes as an entry in RAM, with its copy word, in
                          pages charged to the shard's budget at `buffer`; nothing else comes */
    size_t value_size; /* out: set on SPILLKV_OK and SPILLKV_TOO_SMALL, else 0 */
};

/** Internal: the short way does not lead to the key. */
#define SKV_ELSEWHERE ((spillkv_status)-101)

/**
 * A get by the shortest way: of a small value in RAM that goes into the caller's buffer. The key
 * comes in registers: see shard_get.c.
 *
 * @param value_size_out  set on SPILLKV_OK only
 * @return SPILLKV_OK, SPILLKV_NOT_FOUND; SKV_ELSEWHERE and no change: skv_shard_get() can tell
 */
SKV_MUST_CHECK spillkv_status skv_shard_get_hot(struct skv_shard *shard, const void *bytes,
                                                size_t size, uint64_t hash, void *buffer,
                                                size_t capacity, size_t *value_size_out);
/** As the public functions of these names. */
SKV_MUST_CHECK spillkv_status skv_shard_get(struct skv_shard *shard, const struct skv_key *key,
                                            struct skv_sink *sink);
SKV_MUST_CHECK spillkv_status skv_shard_del(struct skv_shard *shard, const struct skv_key *key);
SKV_MUST_CHECK spillkv_status skv_shard_has(struct skv_shard *shard, const struct skv_key *key);

/**
 * As spillkv_set(), but SPILLKV_EFULL only says that the budget gives no memory now: nothing was
 * changed, the caller makes room and calls again. SKV_ENOSLOT: the key is new and must not be.
 */
SKV_MUST_CHECK spillkv_status skv_shard_set(struct skv_shard *shard, const struct skv_key *key,
                                            const void *value, size_t value_size);
/** The same past RAM, straight to a row of its own: for values too large for the budget. */
SKV_MUST_CHECK spillkv_status skv_shard_set_on_disk(struct skv_shard *shard,
                                                    const struct skv_key *key, const void *value,
                                                    size_t value_size);

/** A value that is pinned. */
struct skv_pin {
    const void *value;
    size_t value_size;
    uint32_t segment; /* of the shard's RAM */
};

/**
 * As spillkv_pin(), but SPILLKV_EFULL only says that the budget gives no memory now for a value of
 * `value_size` bytes, the one field that is set then: the caller makes room and calls again.
 */
SKV_MUST_CHECK spillkv_status skv_shard_pin(struct skv_shard *shard, const struct skv_key *key,
                                            struct skv_pin *pin);
/** SPILLKV_EINVAL and no change when nothing of the kind is pinned. */
spillkv_status skv_shard_unpin(struct skv_shard *shard, const struct skv_pin *pin);
/** Values pinned by skv_shard_pin(). */
uint64_t skv_shard_pinned(struct skv_shard *shard);
/* Batches: shard_many.c. Keys of one shard are done together, in steps, so that the caller can take
   each step with all shards before the next one: what a step asked for is there then. */

/** Keys of a batch that are worked on at a time. */
#define SKV_JOBS_MOST 64u

enum skv_many {
    SKV_MANY_GET,
    SKV_MANY_SET,
    SKV_MANY_DEL
};

/** What is to be done for one item of a batch. */
struct skv_job {
    struct skv_key key;
    spillkv_item *item; /* arguments checked; its status says what the job came to */
    /* Private to the steps. */
    uint64_t place;   /* 0, or where a spilled entry is that may be the key's */
    uint64_t address; /* of what is there */
    uint64_t reuses;  /* of the shard's segment ids when that was seen */
};

/** Steps 1 to 3: bring the keys' groups, their buckets, their entries nearer to the processor. The
 *  first two take no lock, the third only if it is free. */
void skv_shard_fetch_groups(const struct skv_shard *shard, const struct skv_job *jobs,
                            uint32_t count);
void skv_shard_fetch_buckets(const struct skv_shard *shard, const struct skv_job *jobs,
                             uint32_t count);
void skv_shard_fetch_entries(struct skv_shard *shard, enum skv_many many,
                             const struct skv_job *jobs, uint32_t count);
/**
 * Step 4: does what needs neither the disk nor memory from the budget, under one taking of the
 * lock.
 *
 * @return how many jobs are left: they are the first of `jobs` then, jobs of one key in their order
 */
uint32_t skv_shard_do_resident(struct skv_shard *shard, enum skv_many many, struct skv_job *jobs,
                               uint32_t count);
/** Step 5: sorts what is left by place and asks the disk for it. */
void skv_shard_announce(struct skv_shard *shard, struct skv_job *jobs, uint32_t count);
/** Step 6: reads it under one taking of the I/O lock and does it. Returns as step 4: what is left
 *  is for the functions that do one key at a time, in this order. */
uint32_t skv_shard_do_spilled(struct skv_shard *shard, enum skv_many many, struct skv_job *jobs,
                              uint32_t count);

/** Does for the sets that wait for the disk, if any, what they wait for. Without this what comes
 *  next may miss their keys. Statuses as of a set. */
SKV_MUST_CHECK spillkv_status skv_shard_resolve_inbox(struct skv_shard *shard);
/** All keys. */
uint64_t skv_shard_count(struct skv_shard *shard);
void skv_shard_clear(struct skv_shard *shard);
/** Adds this shard's counters to `sum`. */
void skv_shard_add_counters(struct skv_shard *shard, spillkv_counters *sum);

/** What the simulations of all shards came to. */
struct skv_shard_advice {
    uint64_t gets;    /* that could be hits */
    uint64_t hits;    /* of them */
    double misses[4]; /* simulated, with half, one, two, four times the memory */
    uint64_t samples;
    uint64_t sampled_keys;
};

/** Adds what came of this shard. */
void skv_shard_add_advice(struct skv_shard *shard, struct skv_shard_advice *sum);
/** Says it as spillkv_advise(), all but max_mem. */
void skv_shard_report_advice(const struct skv_shard_advice *sum, spillkv_advice *out);

/**
 * Examines the oldest entries and spills, drops or keeps them: one batch, one transaction.
 *
 * Waits for another thread that does the same to this shard.
 *
 * @param goal        stop once so many bytes of entries and garbage are on their way out of RAM
 * @param worked_out  whether anything left RAM or garbage was freed
 * @return SPILLKV_OK; SPILLKV_ENOSPC, SPILLKV_EIO, SPILLKV_ENOMEM, SPILLKV_ECORRUPT: the batch was
 *         not written and all its entries are where they were
 */
SKV_MUST_CHECK spillkv_status skv_shard_spill(struct skv_shard *shard, size_t goal,
                                              bool *worked_out);
/** The same for who wants room in the budget: does nothing, and calls it work, if that has `enough`
 *  when the turn is this thread's. */
SKV_MUST_CHECK spillkv_status skv_shard_spill_until(struct skv_shard *shard, size_t goal,
                                                    uint64_t enough, bool *worked_out);
/** The same, but does nothing if another thread is at it. */
SKV_MUST_CHECK spillkv_status skv_shard_try_spill_until(struct skv_shard *shard, size_t goal,
                                                        uint64_t enough, bool *worked_out);
/** Whether the shard's file wants compaction, deletion of rows or truncation. Cheap. */
bool skv_shard_wants_compaction(const struct skv_shard *shard);
/** Does one bounded step of it. */
SKV_MUST_CHECK spillkv_status skv_shard_compact(struct skv_shard *shard);
/** Waits until no batch is being written, and returns how the latest one ended. */
spillkv_status skv_shard_settle(struct skv_shard *shard);

/** How the latest attempt to write ended. Cheap. */
spillkv_status skv_shard_last_write(const struct skv_shard *shard);
/** When the oldest segment of the newcomers was opened, by the store's clock; UINT64_MAX when there
 *  is none. May be a little out of date. Cheap. */
uint64_t skv_shard_oldest(const struct skv_shard *shard);

/** Groups of the table: the unit of iteration. */
uint32_t skv_shard_group_count(const struct skv_shard *shard);

/** Called with a key, no lock held; returns whether to go on. */
typedef bool skv_shard_visit(void *context, const void *key, size_t key_size);

/**
 * Visits the keys that are in a group at one moment.
 *
 * @return SPILLKV_OK, also when visit stopped it; SPILLKV_ENOMEM; SPILLKV_EIO or SPILLKV_ECORRUPT
 * when a spilled key could not be read: the others are visited all the same
 */
SKV_MUST_CHECK spillkv_status skv_shard_scan(struct skv_shard *shard, uint32_t group,
                                             skv_shard_visit *visit, void *context);

/** Aborts unless all invariants of table, tiers and counters hold; returns true. Reads no disk. */
bool skv_shard_check(struct skv_shard *shard);

#endif
