/* SPDX-License-Identifier: MIT */
/**
 * The hash of keys and the checksum of spilled entries: XXH3-64, inlined from xxhash.h.
 *
 * Keys are hashed with a secret drawn at random for every store, so nobody outside can choose keys
 * that collide. Source: https://xxhash.com, XXH3_64bits_withSecret().
 */
#ifndef SKV_BASE_HASH_H
#define SKV_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/attributes.h"

#define SKV_SECRET_BYTES 192

struct skv_secret {
    uint8_t bytes[SKV_SECRET_BYTES]; /* constant after init */
};

/** Derives the secret from seed, or from the system's random numbers when seed is 0; false when the
 *  system has none. */
SKV_MUST_CHECK bool skv_secret_init(struct skv_secret *secret, uint64_t seed);

static inline uint64_t skv_hash(const struct skv_secret *secret, const void *key, size_t size)
{
    return XXH3_64bits_withSecret(key, size, secret->bytes, SKV_SECRET_BYTES);
}

/** A number that differs from store to store, for checksums. */
static inline uint64_t skv_secret_seed(const struct skv_secret *secret)
{
    return skv_hash(secret, "checksum", 8);
}

#endif
