/* SPDX-License-Identifier: MIT */
/**
 * What a store tells of itself: memory, counters, and what other budgets would bring.
 *
 * Comes with <spillkv/spillkv.h>, whose rules hold here too.
 */
#ifndef SPILLKV_STATS_H
#define SPILLKV_STATS_H

#include <spillkv/spillkv.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Memory charged against max_mem, by kind, in bytes. The kinds add up to `total`. */
typedef struct spillkv_memory {
    uint64_t entries; /* RAM segments with entries, whole, with the garbage in them, and those
                         that only pins still hold */
    uint64_t table;   /* segments with buckets of slots, and the directories of the tables */
    uint64_t sqlite;  /* page caches and other memory of the SQLite connections */
    uint64_t scratch; /* buffers of disk segments being packed and of entries being read */
    uint64_t fixed;   /* the store, its shards, their arrays of segments, threads' stacks, what
                         the allocator keeps for the memory below */
    uint64_t unused;  /* memory taken from the system that holds no segment at the moment */
    uint64_t total;
} spillkv_memory;

/** Counters of a store or of one shard. All counts are since open. */
typedef struct spillkv_counters {
    uint64_t entries_ram;     /* entries in RAM */
    uint64_t entries_spilled; /* entries on disk only */
    uint64_t bytes_ram;       /* key and value bytes of the entries in RAM */
    uint64_t bytes_spilled;   /* key and value bytes of the entries on disk only */

    uint64_t hits;          /* gets answered from RAM */
    uint64_t misses;        /* gets that found nothing */
    uint64_t spilled_reads; /* gets answered from disk */
    uint64_t wasted_reads;  /* disk reads that turned out to be another key */
    uint64_t sets;          /* sets that succeeded */
    uint64_t dels;          /* deletes that found their key */

    uint64_t promotions;      /* entries that came back to RAM on a get */
    uint64_t spills;          /* entries written to disk */
    uint64_t clean_evictions; /* entries that left RAM without a write: their copy was valid */
    uint64_t drops;           /* entries dropped for room (SPILLKV_FULL_DROP) */
    uint64_t examined;        /* entries examined for spilling */
    uint64_t compactions;     /* disk segments emptied by compaction */

    uint64_t ram_segments;  /* RAM segments in use */
    uint64_t disk_segments; /* disk segments that hold live entries */
    uint64_t file_bytes;    /* size of the shard files */
    uint64_t live_bytes;    /* bytes on disk that are still pointed at, clean copies too */
    uint64_t helped;        /* sets and pins that had to free memory themselves */
    uint64_t garbage_ram;   /* bytes of overwritten and deleted entries in RAM segments */
    uint64_t pinned;        /* values pinned now, by every pin counted */
    uint64_t reserved[6];   /* 0 */
} spillkv_counters;

/** What spillkv_stats() reports. */
typedef struct spillkv_stats_data {
    uint32_t shards;           /* number of shards */
    uint32_t spillers;         /* number of spiller threads */
    uint64_t max_mem;          /* the limit; 0: unbounded */
    spillkv_memory memory;     /* what is charged against it */
    spillkv_counters total;    /* all shards together */
    spillkv_status last_error; /* the latest failure in the background, SPILLKV_OK if none */
    uint32_t failing;          /* shards whose latest attempt to spill failed */
    uint64_t process_rss;      /* anonymous memory that the whole process has in RAM, as the system
                                  counts it (RssAnon); 0 if unknown */
    uint64_t reserved[15];     /* 0 */
} spillkv_stats_data;

/**
 * Reports counters and memory. Each shard is read at one moment, but not all at the same.
 *
 * @param out  filled in whole; zeroed on failure
 * @return SPILLKV_OK; SPILLKV_EINVAL
 * Cost:   O(shards).
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_stats(spillkv *kv, spillkv_stats_data *out);

/**
 * Reports the counters of one shard.
 *
 * @param shard  0 .. number of shards - 1
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_shard_stats(spillkv *kv, uint32_t shard,
                                                                  spillkv_counters *out);

/**
 * What spillkv_advise() reports: how many gets RAM would have answered with more memory or less.
 *
 * Counts are since open; what differs between two calls is of the time between them.
 */
typedef struct spillkv_advice {
    uint64_t max_mem;      /* at the moment */
    uint64_t gets;         /* that found their key, in RAM or on disk; with SPILLKV_FULL_DROP all */
    uint64_t hits;         /* of these: answered from RAM; counted, not estimated */
    uint64_t hits_half;    /* estimated, had max_mem been half of what it was all the time, */
    uint64_t hits_twice;   /* twice, */
    uint64_t hits_four;    /* four times */
    uint64_t samples;      /* gets that the estimates rest on; with some thousands they are good */
    uint64_t sampled_keys; /* keys that are simulated at the moment */
    uint64_t reserved[8];  /* 0 */
} spillkv_advice;

/**
 * Tells what other sizes of max_mem would change: hits_twice / gets is the hit ratio with twice as
 * much.
 *
 * A sample of the keys is simulated at each size while the store works. On 13 published traces the
 * estimates are within 3 points of the truth, in the mean within 0.4; for loops over keys that
 * nearly fit they are not as good (bench/README.md). A store that was opened without a limit, or
 * whose entries cannot leave RAM, or with less than 2 MiB for each shard does not simulate: samples
 * is 0, and no size changes anything.
 *
 * @param out  filled in whole; zeroed on failure
 * @return SPILLKV_OK; SPILLKV_EINVAL
 * Cost:   O(shards). The simulation takes some 35 to 90 KiB of max_mem for each shard, and time for
 *         calls with sampled keys only: one in thousands where there are millions of keys, every
 *         one while there are a few hundred.
 */
SPILLKV_API SPILLKV_MUST_CHECK spillkv_status spillkv_advise(spillkv *kv, spillkv_advice *out);

#ifdef __cplusplus
}
#endif

#endif
