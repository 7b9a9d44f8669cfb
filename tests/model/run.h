/* SPDX-License-Identifier: MIT */
/* A store beside a plain array that holds all it should; random calls, each checked. */
#ifndef SKV_TESTS_MODEL_RUN_H
#define SKV_TESTS_MODEL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "support/model.h"
#include "support/tempdir.h"

#define VALUE_MOST ((size_t)600 << 10)

struct setting {
    bool spills;
    spillkv_on_full on_full;
    uint32_t shards;
    uint64_t max_mem;
    uint32_t numbers; /* keys */
    uint32_t steps;
    uint32_t check_every;
    uint32_t large_one_in; /* a value of up to VALUE_MOST bytes */
    unsigned tag_bits;     /* not 0: groups so few, and tags cut so short */
};

/* A value that is pinned for some steps. */
struct held {
    spillkv_pinned pinned; /* none when its value is NULL */
    uint32_t number;
    uint64_t version;
    size_t size;
};

#define HELD      4
#define HELD_SIZE ((size_t)2000) /* larger ones could hold all memory */

struct run {
    const struct setting *setting;
    struct tempdir dir;
    spillkv *kv;
    struct model model;
    uint64_t random;
    uint64_t version;
    uint8_t *key;
    uint8_t *value;
    bool drops;
    bool *visited;
    struct held held[HELD];
    uint32_t step;
};

typedef spillkv_status many_fn(spillkv *kv, spillkv_item *items, size_t count);

uint32_t run_dice(struct run *run, uint32_t sides);

/** What a read must come to; in a store that drops, an entry may be gone. */
bool run_is_there(struct run *run, uint32_t number, spillkv_status status);
void run_expect_value(struct run *run, uint32_t number, const uint8_t *value, size_t size);
/** Ends a pin: its value is still the one that was pinned. */
void run_let_go(struct run *run, struct held *held);

/** One call, or some, with a random key. */
void run_set(struct run *run);
void run_get(struct run *run);
void run_get_copy(struct run *run);
void run_pin(struct run *run);
void run_try(struct run *run);
void run_del(struct run *run);
void run_has(struct run *run);
void run_many(struct run *run, many_fn *many);

#endif
