/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A shard costs half a megabyte before it holds anything (SQLite, a batch, its journal), so
 * there are as many shards as processors can make use of, but each has a share that makes this
 * little: at 64 MiB two shards, which leaves 95 % of it to entries and slots.
 */
#include "engine/sizes.h"

#include <unistd.h>

#include "base/alloc.h"

/** A shard should have so much memory at least, or there should be fewer shards. */
#define SHARE_WANTED ((uint64_t)32 << 20)
/** With this much it gets the largest RAM segments, with that much the middle ones. */
#define SHARE_LARGE        ((uint64_t)64 << 20)
#define SHARE_MIDDLE       ((uint64_t)8 << 20)
#define SHARDS_PER_CPU     4
#define SHARDS_CHOSEN_MOST 64
/** Groups of a shard's table without a limit: fine for some 30 million keys a shard. */
#define GROUPS_UNBOUNDED 8192
/** With less memory a shard does without simulating other sizes. */
#define ADVISE_SHARE_LEAST ((uint64_t)2 << 20)
/** Records of the simulation: of a shard at least and at most, and of a store if that allows it. */
#define ADVISE_RECORD_BYTES 16
#define ADVISE_LEAST        ((uint64_t)1024)
#define ADVISE_MOST         ((uint64_t)4096)
#define ADVISE_RECORDS      ((uint64_t)8192)
/** Kept back from every limited store, with a 256th of it. */
#define RESERVE_LEAST ((uint64_t)32 << 10)

static uint32_t cpu_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 1024 ? 1024 : (uint32_t)count;
}

/** The smallest power of two that is not below n, in bits. */
static uint32_t bits_for(uint64_t n)
{
    uint32_t bits = 0;
    while (((uint64_t)1 << bits) < n) {
        bits++;
    }
    return bits;
}

static uint32_t choose_shard_bits(const spillkv_options *options)
{
    if (options->shards != 0) {
        return bits_for(options->shards);
    }
    uint32_t wanted = cpu_count() * SHARDS_PER_CPU;
    wanted = wanted > SHARDS_CHOSEN_MOST ? SHARDS_CHOSEN_MOST : wanted;
    uint32_t bits = bits_for(wanted);
    while (bits > 0 && options->max_mem != 0 && options->max_mem >> bits < SHARE_WANTED) {
        bits--;
    }
    return bits;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/** A 128th of the share, and no more than 128 KiB in all but where there are many shards. */
static uint32_t choose_advise_records(uint64_t share, uint32_t shards)
{
    if (share < ADVISE_SHARE_LEAST) {
        return 0;
    }
    const uint64_t fair = clamp(ADVISE_RECORDS / shards, ADVISE_LEAST, ADVISE_MOST);
    const uint64_t wanted = clamp(share / 128 / ADVISE_RECORD_BYTES, ADVISE_LEAST / 2, fair);
    return (uint32_t)1 << (bits_for(wanted + 1) - 1);
}

struct skv_sizes skv_sizes_choose(const spillkv_options *options)
{
    struct skv_sizes sizes = {
        .mode = options->path != NULL                   ? SKV_SHARD_SPILL
                : options->on_full == SPILLKV_FULL_DROP ? SKV_SHARD_DROP
                                                        : SKV_SHARD_KEEP,
        .shard_bits = choose_shard_bits(options),
    };
    sizes.shards = (uint32_t)1 << sizes.shard_bits;
    const uint64_t share = options->max_mem >> sizes.shard_bits;
    sizes.segment_bytes = share == 0 || share >= SHARE_LARGE ? (size_t)64 << 10
                          : share >= SHARE_MIDDLE            ? (size_t)32 << 10
                                                             : (size_t)16 << 10;
    /* Runs of buckets have fine steps up to a tenth of a segment; so many groups that half of the
       share as slots still makes runs of that length. */
    const uint64_t groups = share / (sizes.segment_bytes / 4);
    sizes.groups = share == 0 ? GROUPS_UNBOUNDED
                              : (uint32_t)1 << (bits_for(clamp(groups, 16, 1u << 20) + 1) - 1);
    sizes.batch_segments = share == 0 ? 16 : (uint32_t)clamp(share / 128 / 8192, 4, 16);
    sizes.cache_bytes =
        share == 0 ? (uint64_t)1 << 20 : clamp(share / 64, (uint64_t)128 << 10, (uint64_t)64 << 20);
    const bool limited = options->max_mem != 0 && sizes.mode != SKV_SHARD_KEEP;
    sizes.advise_records = limited ? choose_advise_records(share, sizes.shards) : 0;
    sizes.spillers = !limited                 ? 0
                     : options->spillers != 0 ? options->spillers
                                              : (uint32_t)clamp(cpu_count() / 4, 1, 4);
    if (sizes.mode != SKV_SHARD_SPILL) {
        sizes.batch_segments = 0;
    }
    return sizes;
}

/** What is not leased: SQLite's memory and growing arrays are charged when they have grown already,
 *  and must not take the account past max_mem. */
static uint64_t reserve(uint64_t max_mem)
{
    const uint64_t wanted = max_mem / 256 + RESERVE_LEAST;
    return wanted < max_mem ? wanted : max_mem - 1;
}

uint64_t skv_sizes_limit(uint64_t max_mem)
{
    return max_mem == 0 ? 0 : max_mem - reserve(max_mem);
}

uint64_t skv_sizes_max_mem(uint64_t limit)
{
    uint64_t max_mem = limit + limit / 255 + RESERVE_LEAST;
    while (skv_sizes_limit(max_mem) < limit) {
        max_mem++;
    }
    return max_mem;
}

bool skv_sizes_are_enough(const spillkv_options *options, const struct skv_sizes *sizes)
{
    const uint64_t shard =
        skv_shard_fixed_bytes(sizes->groups, sizes->batch_segments, sizes->advise_records) +
        SKV_SHARD_SEGMENTS_LEAST * sizes->segment_bytes;
    return options->max_mem == 0 ||
           skv_sizes_limit(options->max_mem) >= skv_pages_metadata_bytes(options->max_mem) +
                                                    sizes->shards * shard +
                                                    sizes->spillers * SKV_SPILLER_STACK_BYTES;
}
