/* SPDX-License-Identifier: MIT */
/**
 * What a store should hold: a plain array by number of the key, and keys and values that are known
 * by their numbers alone.
 *
 * Knows nothing of the library. Threads: the caller serialises, but for the functions that only
 * make and compare bytes.
 */
#ifndef SKV_TESTS_SUPPORT_MODEL_H
#define SKV_TESTS_SUPPORT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest key that model_key() makes. */
#define MODEL_KEY_MAX 65535

struct model_entry {
    bool present;
    uint64_t version; /* of the value */
    size_t size;      /* of the value */
};

struct model {
    struct model_entry *entries; /* by number */
    uint32_t numbers;
    uint64_t count; /* present */
    uint64_t bytes; /* of the keys and values that are present */
};

void model_init(struct model *model, uint32_t numbers);
void model_fini(struct model *model);
void model_set(struct model *model, uint32_t number, uint64_t version, size_t size);
void model_del(struct model *model, uint32_t number);
void model_clear(struct model *model);

/** Writes the key of a number, mostly 12 to 40 bytes, now and then long; returns its size. */
size_t model_key(uint32_t number, uint8_t *key);
size_t model_key_size(uint32_t number);
/** The number of a key that model_key() made, or UINT32_MAX. */
uint32_t model_number(const uint8_t *key, size_t size);

/** The bytes of a value. */
void model_value(uint32_t number, uint64_t version, uint8_t *value, size_t size);
bool model_value_is(uint32_t number, uint64_t version, const uint8_t *value, size_t size);

/** A generator of random numbers; any state is fine. */
uint64_t model_random(uint64_t *state);
/** The seed of a test: SPILLKV_SEED, or else the one given; printed. */
uint64_t model_seed(const char *test, uint64_t seed);

#endif
