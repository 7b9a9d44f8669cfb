/* SPDX-License-Identifier: MIT */
#include "chain_map.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CHAINS_FIRST ((size_t)16)

bool chain_map_init(struct chain_map *map)
{
    *map = (struct chain_map){.mask = CHAINS_FIRST - 1};
    map->chains = calloc(CHAINS_FIRST, sizeof(struct chain_node *));
    return map->chains != NULL;
}

void chain_map_fini(struct chain_map *map)
{
    for (size_t i = 0; map->chains != NULL && i <= map->mask; i++) {
        struct chain_node *node = map->chains[i];
        while (node != NULL) {
            struct chain_node *const next = node->next;
            free(node);
            node = next;
        }
    }
    free(map->chains);
    *map = (struct chain_map){0};
}

uint64_t chain_map_hash(const void *key, size_t size)
{
    return XXH3_64bits(key, size);
}

/* Where the pointer to the node of a key is, or would be. */
static struct chain_node **place_of(const struct chain_map *map, uint64_t hash, const void *key,
                                    size_t size)
{
    struct chain_node **place = &map->chains[hash & map->mask];
    while (*place != NULL && ((*place)->hash != hash || (*place)->key_size != size ||
                              memcmp((*place)->bytes, key, size) != 0)) {
        place = &(*place)->next;
    }
    return place;
}

struct chain_node *chain_map_find(const struct chain_map *map, uint64_t hash, const void *key,
                                  size_t size)
{
    return *place_of(map, hash, key, size);
}

/* Twice as many chains; all stays as it is when memory ran out. */
static void grow(struct chain_map *map)
{
    const size_t chains = 2 * (map->mask + 1);
    struct chain_node **const grown = calloc(chains, sizeof(struct chain_node *));
    if (grown == NULL) {
        return;
    }
    for (size_t i = 0; i <= map->mask; i++) {
        struct chain_node *node = map->chains[i];
        while (node != NULL) {
            struct chain_node *const next = node->next;
            struct chain_node **const chain = &grown[node->hash & (chains - 1)];
            node->next = *chain;
            *chain = node;
            node = next;
        }
    }
    free(map->chains);
    map->chains = grown;
    map->mask = chains - 1;
}

struct chain_node *chain_map_set(struct chain_map *map, uint64_t hash, const void *key,
                                 size_t key_size, const void *value, size_t value_size)
{
    struct chain_node **place = place_of(map, hash, key, key_size);
    struct chain_node *const old = *place;
    if (old != NULL && old->value_size == value_size) {
        memcpy(old->bytes + key_size, value, value_size);
        return old;
    }
    struct chain_node *const node = malloc(sizeof *node + key_size + value_size);
    if (node == NULL) {
        return NULL;
    }
    *node = (struct chain_node){.hash = hash,
                                .key_size = (uint32_t)key_size,
                                .value_size = (uint32_t)value_size,
                                .uses = old != NULL ? old->uses : 0,
                                .next = old != NULL ? old->next : NULL};
    memcpy(node->bytes, key, key_size);
    memcpy(node->bytes + key_size, value, value_size);
    *place = node;
    free(old);
    map->count += old == NULL;
    if (map->count > map->mask + 1) {
        grow(map);
    }
    return node;
}

bool chain_map_remove(struct chain_map *map, uint64_t hash, const void *key, size_t size)
{
    struct chain_node **const place = place_of(map, hash, key, size);
    struct chain_node *const node = *place;
    if (node == NULL) {
        return false;
    }
    *place = node->next;
    free(node);
    map->count--;
    return true;
}
