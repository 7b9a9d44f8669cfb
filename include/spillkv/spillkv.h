/* SPDX-License-Identifier: MIT */
/**
 * spillkv: a concurrent map that holds more than RAM does.
 *
 * Hot entries live in memory and cost what a hash map costs. The least frequently used ones move,
 * write-behind, into SQLite files and come back when they are asked for. It is a map, not a cache:
 * what was set is there until it is deleted or the store is closed (unless SPILLKV_FULL_DROP was
 * chosen). It is not a database: closing the store removes its files.
 *
 * Rules that hold for every function here, unless its own text says otherwise:
 *
 * - Keys are 1 to SPILLKV_KEY_MAX bytes, values 0 to SPILLKV_VALUE_MAX bytes, any bytes at all.
 *   Both are borrowed for the call and copied.
 * - Sizes are in bytes.
 * - Every function may be called from any thread at any time between spillkv_open() and
 *   spillkv_close(). Operations on one key are linearizable, also while the key moves between
 *   memory and disk.
 * - A call that fails changes nothing: the old value stays readable.
 * - In a child made by fork() every call on a store opened by the parent returns SPILLKV_EFORKED,
 *   spillkv_close() too, and the parent's store is unharmed.
 * - A call blocks on the disk only when its key was spilled, or when memory is full and it must
 *   help to spill a bounded amount. The spillkv_try_ calls never do.
 */
#ifndef SPILLKV_SPILLKV_H
#define SPILLKV_SPILLKV_H

#include <stddef.h>
#include <stdint.h>

#include <spillkv/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPILLKV_API        __attribute__((visibility("default")))
#define SPILLKV_MUST_CHECK __attribute__((warn_unused_result))
#else
#define SPILLKV_API
#define SPILLKV_MUST_CHECK
#endif

/** Largest key, in bytes. */
#define SPILLKV_KEY_MAX ((size_t)65535)
/** Largest value, in bytes: 512 MiB. */
#define SPILLKV_VALUE_MAX ((size_t)512 << 20)
/** Largest number of shards. */
#define SPILLKV_SHARDS_MAX 256u

/** A store. Created by spillkv_open(), ended by spillkv_close(). */
typedef struct spillkv spillkv;

/** What a call came to: 0 is success, positive values are answers, negative values are failures. */
typedef enum spillkv_status {
    SPILLKV_OK = 0,
    SPILLKV_NOT_FOUND = 1,   /* no such key */
    SPILLKV_TOO_SMALL = 2,   /* the buffer cannot hold the value; its size was reported */
    SPILLKV_WOULD_BLOCK = 3, /* spillkv_try_...() would have to wait; nothing was changed */

    SPILLKV_EINVAL = -1,   /* an argument is out of its range */
    SPILLKV_ENOMEM = -2,   /* the system refused memory */
    SPILLKV_EFULL = -3,    /* max_mem is used up and nothing can be spilled or dropped */
    SPILLKV_EIO = -4,      /* reading or writing a shard file failed */
    SPILLKV_ENOSPC = -5,   /* the disk is full */
    SPILLKV_ECORRUPT = -6, /* a shard file does not hold what was written to it */
    SPILLKV_EBUSY = -7,    /* in use: the directory by another open store, or the store by a
                              pinned value */
    SPILLKV_EFOREIGN = -8, /* the directory holds a file of that name which is not ours */
    SPILLKV_EFORKED = -9,  /* the store belongs to the parent process */
    SPILLKV_ESYSTEM = -10  /* a thread, lock or random number could not be had from the system */
} spillkv_status;

/** What a store without a path does when max_mem is reached. */
typedef enum spillkv_on_full {
    SPILLKV_FULL_FAIL = 0, /* spillkv_set() returns SPILLKV_EFULL */
    SPILLKV_FULL_DROP = 1  /* the least frequently used entries are dropped: an LFU cache */
} spillkv_on_full;

/** How much a log message matters. */
typedef enum spillkv_log_level {
    SPILLKV_LOG_ERROR = 0,
    SPILLKV_LOG_WARNING = 1,
    SPILLKV_LOG_INFO = 2
} spillkv_log_level;

