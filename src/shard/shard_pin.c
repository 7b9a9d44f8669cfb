/* SPDX-License-Identifier: MIT */
/*
 * DESIGN. A pinned value is one whose RAM segment is pinned (ram/ramlog.h): nothing is copied, and
 * whatever becomes of the key, the segment keeps its memory, its number and its values until the
 * last pin goes. Meanwhile entries leave it as they leave any other; what is left is charged.
 *
 * A spilled value comes back to RAM first, as on a get, but here it must: where the budget has no
 * room the caller makes some. A row of its own is read straight into the pages of its entry. A set
 * that waits in the inbox is copied into pages that hold nothing else.
 *
 * So at most one segment is held for each pin, and pins that share a segment hold it once.
 * Rejected: copying small values for pins (the copy is what a pin is there to spare), counting the
 * pins of each entry (the bytes beside it could not be used before the segment is empty anyway).
 */
#include "shard/shard_private.h"

/** Pins the segment of an entry. */
static spillkv_status pin_entry(struct skv_shard *shard, uint64_t locator, struct skv_pin *pin)
    SKV_REQUIRES(shard->lock)
{
    const uint32_t number = skv_ram_segment_of(locator);
    if (SKV_UNLIKELY(!skv_ram_may_pin(&shard->ram, number))) {
        return SPILLKV_EBUSY;
    }
    uint8_t *const entry = skv_ram_at(&shard->ram, locator);
    const uint64_t header = skv_entry_header(entry);
    skv_ram_pin(&shard->ram, number);
    shard->counters.pinned++;
    pin->value = skv_entry_value(entry, header);
    pin->value_size = skv_header_value_size(header);
    pin->segment = number;
    return SPILLKV_OK;
}

/** Pins a copy of a set that waits in the inbox. */
static spillkv_status pin_waiting(struct skv_shard *shard, const uint8_t *entry,
                                  struct skv_pin *pin) SKV_REQUIRES(shard->lock)
{
    const uint64_t header = skv_entry_header(entry);
    const size_t bytes = skv_entry_bytes(header);
    pin->value_size = skv_header_value_size(header);
    uint8_t *const pages = skv_budget_take_pages(shard->budget, SKV_MEMORY_ENTRIES, bytes);
    if (pages == NULL) {
        return SPILLKV_EFULL;
    }
    memcpy(pages, entry, bytes);
    const spillkv_status status = skv_ram_adopt_pinned(&shard->ram, pages, bytes, &pin->segment);
    if (status != SPILLKV_OK) {
        skv_budget_give_pages(shard->budget, SKV_MEMORY_ENTRIES, pages, bytes);
        return status;
    }
    shard->counters.hits++;
    shard->counters.pinned++;
    pin->value = skv_entry_value(pages, header);
    return SPILLKV_OK;
}

/** Puts the entry that was read from disk into RAM. On failure `*pages` are the caller's. */
static spillkv_status bring_back(struct skv_shard *shard, const struct skv_entry_parts *parts,
                                 void **pages, uint64_t *locator_out) SKV_REQUIRES(shard->lock)
{
    const size_t bytes = skv_entry_parts_bytes(parts);
    if (*pages == NULL && !skv_ram_is_lone(&shard->ram, bytes)) {
        return skv_ram_append(&shard->ram, SKV_NEWCOMERS, parts, false, locator_out);
    }
    if (*pages == NULL) {
        /* At most a disk segment long: not worth letting go of the lock. */
        *pages = skv_budget_take_pages(shard->budget, SKV_MEMORY_ENTRIES, bytes);
        if (*pages == NULL) {
            return SPILLKV_EFULL;
        }
        skv_entry_write(*pages, parts);
    }
    const spillkv_status status =
        skv_ram_adopt(&shard->ram, SKV_NEWCOMERS, *pages, bytes, locator_out);
    if (status == SPILLKV_OK) {
        *pages = NULL;
    }
    return status;
}

