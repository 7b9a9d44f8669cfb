/* SPDX-License-Identifier: MIT */
/**
 * A hash map as textbooks have it: an array of chains, a node with key and value allocated for each
 * entry, twice as many chains when there are more nodes than those. Threads: the caller serialises.
 */
#ifndef BENCH_CHAIN_MAP_H
#define BENCH_CHAIN_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain_node {
    struct chain_node *next;
    uint64_t hash;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t uses;   /* for the owner of the map; 0 in a new node, kept when a value changes */
    uint8_t bytes[]; /* key, value */
};

struct chain_map {
    struct chain_node **chains;
    size_t mask; /* chains - 1 */
    size_t count;
};

/** @return false when memory ran out; the map is then empty */
bool chain_map_init(struct chain_map *map);
/** Frees all nodes; one of zeroes is allowed. */
void chain_map_fini(struct chain_map *map);

/** XXH3 of a key. */
uint64_t chain_map_hash(const void *key, size_t size);

static inline const uint8_t *chain_node_value(const struct chain_node *node)
{
    return node->bytes + node->key_size;
}

/** The node of a key; NULL if there is none. Valid until the key is set or removed. */
struct chain_node *chain_map_find(const struct chain_map *map, uint64_t hash, const void *key,
                                  size_t size);

/** Adds or replaces; returns the node, or NULL when memory ran out and nothing changed. */
struct chain_node *chain_map_set(struct chain_map *map, uint64_t hash, const void *key,
                                 size_t key_size, const void *value, size_t value_size);

/** Removes a key; false if it is not there. */
bool chain_map_remove(struct chain_map *map, uint64_t hash, const void *key, size_t size);

#endif
