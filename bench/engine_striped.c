/* SPDX-License-Identifier: MIT */
/**
 * Many chained hash maps, each behind a mutex, all in RAM: what one would write first without a
 * disk, and the reference for how fast a hot key can be. It takes no budget.
 *
 * A get has two cache misses beside the lock: the chain and the node, which holds key and value.
 * That is less than std::unordered_map<std::string, std::string> has.
 */
#include <error.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "chain_map.h"
#include "engine.h"

#define STRIPES     256u
#define STRIPE_BITS 8
#define CACHE_LINE  64

struct stripe {
    alignas(2 * CACHE_LINE) pthread_mutex_t lock;
    struct chain_map map; /* guarded by lock */
};

static bool close_map(void *db)
{
    struct stripe *const stripes = db;
    for (unsigned i = 0; i < STRIPES; i++) {
        chain_map_fini(&stripes[i].map);
        pthread_mutex_destroy(&stripes[i].lock);
    }
    free(stripes);
    return true;
}

static void *open_map(const struct engine_options *options)
{
    (void)options;
    struct stripe *const stripes = aligned_alloc(alignof(struct stripe), STRIPES * sizeof *stripes);
    bool made = stripes != NULL;
    if (made) {
        memset(stripes, 0, STRIPES * sizeof *stripes);
        for (unsigned i = 0; i < STRIPES; i++) {
            pthread_mutex_init(&stripes[i].lock, NULL);
            made = chain_map_init(&stripes[i].map) && made;
        }
    }
    if (!made) {
        error(0, 0, "striped: out of memory");
        if (stripes != NULL) {
            close_map(stripes);
        }
        return NULL;
    }
    return stripes;
}

/* Chosen by other bits of the hash than the chain is. */
static struct stripe *stripe_of(void *db, uint64_t hash)
{
    return (struct stripe *)db + (hash >> (64 - STRIPE_BITS));
}

static bool set(void *handle, const void *key, size_t key_size, const void *value,
                size_t value_size)
{
    const uint64_t hash = chain_map_hash(key, key_size);
    struct stripe *const stripe = stripe_of(handle, hash);
    pthread_mutex_lock(&stripe->lock);
    const bool stored = chain_map_set(&stripe->map, hash, key, key_size, value, value_size) != NULL;
    pthread_mutex_unlock(&stripe->lock);
    if (!stored) {
        error(0, 0, "striped: out of memory");
    }
    return stored;
}

static enum engine_answer get(void *handle, const void *key, size_t key_size, void *buffer,
                              size_t capacity, size_t *size_out)
{
    const uint64_t hash = chain_map_hash(key, key_size);
    struct stripe *const stripe = stripe_of(handle, hash);
    enum engine_answer answer = ENGINE_MISSING;
    pthread_mutex_lock(&stripe->lock);
    const struct chain_node *const node = chain_map_find(&stripe->map, hash, key, key_size);
    if (node != NULL) {
        *size_out = node->value_size;
        answer = node->value_size <= capacity ? ENGINE_FOUND : ENGINE_FAILED;
    }
    if (answer == ENGINE_FOUND) {
        memcpy(buffer, chain_node_value(node), node->value_size);
    }
    pthread_mutex_unlock(&stripe->lock);
    return answer;
}

static enum engine_answer del(void *handle, const void *key, size_t key_size)
{
    const uint64_t hash = chain_map_hash(key, key_size);
    struct stripe *const stripe = stripe_of(handle, hash);
    pthread_mutex_lock(&stripe->lock);
    const bool removed = chain_map_remove(&stripe->map, hash, key, key_size);
    pthread_mutex_unlock(&stripe->lock);
    return removed ? ENGINE_FOUND : ENGINE_MISSING;
}

static bool flush(void *db)
{
    (void)db;
    return true;
}

const struct engine engine_striped = {
    .name = "striped",
    .about = "256 chained hash maps, each behind a mutex, all in RAM",
    .unbounded = true,
    .open = open_map,
    .set = set,
    .get = get,
    .del = del,
    .flush = flush,
    .close = close_map,
};
