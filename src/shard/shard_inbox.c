/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A small set is done when its entry is in the shard's inbox (ram/inbox.h). When that is
 * full its sets are applied together, and the processor waits for all their groups and buckets at
 * once; a set alone would wait for them under the lock, the longer the larger the table. Whoever
 * takes the lock to look for something applies the inbox first, so nobody else knows of it.
 *
 * There is memory for what was accepted: the open segment and the key's group have room for the
 * whole inbox, and whoever takes of that applies the inbox first. But a spilled slot with the key's
 * tag has to be read, without the lock: then the set waits. Gets find it in the inbox meanwhile;
 * the next set on the shard reads for it, in the way that a large value is set.
 *
 * Order: the sets of one key are applied in the order in which they were accepted. A set or del
 * that goes past the inbox removes what the inbox holds of its key at the moment it is done.
 *
 * Rejected: a second slot for the key that shadows the spilled one (del, count and each would have
 * to tell them apart for as long as it takes).
 */
#include "shard/shard_private.h"

static struct skv_entry_parts parts_of(const struct skv_inbox *inbox,
                                       const struct skv_inbox_set *set)
{
    const uint8_t *const entry = inbox->bytes + set->offset;
    const uint64_t header = skv_entry_header(entry);
    const uint8_t *const key = skv_entry_key(entry, header);
    return (struct skv_entry_parts){
        .key = key,
        .value = key + skv_header_key_size(header),
        .key_size = skv_header_key_size(header),
        .value_size = skv_header_value_size(header),
        .copy = SKV_NO_COPY,
    };
}

/** False when it has to wait. */
static bool apply_one(struct skv_shard *shard, const struct skv_inbox_set *set)
    SKV_REQUIRES(shard->lock)
{
    struct skv_put put = {.parts = parts_of(&shard->inbox, set), .bytes = set->size};
    const struct skv_key key = {
        .bytes = put.parts.key, .size = put.parts.key_size, .hash = set->hash};
    struct skv_found found;
    if (skv_shard_search_locked(shard, &key, 0, &found) != 0) {
        return false;
    }
    const spillkv_status status = skv_shard_put_locked(shard, &key, &found, &put);
    SKV_CHECK(status == SPILLKV_OK);
    return true;
}

/** Brings what the fresh sets need nearer to the processor: buckets, and the entries that may be
 *  overwritten. */
static void touch_fresh(const struct skv_shard *shard) SKV_REQUIRES(shard->lock)
{
    for (uint32_t i = shard->inbox.waiting; i < shard->inbox.count; i++) {
        skv_table_touch(&shard->table, shard->inbox.sets[i].hash);
    }
    for (uint32_t i = shard->inbox.waiting; i < shard->inbox.count; i++) {
        struct skv_probe probe;
        const uint64_t *const slot =
            skv_table_first(&shard->table, shard->inbox.sets[i].hash, &probe);
        if (slot != NULL && !skv_slot_on_disk(*slot)) {
            __builtin_prefetch(skv_ram_at(&shard->ram, skv_slot_locator(*slot)));
        }
    }
}

void skv_shard_apply_fresh_locked(struct skv_shard *shard)
{
    struct skv_inbox *const inbox = &shard->inbox;
    uint32_t kept = (UINT32_C(1) << inbox->waiting) - 1;
    touch_fresh(shard);
    for (uint32_t i = inbox->waiting; i < inbox->count; i++) {
        const struct skv_inbox_set *const set = &inbox->sets[i];
        /* Behind an older set of the same key it waits too. */
        const bool behind = kept != 0 && skv_inbox_has_hash(inbox, set->hash, i);
        if (behind || !apply_one(shard, set)) {
            kept |= UINT32_C(1) << i;
        }
    }
    skv_inbox_keep(inbox, kept);
}

/** Whether there is memory to apply one more set. */
static bool has_memory(const struct skv_shard *shard, uint64_t hash, size_t bytes)
    SKV_REQUIRES(shard->lock)
{
    const struct skv_inbox *const inbox = &shard->inbox;
    return skv_table_room(&shard->table, hash) > inbox->count &&
           skv_ram_room(&shard->ram, SKV_NEWCOMERS) >= inbox->used + bytes;
}

bool skv_shard_accept(struct skv_shard *shard, const struct skv_key *key,
                      const struct skv_entry_parts *parts, bool *others_wait)
{
    struct skv_inbox *const inbox = &shard->inbox;
    const size_t bytes = skv_entry_parts_bytes(parts);
    skv_table_prefetch_room(&shard->table, key->hash);
    skv_mutex_lock(&shard->lock);
    if (!skv_inbox_has_room(inbox, bytes)) {
        skv_shard_apply_inbox_locked(shard);
    }
    *others_wait = inbox->waiting != 0;
    const bool accepted = inbox->waiting <= SKV_INBOX_SETS / 2 &&
                          skv_inbox_has_room(inbox, bytes) && has_memory(shard, key->hash, bytes);
    if (SKV_LIKELY(accepted)) {
        skv_inbox_add(inbox, key->hash, parts);
        shard->counters.sets++;
    }
    skv_mutex_unlock(&shard->lock);
    return accepted;
}

bool skv_shard_reserve_inbox(struct skv_shard *shard, uint64_t hash)
{
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    spillkv_status status = skv_table_reserve(&shard->table, hash);
    if (status == SPILLKV_OK) {
        status = skv_ram_reserve(&shard->ram, SKV_NEWCOMERS, sizeof(shard->inbox.bytes));
    }
    skv_mutex_unlock(&shard->lock);
    return status == SPILLKV_OK;
}

spillkv_status skv_shard_resolve_oldest(struct skv_shard *shard, bool *none_out)
{
    struct skv_inbox *const inbox = &shard->inbox;
    uint8_t entry[SKV_INBOX_ENTRY_MOST];
    struct skv_inbox_set set = {0};
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    *none_out = inbox->waiting == 0;
    if (!*none_out) {
        set = inbox->sets[0];
        memcpy(entry, inbox->bytes + set.offset, set.size);
    }
    skv_mutex_unlock(&shard->lock);
    if (*none_out) {
        return SPILLKV_OK;
    }
    const uint64_t header = skv_entry_header(entry);
    const struct skv_key key = {.bytes = skv_entry_key(entry, header),
                                .size = skv_header_key_size(header),
                                .hash = set.hash};
    return skv_shard_set_past_inbox(shard, &key, skv_entry_value(entry, header),
                                    skv_header_value_size(header), set.number);
}

spillkv_status skv_shard_resolve_inbox(struct skv_shard *shard)
{
    bool none = false;
    spillkv_status status = SPILLKV_OK;
    for (uint32_t i = 0; i < SKV_INBOX_SETS && status == SPILLKV_OK && !none; i++) {
        status = skv_shard_resolve_oldest(shard, &none);
    }
    return status;
}

uint64_t skv_shard_count_waiting_locked(const struct skv_shard *shard)
{
    const struct skv_inbox *const inbox = &shard->inbox;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < inbox->count; i++) {
        const struct skv_entry_parts parts = parts_of(inbox, &inbox->sets[i]);
        const struct skv_key key = {
            .bytes = parts.key, .size = parts.key_size, .hash = inbox->sets[i].hash};
        struct skv_found found;
        /* A spilled slot with the key's tag is its own, nearly always. */
        keys += skv_shard_search_locked(shard, &key, 0, &found) == 0 && found.slot == NULL &&
                !skv_inbox_has_hash(inbox, key.hash, i);
    }
    return keys;
}
