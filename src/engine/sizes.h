/* SPDX-License-Identifier: MIT */
/** What a store decides before it builds anything, from its options and the processors. */
#ifndef SKV_ENGINE_SIZES_H
#define SKV_ENGINE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "shard/shard.h"

/** Stack that a spiller thread touches. */
#define SKV_SPILLER_STACK_BYTES ((uint64_t)64 << 10)

struct skv_sizes {
    enum skv_shard_mode mode;
    uint32_t shards;
    uint32_t shard_bits;
    uint32_t groups;         /* of each shard's table */
    uint32_t batch_segments; /* disk segments in a transaction */
    uint32_t advise_records; /* of each shard, for what other sizes would do; 0: none */
    uint32_t spillers;
    size_t segment_bytes; /* of RAM segments */
    uint64_t cache_bytes; /* of each SQLite connection */
};

struct skv_sizes skv_sizes_choose(const spillkv_options *options);

/** The budget's limit for a max_mem: a little less, 0 for 0. */
uint64_t skv_sizes_limit(uint64_t max_mem);
/** The least max_mem whose limit is so much. */
uint64_t skv_sizes_max_mem(uint64_t limit);

/** Whether max_mem holds what an empty store takes, and some entries. */
bool skv_sizes_are_enough(const spillkv_options *options, const struct skv_sizes *sizes);

#endif