/**
 * Receives messages about failures in the background and their end.
 *
 * Called with no lock of the store held, from any thread that works for it. Must not call
 * spillkv_close() on the store. `message` is one line without a newline, valid during the call.
 */
typedef void spillkv_log(void *context, spillkv_log_level level, const char *message);

/** By what the entries that stay in RAM are chosen; see bench/README.md for how they compare. */
typedef enum spillkv_policy {
    SPILLKV_POLICY_SLOT_L = 0, /* frequency, usual gap and age, weighed as the uses seen teach */
    SPILLKV_POLICY_SLOT12 = 1, /* the same by a fixed rule */
    SPILLKV_POLICY_LFU = 2,    /* the most frequently used ones; old uses count for less */
    SPILLKV_POLICY_LRU = 3     /* those used last */
} spillkv_policy;

/**
 * How to open a store. Fill it with spillkv_options_init(), then change what you need.
 *
 * Grows compatibly: new fields take the place of reserved ones, which must be 0.
 */
typedef struct spillkv_options {
    const char *path;        /* directory for the shard files, created 0700 if absent (its parent
                                must exist); NULL: everything stays in RAM */
    uint64_t max_mem;        /* bytes, all shards together, everything counted; 0: unbounded */
    uint32_t shards;         /* 0: chosen from the CPUs and max_mem; else rounded up to a power of
                                two, at most SPILLKV_SHARDS_MAX */
    spillkv_on_full on_full; /* without a path: what happens at max_mem */
    uint64_t hash_seed;      /* 0: random; else reproducible placement, for tests and simulation */
    uint32_t spillers;       /* background threads that spill; 0: chosen from the CPUs */
    spillkv_policy policy;   /* which entries stay in RAM */
    spillkv_log *log;        /* NULL: no messages */
    void *log_context;       /* handed to log */
    const char *sqlite_vfs;  /* name of the SQLite VFS that opens the shard files; NULL: the
                                library's own, which reads without read-ahead */
    uint64_t reserved[8];    /* must be 0 */
} spillkv_options;

/** Fills in the defaults: in memory only, unbounded, everything else chosen by the store. */
SPILLKV_API void spillkv_options_init(spillkv_options *options);

/**
 * Opens a store.
 *
 * With a path the directory is locked against every other open store, and what a killed process
 * left in it is removed. Files that are not ours are never touched.
 *
 * @param options  borrowed for the call; NULL means the defaults
 * @param kv_out   receives the store; set to NULL on every status but SPILLKV_OK
 * @return SPILLKV_OK; SPILLKV_EINVAL (an option out of its range, or max_mem too small for the
 *         number of shards); SPILLKV_EBUSY; SPILLKV_EFOREIGN; SPILLKV_ENOMEM; SPILLKV_EIO;
 *         SPILLKV_ENOSPC; SPILLKV_ESYSTEM. After a failure nothing is left behind.
 * Cost:   opens one SQLite connection per shard and starts the spiller threads.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_open(const spillkv_options *options,
                                                           spillkv **kv_out);

/**
 * Ends a store: joins its threads, removes its files, frees its memory. All entries are gone.
 *
 * @param kv  NULL is allowed; no other call may be running or follow. The handle is freed on every
 *            status but SPILLKV_EFORKED and SPILLKV_EBUSY.
 * @return SPILLKV_OK; SPILLKV_EIO when a file could not be removed; SPILLKV_EFORKED; SPILLKV_EBUSY
 *         when a value is still pinned: a mistake of the program's, the store stays open and whole.
 * Cost:   does not depend on the number of entries in RAM.
 */
SPILLKV_API spillkv_status spillkv_close(spillkv *kv);

