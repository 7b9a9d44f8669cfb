/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A get finds its slot (shard_find.c), which leaves the lock held. A resident value is
 * copied under the lock if it is small; for a large one the segment is pinned and the copy made
 * without it. A value that came from disk is delivered from where it was read, and its entry is
 * appended to the newcomers with the place of its copy, so that it can leave again without a write.
 *
 * What nearly every get of a hot key is has a way of its own in front of all that, which asks for
 * the bucket before it takes the lock and keeps the key in registers: with the key in memory
 * nothing was gained, as if the lock let no load pass it that wants what was just stored. Side by
 * side with one way for all gets it takes 0.8 of the time in bench/ycsb.
 */
#include "base/alloc.h"
#include "shard/shard_private.h"

/** Values up to this are copied under the lock: 1 us or so. */
#define COPY_UNDER_LOCK ((size_t)8 << 10)

/** Copies a resident value to the sink; the lock is held at entry and released at return. */
static spillkv_status deliver_resident(struct skv_shard *shard, const struct skv_found *found,
                                       struct skv_sink *sink) SKV_RELEASE(shard->lock);

/** Without the lock, from a pinned segment. */
static spillkv_status deliver_pinned(struct skv_shard *shard, const uint8_t *value, size_t size,
                                     uint32_t segment, struct skv_sink *sink)
    SKV_EXCLUDES(shard->lock)
{
    spillkv_status status = SPILLKV_OK;
    if (sink->allocate) {
        sink->buffer = skv_alloc(size != 0 ? size : 1);
        status = sink->buffer != NULL ? SPILLKV_OK : SPILLKV_ENOMEM;
    }
    if (status == SPILLKV_OK && size != 0) {
        memcpy(sink->buffer, value, size);
    }
    skv_mutex_lock(&shard->lock);
    skv_ram_unpin(&shard->ram, segment);
    skv_mutex_unlock(&shard->lock);
    return status;
}

static spillkv_status deliver_resident(struct skv_shard *shard, const struct skv_found *found,
                                       struct skv_sink *sink)
{
    const uint8_t *const value = skv_entry_value(found->entry, found->header);
    const size_t size = found->value_size;
    if (!sink->allocate && size > sink->capacity) {
        skv_mutex_unlock(&shard->lock);
        return SPILLKV_TOO_SMALL;
    }
    if (sink->allocate || size > COPY_UNDER_LOCK) {
        const uint32_t segment = skv_ram_segment_of(skv_slot_locator(*found->slot));
        skv_ram_pin(&shard->ram, segment);
        skv_mutex_unlock(&shard->lock);
        return deliver_pinned(shard, value, size, segment, sink);
    }
    if (size != 0) {
        memcpy(sink->buffer, value, size);
    }
    skv_mutex_unlock(&shard->lock);
    return SPILLKV_OK;
}

/** Puts a value that was read from disk into the sink. */
static spillkv_status deliver_cold(const struct skv_cold *cold, struct skv_sink *sink)
{
    if (cold->delivered) {
        return SPILLKV_OK;
    }
    if (sink->allocate) {
        sink->buffer = skv_alloc(sink->value_size != 0 ? sink->value_size : 1);
        if (sink->buffer == NULL) {
            return SPILLKV_ENOMEM;
        }
    } else if (sink->value_size > sink->capacity) {
        return SPILLKV_TOO_SMALL;
    }
    SKV_CHECK(cold->value != NULL);
    if (sink->value_size != 0) {
        memcpy(sink->buffer, cold->value, sink->value_size);
    }
    return SPILLKV_OK;
}

void skv_shard_promoted_locked(struct skv_shard *shard, uint64_t *slot, uint64_t locator,
                               size_t bytes)
{
    *slot = skv_slot_moved(*slot, false, locator);
    skv_shard_uncount_spilled(shard, bytes);
    skv_shard_count_ram(shard, bytes);
    shard->counters.promotions++;
    skv_shard_note_miss_locked(shard);
}

void skv_shard_promote_locked(struct skv_shard *shard, const struct skv_key *key,
                              const struct skv_entry_parts *parts, uint64_t *slot)
{
    uint64_t locator;
    if (skv_ram_append(&shard->ram, SKV_NEWCOMERS, parts, false, &locator) == SPILLKV_OK) {
        skv_shard_promoted_locked(shard, slot, locator, key->size + parts->value_size);
    }
}

/** The same for an entry with a segment of its own, which is filled without the lock. */
static void promote_lone(struct skv_shard *shard, const struct skv_key *key,
                         const struct skv_entry_parts *parts, uint64_t reuses)
    SKV_EXCLUDES(shard->lock)
{
    const size_t bytes = skv_entry_parts_bytes(parts);
    void *const pages = skv_budget_take_pages(shard->budget, SKV_MEMORY_ENTRIES, bytes);
    if (pages == NULL) {
        return;
    }
    skv_entry_write(pages, parts);
    bool adopted = false;
    skv_mutex_lock(&shard->lock);
    uint64_t *const slot = shard->space.reuses == reuses
                               ? skv_shard_slot_at(&shard->table, key->hash, true, parts->copy)
                               : NULL;
    uint64_t locator;
    if (slot != NULL &&
        skv_ram_adopt(&shard->ram, SKV_NEWCOMERS, pages, bytes, &locator) == SPILLKV_OK) {
        adopted = true;
        skv_shard_promoted_locked(shard, slot, locator, key->size + parts->value_size);
    }
    skv_mutex_unlock(&shard->lock);
    if (!adopted) {
        skv_budget_give_pages(shard->budget, SKV_MEMORY_ENTRIES, pages, bytes);
    }
}