/** Pins an entry that was read from disk; what was read into pages of their own is in `*pages`. */
static spillkv_status pin_cold(struct skv_shard *shard, const struct skv_key *key,
                               const struct skv_found *found, const struct skv_cold *cold,
                               void **pages, struct skv_pin *pin) SKV_REQUIRES(shard->lock)
{
    const struct skv_entry_parts parts = {
        .key = key->bytes,
        .value = cold->value,
        .key_size = key->size,
        .value_size = found->value_size,
        .copy = skv_slot_locator(*found->slot),
    };
    uint64_t locator;
    pin->value_size = found->value_size;
    const spillkv_status status = bring_back(shard, &parts, pages, &locator);
    if (status != SPILLKV_OK) {
        return status;
    }
    skv_shard_count_get_locked(shard, key, found->value_size, found->slot);
    skv_shard_promoted_locked(shard, found->slot, locator, key->size + parts.value_size);
    return pin_entry(shard, locator, pin);
}

static spillkv_status pin_found(struct skv_shard *shard, const struct skv_key *key,
                                const struct skv_found *found, const struct skv_cold *cold,
                                void **pages, struct skv_pin *pin) SKV_REQUIRES(shard->lock)
{
    if (found->slot == NULL) {
        skv_shard_count_miss_locked(shard, key);
        return SPILLKV_NOT_FOUND;
    }
    if (SKV_UNLIKELY(found->entry == NULL)) {
        return pin_cold(shard, key, found, cold, pages, pin);
    }
    const spillkv_status status = pin_entry(shard, skv_slot_locator(*found->slot), pin);
    if (SKV_LIKELY(status == SPILLKV_OK)) {
        skv_shard_count_get_locked(shard, key, found->value_size, found->slot);
    }
    return status;
}

spillkv_status skv_shard_pin(struct skv_shard *shard, const struct skv_key *key,
                             struct skv_pin *pin)
{
    struct skv_sink sink = {.entry = true};
    struct skv_cold cold;
    struct skv_found found;
    void *pages = NULL;
    cold.sink = &sink;
    *pin = (struct skv_pin){0};
    skv_mutex_lock(&shard->lock);
    skv_shard_apply_inbox_locked(shard);
    const uint8_t *const waiting = skv_shard_find_waiting_locked(shard, key);
    if (SKV_UNLIKELY(waiting != NULL)) {
        const spillkv_status status = pin_waiting(shard, waiting, pin);
        skv_mutex_unlock(&shard->lock);
        return status;
    }
    spillkv_status status = skv_shard_find(shard, key, &cold, &found);
    pin->value_size = found.value_size;
    if (SKV_LIKELY(status == SPILLKV_OK)) {
        pages = cold.delivered ? sink.buffer : NULL;
        status = pin_found(shard, key, &found, &cold, &pages, pin);
    }
    skv_mutex_unlock(&shard->lock);
    if (SKV_UNLIKELY(pages != NULL)) {
        skv_budget_give_pages(shard->budget, SKV_MEMORY_ENTRIES, pages,
                              skv_entry_bytes(skv_entry_header(pages)));
    }
    return status;
}

spillkv_status skv_shard_unpin(struct skv_shard *shard, const struct skv_pin *pin)
{
    spillkv_status status = SPILLKV_EINVAL;
    skv_mutex_lock(&shard->lock);
    if (SKV_LIKELY(shard->counters.pinned != 0 &&
                   skv_ram_is_pinned(&shard->ram, pin->segment, pin->value, pin->value_size))) {
        shard->counters.pinned--;
        skv_ram_unpin(&shard->ram, pin->segment);
        status = SPILLKV_OK;
    }
    skv_mutex_unlock(&shard->lock);
    return status;
}

uint64_t skv_shard_pinned(struct skv_shard *shard)
{
    skv_mutex_lock(&shard->lock);
    const uint64_t pinned = shard->counters.pinned;
    skv_mutex_unlock(&shard->lock);
    return pinned;
}