/**
 * Stores a value under a key, replacing the old value if there is one.
 *
 * Counts as a use of the key. The new value is visible to every thread when the call returns.
 *
 * @param value  may be NULL when value_size is 0
 * @return SPILLKV_OK; SPILLKV_EINVAL; SPILLKV_EFULL, SPILLKV_ENOSPC or SPILLKV_EIO (memory is used
 *         up and could not be freed, the last two because spilling failed); SPILLKV_ENOMEM;
 *         SPILLKV_ECORRUPT (an older copy on disk that might be this key cannot be read, or memory
 *         is used up and the shard's file is too damaged to be written to). A set of up to some 500
 *         bytes whose key is damaged on disk may also succeed and replace the value, while the
 *         damage stays and keeps its memory.
 * Cost:   O(1) in RAM and one or two copies; a disk read if the key was spilled, or, for a small
 *         value, if an earlier set of a spilled key left it to be done; when memory is full, the
 *         spilling of a bounded batch.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_set(spillkv *kv, const void *key,
                                                          size_t key_size, const void *value,
                                                          size_t value_size);

/**
 * Copies the value of a key into a buffer of the caller's. Counts as a use of the key.
 *
 * @param buffer          may be NULL when capacity is 0
 * @param value_size_out  receives the size of the value on SPILLKV_OK and SPILLKV_TOO_SMALL, else
 *                        0; may be NULL
 * @return SPILLKV_OK; SPILLKV_NOT_FOUND; SPILLKV_TOO_SMALL; SPILLKV_EINVAL; SPILLKV_EIO;
 *         SPILLKV_ECORRUPT; SPILLKV_ENOMEM. The buffer's content is meaningful on SPILLKV_OK only.
 * Cost:   O(1) in RAM; one disk read if the key was spilled. Keys that are not in the store are
 *         answered without the disk but for about one in 500 in the worst case.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_get(spillkv *kv, const void *key,
                                                          size_t key_size, void *buffer,
                                                          size_t capacity, size_t *value_size_out);

/**
 * Like spillkv_get(), into a buffer that the library allocates.
 *
 * @param value_out       receives the buffer, owned by the caller; release it with spillkv_free().
 *                        Never NULL on SPILLKV_OK, even for an empty value; NULL on every other
 *                        status
 * @param value_size_out  receives the size of the value, 0 on every other status
 * @return as spillkv_get(), but never SPILLKV_TOO_SMALL; SPILLKV_ENOMEM if the buffer cannot be
 *         had. The buffer is not counted against max_mem.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_get_copy(spillkv *kv, const void *key,
                                                               size_t key_size, void **value_out,
                                                               size_t *value_size_out);

/** Releases a buffer of spillkv_get_copy(); NULL is allowed. */
SPILLKV_API void spillkv_free(void *value);

/** A value that is pinned: the store's own memory, to be read only. */
typedef struct spillkv_pinned {
    const void *value; /* not aligned; never NULL while pinned, even for an empty value */
    size_t value_size;
    uint64_t reserved[2]; /* the store's own: where it is */
} spillkv_pinned;

/**
 * A get without a copy: pins the value of a key. Counts as a use of the key.
 *
 * Until spillkv_unpin() the value stays where it is and as it is, whatever happens to the key: it
 * may be set, deleted, cleared or spilled meanwhile. Every pin is ended by itself, by any thread.
 *
 * A pin keeps the segment that the value is in charged against max_mem: 16 to 64 KiB, shared with
 * other values, or pages of its own for a value of more than a quarter of that. Where pins hold so
 * much that nothing else can leave, calls that need memory return SPILLKV_EFULL, gets go on from
 * disk, and all goes on by itself once values are unpinned.
 *
 * @param pinned  receives the value; zeroed on every status but SPILLKV_OK
 * @return as spillkv_get(), never SPILLKV_TOO_SMALL; as spillkv_set() for the memory of a spilled
 *         value, which comes back to RAM; SPILLKV_EBUSY: 2^31 pins hold that segment already
 * Cost:   O(1) in RAM, whatever the size; one disk read if the key was spilled, and, when memory is
 *         full, the spilling of as much as the value takes.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_pin(spillkv *kv, const void *key,
                                                          size_t key_size, spillkv_pinned *pinned);

/**
 * Ends a pin: the value must not be read any more.
 *
 * @param pinned  from spillkv_pin(); zeroed on SPILLKV_OK, so that it is not ended twice. Ending a
 *                copy as well is a mistake, found only if nothing else pins that memory.
 * @return SPILLKV_OK; SPILLKV_EINVAL: nothing that this store has pinned; SPILLKV_EFORKED: a value
 *         pinned before fork() stays readable in the child.
 * Cost:   O(1), and giving the memory back if nothing else was in it.
 */
