/* SPDX-License-Identifier: MIT */
/**
 * Threads that call a store in every way, on few keys, and write down what they saw.
 */
#ifndef LINEAR_PLAY_H
#define LINEAR_PLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spillkv/spillkv.h>

#include "linear/history.h"

/** Keys are numbered below this. */
#define PLAY_KEYS 128u

/** What the threads of a round share. */
struct play {
    spillkv *kv;
    uint64_t max_mem;    /* that the store was opened with */
    uint64_t operations; /* calls to make */
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t clock;    /* of the history */
    atomic_uint_fast64_t versions; /* values that were made */
    atomic_uint_fast64_t refused;  /* calls that came to SPILLKV_EFULL */
    atomic_uint_fast64_t failures; /* calls that failed else, values that were never set */
};

/** A thread. */
struct player {
    struct play *play;
    struct history_log log;
    uint64_t random;
    uint8_t *key;
    uint8_t *value;
    uint8_t *batch_keys;
    uint8_t *batch_values;
    bool visited[PLAY_KEYS]; /* by the iteration that is going on */
    uint64_t moment;         /* the iteration's latest */
};

void player_init(struct player *player, struct play *play, uint32_t thread, uint64_t random);
void player_fini(struct player *player);

/** Body of a thread, its context a struct player: random calls until all are made. */
void *player_run(void *context);

/** When nobody else works: gets every key, and compares the count with what was found. */
void player_look_at_all(struct player *player);

#endif
