/* SPDX-License-Identifier: MIT */
/**
 * A shard with a budget and a directory of its own, and checks that are too slow or need too much
 * for the library itself.
 */
#ifndef SKV_TESTS_SUPPORT_SHARD_H
#define SKV_TESTS_SUPPORT_SHARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/shard_private.h"
#include "support/tempdir.h"

#define ONE_SHARD_SEED 42

struct one_shard {
    struct skv_shard *shard;
    struct skv_budget budget;
    struct skv_secret secret;
    struct skv_log log;
    _Atomic uint64_t clock;
    struct tempdir dir;
    char file[PATH_MAX + 256];
    char logged[256]; /* the latest message */
    unsigned log_count;
};

struct one_shard_options {
    enum skv_shard_mode mode;
    uint64_t limit;       /* of the budget; 0: 2 MiB */
    size_t segment_bytes; /* 0: 16 KiB */
    uint32_t group_count; /* 0: 64 */
    uint32_t shard_bits;
    uint32_t batch_segments; /* 0: 8 */
    const char *vfs;
};

/** Opens; fails the test if that fails. */
void one_shard_open(struct one_shard *one, const struct one_shard_options *options);
/** Closes, and fails the test if anything stays charged or lies about. */
void one_shard_close(struct one_shard *one);

struct skv_key one_shard_key(const struct one_shard *one, const void *key, size_t size);

/* Keys and values of support/model.h, by number and version. */

/* A set as callers do it, which may end in the inbox; and one that is applied in any case. */
spillkv_status one_shard_accept(struct one_shard *one, uint32_t number, uint64_t version,
                                size_t size);
spillkv_status one_shard_set(struct one_shard *one, uint32_t number, uint64_t version, size_t size);
spillkv_status one_shard_del(struct one_shard *one, uint32_t number);
/** A get; SPILLKV_ECORRUPT when the value is not the one of that version and size. */
spillkv_status one_shard_get(struct one_shard *one, uint32_t number, uint64_t version, size_t size);
/** The same that counts as no use. */
spillkv_status one_shard_peek(struct one_shard *one, uint32_t number, uint64_t version,
                              size_t size);
/** As spillkv_set(): spills until there is room. */
spillkv_status one_shard_put(struct one_shard *one, uint32_t number, uint64_t version, size_t size);

/** Spills until nothing is left in RAM or nothing more can be done. */
spillkv_status one_shard_spill_all(struct one_shard *one);
/** Compacts until the shard wants no more; returns the steps, or `most` when it still wants. */
unsigned one_shard_compact_all(struct one_shard *one, unsigned most);

bool one_shard_in_ram(struct one_shard *one, uint32_t number);
bool one_shard_on_disk(struct one_shard *one, uint32_t number);
/** The place of a key's copy on disk, whether it is in RAM too or not; 0: none. */
uint64_t one_shard_place(struct one_shard *one, uint32_t number);
spillkv_counters one_shard_counters(struct one_shard *one);

/**
 * Everything skv_shard_check() checks, and that every entry on disk, clean copies too, can be read
 * and is where its slot says, and that the sums of live and spilled bytes are right. Fails the test
 * if not. No other thread may use the shard but for spilling it.
 */
void shard_check_deeply(struct skv_shard *shard);

/* A spill or a compaction in a thread of its own. */

struct spill_thread {
    pthread_t thread;
    struct skv_shard *shard;
    bool compacts;
    spillkv_status status; /* out */
    bool worked;           /* out */
};

void spill_thread_start(struct spill_thread *spill, struct skv_shard *shard, bool compacts);
spillkv_status spill_thread_join(struct spill_thread *spill);

#endif
