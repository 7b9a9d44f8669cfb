/* SPDX-License-Identifier: MIT */
/**
 * One shard without an engine around it: nothing spills but when it is told to.
 */
#ifndef BENCH_MICRO_SHARD_H
#define BENCH_MICRO_SHARD_H

#include "micro.h"
#include "shard/shard.h"

/** Disk segments that a transaction writes, as in a store with 32 MiB and more for each shard. */
#define MICRO_BATCH_SEGMENTS 32u

struct micro_shard {
    char *folder;
    char *file;
    struct skv_budget budget; /* without a limit */
    struct skv_secret secret;
    _Atomic uint64_t clock;
    struct skv_shard *shard;
};

/** Opens a shard for so many entries; false after a message. */
bool micro_shard_open(struct micro_shard *one, const struct micro *micro, uint64_t entries);
void micro_shard_close(struct micro_shard *one);

/** Sets entries 0 .. entries - 1; false after a message. */
bool micro_shard_fill(struct micro_shard *one, const struct micro *micro, uint64_t entries);

/** Reads an entry and compares it; false after a message. */
bool micro_shard_check(struct micro_shard *one, const uint8_t *key, bool peek);

/** Spills until `most` entries are in RAM, or no more can be; false after a message. */
bool micro_shard_spill(struct micro_shard *one, uint64_t most);

/** The same by batches of what is too much, as a store does it that is full. */
bool micro_shard_free(struct micro_shard *one, uint64_t most);

spillkv_counters micro_shard_counters(struct micro_shard *one);

#endif