SPILLKV_API spillkv_status spillkv_unpin(spillkv *kv, spillkv_pinned *pinned);

/**
 * Removes a key. Final in both tiers when it returns.
 *
 * @return SPILLKV_OK; SPILLKV_NOT_FOUND; SPILLKV_EINVAL; SPILLKV_EIO, SPILLKV_ECORRUPT or
 *         SPILLKV_ENOMEM when the key's copy on disk cannot be read to be sure that it is the key
 * Cost:   O(1); one disk read if the key was spilled.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_del(spillkv *kv, const void *key,
                                                          size_t key_size);

/**
 * One key of a batch and what became of it. The same items serve to get, set and delete.
 *
 * All memory that is pointed at is the caller's and borrowed for the call.
 */
typedef struct spillkv_item {
    const void *key;
    size_t key_size;
    const void *value;     /* set: the value, may be NULL when value_size is 0; get: becomes
                              `buffer` on SPILLKV_OK, else NULL */
    size_t value_size;     /* set: of the value; get: receives the size of the value on SPILLKV_OK
                              and SPILLKV_TOO_SMALL, else 0 */
    void *buffer;          /* get: receives the value; may be NULL when capacity is 0 */
    size_t capacity;       /* get: of the buffer */
    spillkv_status status; /* receives what the call for this key alone would return */
    uint32_t reserved;     /* ignored, left alone */
} spillkv_item;

/**
 * Copies the values of many keys into buffers of the caller's: faster than one by one, because the
 * keys of a shard share its lock and memory and disk are asked for many of them at a time.
 *
 * Every key is a get of its own, as spillkv_get(): the batch is not one atomic operation, and what
 * happens to one item does not disturb the others. An item with bad arguments gets SPILLKV_EINVAL.
 * A key may be in a batch more than once, buffers must not overlap.
 *
 * @param items  answered in place; NULL is allowed when count is 0
 * @param count  any number
 * @return SPILLKV_OK when no item failed: SPILLKV_NOT_FOUND and SPILLKV_TOO_SMALL are answers;
 *         else the status of the first item that did, though all others were carried out.
 *X
 * Cost:   for keys in RAM a fourth of single gets or less, when the store is larger than the
 *         processor's caches; for spilled ones as many disk reads, up to 64 of them in flight at a
 *         time. No memory is allocated but where spillkv_get() does it; some 30 KiB of stack.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_get_many(spillkv *kv, spillkv_item *items,
                                                               size_t count);

/**
 * Stores many values; in every other way as spillkv_get_many(), with each item a spillkv_set() of
 * its own. Items with the same key take effect in their order.
 *
 * Cost: for keys in RAM about half of single sets; a spilled key is read before the call returns,
 *       with up to 64 reads in flight. `buffer` and `capacity` are ignored.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_set_many(spillkv *kv, spillkv_item *items,
                                                               size_t count);

/**
 * Removes many keys; in every other way as spillkv_get_many(), with each item a spillkv_del() of
 * its own: of items with the same key the later ones get SPILLKV_NOT_FOUND. Only the key and the
 * status of an item are used.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_del_many(spillkv *kv, spillkv_item *items,
                                                               size_t count);

/**
 * Tells whether a key is in the store. Does not count as a use and moves nothing.
 *
 * @return SPILLKV_OK; SPILLKV_NOT_FOUND; failures as spillkv_get()
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_has(spillkv *kv, const void *key,
                                                          size_t key_size);

/*
 * The same without waiting, for event loops: where the call named without `try_` would read the
 * disk, or wait for it or for memory, these return SPILLKV_WOULD_BLOCK at once. Then nothing has
 * changed, no use is counted, and outputs are as after a failure: hand the key to a thread that may
 * wait. All else is as of the call named without `try_`. No lock is taken that is held over I/O.
 *
 * The disk is needed for a spilled key (but a small set leaves that to a later call, as long as few
 * do), for one in 500 absent keys in the worst case, and to set a value of more than an eighth of
 * max_mem. Where memory is used up a background thread is told to make room, so that the same call
 * succeeds soon, unless spilling fails. A store without a path never returns SPILLKV_WOULD_BLOCK.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_set(spillkv *kv, const void *key,
                                                              size_t key_size, const void *value,
                                                              size_t value_size);
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_get(spillkv *kv, const void *key,
                                                              size_t key_size, void *buffer,
                                                              size_t capacity,
                                                              size_t *value_size_out);
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_get_copy(spillkv *kv, const void *key,
                                                                   size_t key_size,
                                                                   void **value_out,
                                                                   size_t *value_size_out);
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_pin(spillkv *kv, const void *key,
                                                              size_t key_size,
                                                              spillkv_pinned *pinned);
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_del(spillkv *kv, const void *key,
                                                              size_t key_size);
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_try_has(spillkv *kv, const void *key,
                                                              size_t key_size);

/**
 * Counts the entries, in RAM and spilled. Exact when no other thread writes.
 *
 * Cost: O(shards), and a disk read for each recent set of a spilled key that left it to be done, at
 *       most 16 for a shard.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_count(spillkv *kv, uint64_t *count_out);

/**
 * Removes every entry. A key set by another thread meanwhile may or may not survive; pinned values
 * stay readable.
 *
 * @return SPILLKV_OK; SPILLKV_EINVAL
 * Cost:   does not depend on the number of entries; memory is given back in whole segments.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_clear(spillkv *kv);

/**
 * Called by spillkv_each() for an entry.
 *
 * `key` and `value` are valid during the call and never NULL. No lock is held: the callback may
 * call any function of the store but spillkv_close().
 *
 * @return 0 to go on, anything else to stop
 */
