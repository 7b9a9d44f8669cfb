/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A key never changes its group, so visiting the groups one after the other visits every
 * key once, whatever happens meanwhile. Of one group the keys in RAM are copied and the places of
 * the spilled ones noted, all at one moment under the lock; then the spilled keys are read. While
 * that goes on `scans` is raised: no segment id is reused, no row deleted, so a noted place holds
 * what it held, even if its entry has been overwritten, promoted or moved since. Only keys are
 * collected: values are fetched when they are visited, so a scan needs little memory and sees what
 * is true then.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "shard/shard_private.h"

/** The keys of a group: sizes and bytes one after the other, places of the spilled ones. */
struct collection {
    uint8_t *keys;
    size_t keys_bytes;
    size_t keys_capacity;
    uint64_t *places;
    size_t place_count;
    size_t place_capacity;
};

/** What a group needs: bytes for the resident keys, places for the spilled ones. */
static void measure_locked(const struct skv_shard *shard, const uint64_t *slots, size_t count,
                           size_t *bytes, size_t *places)
{
    *bytes = 0;
    *places = 0;
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == 0) {
            continue;
        }
        if (skv_slot_on_disk(slots[i])) {
            (*places)++;
            continue;
        }
        const uint8_t *const entry = skv_ram_at(&shard->ram, skv_slot_locator(slots[i]));
        *bytes += sizeof(uint32_t) + skv_header_key_size(skv_entry_header(entry));
    }
}

static void collect_locked(const struct skv_shard *shard, const uint64_t *slots, size_t count,
                           struct collection *to)
{
    to->keys_bytes = 0;
    to->place_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == 0) {
            continue;
        }
        SKV_CHECK(to->keys != NULL && to->places != NULL);
        if (skv_slot_on_disk(slots[i])) {
            to->places[to->place_count++] = skv_slot_locator(slots[i]);
            continue;
        }
        const uint8_t *const entry = skv_ram_at(&shard->ram, skv_slot_locator(slots[i]));
        const uint64_t header = skv_entry_header(entry);
        const uint32_t size = (uint32_t)skv_header_key_size(header);
        memcpy(to->keys + to->keys_bytes, &size, sizeof(size));
        memcpy(to->keys + to->keys_bytes + sizeof(size), skv_entry_key(entry, header), size);
        to->keys_bytes += sizeof(size) + size;
    }
}

static bool make_room(struct collection *to, size_t bytes, size_t places)
{
    if (to->keys == NULL || bytes > to->keys_capacity) {
        skv_free(to->keys);
        to->keys_capacity = bytes + bytes / 4 + 64;
        to->keys = skv_alloc(to->keys_capacity);
    }
    if (to->places == NULL || places > to->place_capacity) {
        skv_free(to->places);
        to->place_capacity = places + places / 4 + 8;
        to->places = skv_alloc(to->place_capacity * sizeof(*to->places));
    }
    return to->keys != NULL && to->places != NULL;
}

/** Collects a group at one moment; `scans` is raised on SPILLKV_OK. */
static spillkv_status collect(struct skv_shard *shard, uint32_t group, struct collection *to)
    SKV_EXCLUDES(shard->lock)
{
    for (;;) {
        size_t count;
        size_t bytes;
        size_t places;
        skv_mutex_lock(&shard->lock);
        skv_shard_apply_inbox_locked(shard);
        const uint64_t *const slots = skv_table_group_slots(&shard->table, group, &count);
        measure_locked(shard, slots, count, &bytes, &places);
        if (to->keys != NULL && bytes <= to->keys_capacity && places <= to->place_capacity) {
            collect_locked(shard, slots, count, to);
            if (to->place_count != 0) {
                shard->scans++;
                shard->space.append_only = true;
            }
            skv_mutex_unlock(&shard->lock);
            return SPILLKV_OK;
        }
        skv_mutex_unlock(&shard->lock);
        if (!make_room(to, bytes, places)) {
            return SPILLKV_ENOMEM;
        }
    }
}

static int compare_places(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/** Appends a key that was read from disk. */
static bool append_key(struct collection *to, const uint8_t *key, size_t size)
{
    const size_t bytes = to->keys_bytes + sizeof(uint32_t) + size;
    if (bytes > to->keys_capacity) {
        uint8_t *const keys = skv_realloc(to->keys, bytes + bytes / 2);
        if (keys == NULL) {
            return false;
        }
        to->keys = keys;
        to->keys_capacity = bytes + bytes / 2;
    }
    const uint32_t size_word = (uint32_t)size;
    memcpy(to->keys + to->keys_bytes, &size_word, sizeof(size_word));
    memcpy(to->keys + to->keys_bytes + sizeof(size_word), key, size);
    to->keys_bytes = bytes;
    return true;
}

/** Reads the spilled keys in the order of their places. A clear meanwhile ends it. */
static spillkv_status read_places(struct skv_shard *shard, struct collection *to, uint64_t clears)
    SKV_EXCLUDES(shard->lock)
{
    uint8_t bytes[SKV_SEGMENT_BYTES];
    spillkv_status first_failure = SPILLKV_OK;
    qsort(to->places, to->place_count, sizeof(*to->places), compare_places);
    for (size_t i = 0; i < to->place_count; i++) {
        uint8_t *key;
        size_t size;
        spillkv_status status = skv_shard_read_key(shard, to->places[i], bytes, &key, &size);
        skv_mutex_lock(&shard->lock);
        const bool cleared = shard->clears != clears;
        skv_mutex_unlock(&shard->lock);
        if (!cleared && status == SPILLKV_OK && !append_key(to, key, size)) {
            status = SPILLKV_ENOMEM;
        }
        skv_free(key);
        if (cleared) {
            break;
        }
        if (first_failure == SPILLKV_OK) {
            first_failure = status;
        }
    }
    return first_failure;
}

/** Visits what was collected; returns false when visit said to stop. */
static bool visit_keys(const struct collection *keys, skv_shard_visit *visit, void *context)
{
    for (size_t at = 0; at < keys->keys_bytes;) {
        uint32_t size;
        memcpy(&size, keys->keys + at, sizeof(size));
        if (!visit(context, keys->keys + at + sizeof(size), size)) {
            return false;
        }
        at += sizeof(size) + size;
    }
    return true;
}

uint32_t skv_shard_group_count(const struct skv_shard *shard)
{
    return shard->table.group_count;
}

spillkv_status skv_shard_scan(struct skv_shard *shard, uint32_t group, skv_shard_visit *visit,
                              void *context)
{
    struct collection collection = {0};
    skv_mutex_lock(&shard->lock);
    const uint64_t clears = shard->clears;
    skv_mutex_unlock(&shard->lock);
    spillkv_status status = collect(shard, group, &collection);
    if (status == SPILLKV_OK && collection.place_count != 0) {
        status = read_places(shard, &collection, clears);
        skv_mutex_lock(&shard->lock);
        shard->scans--;
        shard->space.append_only = shard->scans != 0;
        if (shard->scans == 0 && skv_shard_is_wasteful_locked(shard)) {
            /* Compaction had to wait for the scan. */
            atomic_store_explicit(&shard->wants_compaction, true, memory_order_relaxed);
        }
        skv_mutex_unlock(&shard->lock);
    }
    (void)visit_keys(&collection, visit, context);
    skv_free(collection.keys);
    skv_free(collection.places);
    return status;
}