/** Answers a get whose entry was read from disk; the lock is held at entry, released at return. */
static spillkv_status get_cold(struct skv_shard *shard, const struct skv_key *key,
                               const struct skv_found *found, const struct skv_cold *cold,
                               struct skv_sink *sink) SKV_RELEASE(shard->lock)
{
    const struct skv_entry_parts parts = {
        .key = key->bytes,
        .value = cold->value,
        .key_size = key->size,
        .value_size = found->value_size,
        .copy = skv_slot_locator(*found->slot),
    };
    const uint64_t reuses = shard->space.reuses;
    const bool lone = skv_ram_is_lone(&shard->ram, skv_entry_parts_bytes(&parts));
    bool promotes = false;
    if (!sink->peek) {
        promotes = cold->value != NULL;
        skv_shard_count_get_locked(shard, key, found->value_size, found->slot);
        if (promotes && !lone) {
            skv_shard_promote_locked(shard, key, &parts, found->slot);
        }
    }
    skv_mutex_unlock(&shard->lock);
    const spillkv_status status = deliver_cold(cold, sink);
    if (promotes && lone) {
        promote_lone(shard, key, &parts, reuses);
    }
    return status;
}

/** Answers a get from a set that waits in the inbox; small, so it is copied under the lock. */
static spillkv_status deliver_waiting(struct skv_shard *shard, const uint8_t *entry,
                                      struct skv_sink *sink) SKV_REQUIRES(shard->lock)
{
    const uint64_t header = skv_entry_header(entry);
    const struct skv_cold cold = {.value =
                                      skv_entry_key(entry, header) + skv_header_key_size(header)};
    sink->value_size = skv_header_value_size(header);
    shard->counters.hits += !sink->peek;
    return deliver_cold(&cold, sink);
}

spillkv_status skv_shard_get(struct skv_shard *shard, const struct skv_key *key,
                             struct skv_sink *sink)
{
    struct skv_cold cold;
    struct skv_found found;
    cold.sink = sink;
    sink->value_size = 0;
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    const uint8_t *const waiting = skv_shard_find_waiting_locked(shard, key);
    if (SKV_UNLIKELY(waiting != NULL)) {
        const spillkv_status delivered = deliver_waiting(shard, waiting, sink);
        skv_mutex_unlock(&shard->lock);
        return delivered;
    }
    const spillkv_status status = skv_shard_find(shard, key, &cold, &found);
    if (SKV_UNLIKELY(status != SPILLKV_OK)) {
        skv_mutex_unlock(&shard->lock);
        return status;
    }
    if (found.slot == NULL) {
        if (!sink->peek) {
            skv_shard_count_miss_locked(shard, key);
        }
        skv_mutex_unlock(&shard->lock);
        return SPILLKV_NOT_FOUND;
    }
    sink->value_size = found.value_size;
    if (SKV_UNLIKELY(found.entry == NULL)) {
        return get_cold(shard, key, &found, &cold, sink);
    }
    if (!sink->peek) {
        skv_shard_count_get_locked(shard, key, found.value_size, found.slot);
    }
    return deliver_resident(shard, &found, sink);
}

spillkv_status skv_shard_get_hot(struct skv_shard *shard, const void *bytes, size_t size,
                                 uint64_t hash, void *buffer, size_t capacity,
                                 size_t *value_size_out)
{
    /* Stays in registers, as nobody gets to know where it is. */
    const struct skv_key sought = {.bytes = bytes, .size = size, .hash = hash};
    struct skv_found found;
    spillkv_status status = SKV_ELSEWHERE;
    skv_table_prefetch_bucket(&shard->table, hash);
    skv_mutex_lock(&shard->lock);
    if (SKV_LIKELY(shard->inbox.count == 0) &&
        SKV_LIKELY(skv_shard_search_inline_locked(shard, &sought, 0, &found) == 0)) {
        const struct skv_key key = sought;
        if (found.slot == NULL) {
            skv_shard_count_miss_locked(shard, &key);
            status = SPILLKV_NOT_FOUND;
        } else if (found.value_size <= capacity && found.value_size <= COPY_UNDER_LOCK) {
            skv_shard_count_get_locked(shard, &key, found.value_size, found.slot);
            if (found.value_size != 0) {
                memcpy(buffer, skv_entry_value(found.entry, found.header), found.value_size);
            }
            *value_size_out = found.value_size;
            status = SPILLKV_OK;
        }
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}