typedef int spillkv_visit(void *context, const void *key, size_t key_size, const void *value,
                          size_t value_size);

/**
 * Visits every entry in both tiers, in no particular order.
 *
 * An entry that exists during the whole call is visited exactly once, with a value it has at the
 * moment of its visit. An entry that is set or deleted meanwhile may or may not be visited. Does
 * not count as a use and moves nothing between the tiers.
 *
 * @return SPILLKV_OK when all were visited or visit stopped it; SPILLKV_EINVAL; SPILLKV_EIO,
 *         SPILLKV_ECORRUPT or SPILLKV_ENOMEM for the first entry that could not be read: the others
 *         are visited all the same unless memory ran out; SPILLKV_EFULL or SPILLKV_ENOSPC when
 *         memory is used up and a recent set could not be finished that should be seen
 * Cost:   two disk reads for each spilled entry; memory for the keys of one group (a few hundred).
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_each(spillkv *kv, spillkv_visit *visit,
                                                           void *context);

/**
 * Waits until no spilling is in progress and memory is at its target; what failed last is tried
 * once more.
 *
 * @return SPILLKV_OK; SPILLKV_EINVAL; or the failure of the latest attempt to spill. No data is
 *         lost by it: entries stay in RAM.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_flush(spillkv *kv);

/**
 * Changes max_mem while other threads work.
 *
 * More holds at once. Less is reached before this returns, by steps of some megabytes: entries are
 * spilled (or dropped, with SPILLKV_FULL_DROP), other threads go on meanwhile and wait for a
 * step at most. spillkv_stats() tells what was reached as max_mem.
 *
 * @param max_mem  bytes; 0: unbounded. The number of shards and the size of segments stay as they
 *                 were chosen at open.
 * @return SPILLKV_OK; SPILLKV_EINVAL: less than the empty store takes, nothing was changed;
 *         SPILLKV_EFULL: entries or slots that cannot leave, or pinned values, take more,
 *         SPILLKV_EIO or SPILLKV_ENOSPC: entries could not be written; then max_mem is what is in
 *         use. No entry is lost. SPILLKV_ESYSTEM.
 * Cost:   as that of spilling what has to go.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_set_max_mem(spillkv *kv, uint64_t max_mem);

/** A short description of a status, never NULL, static. */
SPILLKV_API const char *spillkv_strerror(spillkv_status status);

#ifdef __cplusplus
}
#endif

#include <spillkv/stats.h> /* spillkv_stats(), spillkv_shard_stats(), spillkv_advise() */

#endif
