/* SPDX-License-Identifier: MIT */
/**
 * What would more memory buy: a shard in miniature, at four sizes at once.
 *
 * Keys whose hash is below a threshold are sampled. Of them it is simulated which the shard would
 * keep in RAM with half, one, two and four times its memory, all scaled down by the part of the
 * keys that is sampled. Only how the simulations differ is believed, so what all do wrong cancels.
 *
 *      63            24 23     0
 *     +----------------+--------+
 *     |  hash, low 40  |size, 24|      a record; the size in units of 8 bytes; 0: no record
 *     +----------------+--------+
 *     | 13 bits for each of the sizes: those of the policy, and whether the entry is in RAM |
 *
 * The records never take more room: when there are too many the threshold falls. A record goes when
 * its key would be in RAM at none of the sizes: if it is used again, the history in its slot is as
 * good as the one that was lost.
 *
 * Threads: none here; the caller serialises.
 * Source:  Waldspurger, Saemundsson, Ahmad, Park, "Cache Modeling and Optimization using Miniature
 *          Simulations", USENIX ATC 2017; the falling threshold: Waldspurger, Park, Garthwaite,
 *          Ahmad, "Efficient MRC Construction with SHARDS", FAST 2015.
 */
#ifndef SKV_TABLE_ADVISE_H
#define SKV_TABLE_ADVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "table/lesson.h"
#include "table/policy.h"
#include "table/sample.h"

/** The sizes that are simulated, each twice the one before. */
enum skv_advise_size {
    SKV_ADVISE_HALF,
    SKV_ADVISE_ONE,
    SKV_ADVISE_TWICE,
    SKV_ADVISE_FOUR,
    SKV_ADVISE_SIZES
};

/** Records that there is room for at least and at most: a power of two. */
#define SKV_ADVISE_RECORDS_LEAST 64u
#define SKV_ADVISE_RECORDS_MOST  4096u

struct skv_advise_record {
    uint64_t key; /* hash and size */
    uint16_t bits[SKV_ADVISE_SIZES];
};

/** One of the simulations. */
struct skv_advise_ram {
    struct skv_policy policy; /* its clock */
    uint64_t capacity;        /* units, of the shard: not scaled down */
    uint64_t used;            /* units, of the residents */
    uint32_t residents;
    uint32_t hand;  /* the place where examining goes on */
    uint32_t sweep; /* and where old ages are looked for */
    double misses;  /* of gets, each for as many keys as a sampled one stands for */
};

struct skv_advise {
    struct skv_sample sample;
    struct skv_advise_record *records;
    struct skv_lesson *lessons; /* for each size; NULL: the scores are those of the shard */
    uint32_t mask;              /* places for records - 1 */
    uint32_t most;              /* records at most */
    uint32_t count;             /* records */
    bool is_full;     /* the largest size let go of something: what is not known was not in RAM */
    uint64_t samples; /* gets that were counted */
    struct skv_advise_ram rams[SKV_ADVISE_SIZES];
};

/** A sampled key as the shard has it. */
struct skv_advise_key {
    uint64_t hash;
    size_t bytes;                    /* of the entry */
    const struct skv_policy *policy; /* of the shard */
    uint32_t bits;                   /* of the slot, before this use */
    uint64_t keys;                   /* that the shard has, sampled or not; 0: not known */
};

/** Bytes that skv_advise_init() allocates. */
size_t skv_advise_bytes(uint32_t records, bool learns);
/**
 * Samples all keys from now on; capacities are 0 until they are set.
 *
 * @param records  a power of two, SKV_ADVISE_RECORDS_LEAST to SKV_ADVISE_RECORDS_MOST
 * @param learns   whether the shard's scores are learned
 * @return false when there is no memory: nothing is sampled
 */
SKV_MUST_CHECK bool skv_advise_init(struct skv_advise *advise, uint32_t records, bool learns,
                                    uint64_t seed);
/** Nothing is sampled any more. Zeroed is fine. */
void skv_advise_fini(struct skv_advise *advise);

/** Whether a key is sampled. Of others nothing needs to be told. */
static inline bool skv_advise_samples(const struct skv_advise *advise, uint64_t hash)
{
    return skv_sample_has(&advise->sample, hash);
}

/** How many bytes of entries the shard would have in RAM at each of the sizes. */
void skv_advise_set_capacities(struct skv_advise *advise, const uint64_t bytes[SKV_ADVISE_SIZES]);

/** A get found the key, in RAM or spilled. */
void skv_advise_get(struct skv_advise *advise, const struct skv_advise_key *key);
/** A key that was not there is set. */
void skv_advise_insert(struct skv_advise *advise, const struct skv_advise_key *key);
/** A key that was there is set. */
void skv_advise_overwrite(struct skv_advise *advise, const struct skv_advise_key *key);
/** A get did not find the key in a shard that drops entries: one with more memory may have it. */
void skv_advise_missed(struct skv_advise *advise, uint64_t hash);
/** The key's entry is not for RAM, whatever the size. */
void skv_advise_leave(struct skv_advise *advise, uint64_t hash);
/** The key is deleted. */
void skv_advise_del(struct skv_advise *advise, uint64_t hash);
/** All keys are deleted. What was counted stays. */
void skv_advise_clear(struct skv_advise *advise);

/**
 * The hits to be expected at each size.
 *
 * @param misses  of the simulations, of all shards together
 * @param gets    that were counted, of them `hits` from RAM
 */
void skv_advise_expect(const double misses[SKV_ADVISE_SIZES], double gets, double hits,
                       double expected[SKV_ADVISE_SIZES]);

/** Aborts unless records and sums agree; returns true. */
bool skv_advise_check(const struct skv_advise *advise);

#endif
